// SPDX-License-Identifier: Apache-2.0
// Key records, counter records and blobs as somebody with the disk could write
// them: hsm_record_decode, record_counter_decode, record_blob_decode. What
// decodes must encode to the same bytes.
#include <stdlib.h>

#include "hsm/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct hsm_record record;
    struct record_blob blob;
    struct record_counter counter;
    struct hsm_key again;
    struct hsm_counter counter_again;
    if (vlt_is_ok(hsm_record_decode(bytes_of(at, size), &record)) &&
        (!vlt_is_ok(hsm_record_encode(&record, &again)) ||
         !bytes_equal(bytes_of(at, size), bytes_of(again.at, again.size))))
        abort();
    if (vlt_is_ok(record_counter_decode(bytes_of(at, size), &counter)) &&
        (!vlt_is_ok(record_counter_encode(&counter, &counter_again)) ||
         !bytes_equal(bytes_of(at, size), bytes_of(counter_again.at, counter_again.size))))
        abort();
    if (vlt_is_ok(record_blob_decode(bytes_of(at, size), &blob)) &&
        blob.body.size + RECORD_BLOB_HEADER_BYTES != size)
        abort();
    return 0;
}
