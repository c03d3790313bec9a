// SPDX-License-Identifier: Apache-2.0
#include "vaultd/shipper/position.h"

#include "libvault/audit/checkpoint.h"
#include "libvault/audit/tile.h"

#define FILE_NAME "position"

vlt_result position_parse(struct bytes text, struct position *ret_position) {
    struct position position;
    size_t end = bytes_find(text, '\n');
    struct bytes origin = bytes_of(text.at, end), rest = bytes_from(text, end + 1);
    size_t number_end = bytes_find(rest, '\n');
    if (end == text.size || number_end + 1 != rest.size || !note_name_is_valid(origin) ||
        !bytes_to_text(origin, position.origin, sizeof position.origin))
        return vlt_fail(VLT_MALFORMED, "not a position in a log");
    VLT_TRY(checkpoint_number_parse(bytes_of(rest.at, number_end), &position.next));
    *ret_position = position;
    return vlt_ok();
}

vlt_result position_load(int folder, struct fault *fault, struct position *ret_position) {
    struct buf text;
    buf_init(&text, POSITION_FILE_MAX);
    vlt_result result = tile_file_read(folder, FILE_NAME, POSITION_FILE_MAX, fault, &text);
    if (result.class == VLT_NOT_FOUND) {
        *ret_position = (struct position){.next = 0};
        result = vlt_ok();
    } else if (vlt_is_ok(result)) {
        result = position_parse(buf_bytes(&text), ret_position);
        if (!vlt_is_ok(result))
            result = fault_set(fault, VLT_MALFORMED, "not a position in a log",
                               "its file position below shipping.positions is damaged: remove it "
                               "to ship everything again");
    }
    buf_done(&text);
    return result;
}

vlt_result position_save(int folder, const struct position *position, struct fault *fault) {
    struct buf text;
    buf_init(&text, POSITION_FILE_MAX);
    buf_put_format(&text, "%s\n%llu\n", position->origin, (unsigned long long)position->next);
    vlt_result result = buf_failed(&text)
                            ? vlt_fail(VLT_UNAVAILABLE, "out of memory")
                            : tile_file_write(folder, FILE_NAME, buf_bytes(&text), true, fault);
    buf_done(&text);
    return result;
}
