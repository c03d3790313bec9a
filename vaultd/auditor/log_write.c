// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/log_write.h"

#include "vaultd/auditor/spare.h"

// The spare is there for speed only: without it a new file does.
static vlt_result next_segment(struct log_write *write, struct segment *ret_segment) {
    if (write->has_spare && vlt_is_ok(segment_adopt(write->folder, SPARE_NAME, write->next,
                                                    &write->fault, ret_segment)))
        return vlt_ok();
    return segment_open(write->folder, write->next, true, &write->fault, ret_segment);
}

static vlt_result prepare(struct log_write *write) {
    VLT_TRY(segment_check_identity(write->folder, &write->segment, &write->fault));
    if (write->must_cut)
        VLT_TRY(segment_cut(&write->segment, &write->fault));
    write->may_have_left = false;
    if (!write->must_roll)
        return vlt_ok();
    struct segment next;
    VLT_TRY(next_segment(write, &next));
    write->segment = next;
    write->has_rolled = true;
    return vlt_ok();
}

void log_write_run(struct log_write *write) {
    write->fault = (struct fault){0};
    write->has_rolled = false;
    write->may_have_left = write->must_cut;
    write->result = prepare(write);
    if (!vlt_is_ok(write->result))
        return;
    write->result = segment_write(&write->segment, write->lines, &write->fault);
    write->may_have_left = !vlt_is_ok(write->result);
}
