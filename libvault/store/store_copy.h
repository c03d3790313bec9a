// SPDX-License-Identifier: Apache-2.0
// A whole store out of and into an environment, record by record as it is kept:
// for backup and restore. Records on the wire: key bytes, value bytes (u32 length
// each), in key order.
#ifndef VLT_STORE_STORE_COPY_H
#define VLT_STORE_STORE_COPY_H

#include "libvault/store/store.h"

#define STORE_COPY_CHUNK_MAX 110000 // holds the largest record

// A snapshot of its own beside those of store_snapshot_begin: what is committed
// meanwhile is not in it. The file can not reuse pages while it is open: end it.
struct store_export;
vlt_result store_export_begin(struct store *store, uint64_t *ret_revision, uint64_t *ret_records,
                              struct store_export **ret_export) VLT_MUST_USE;
// Writes as many records as fit (w has STORE_COPY_CHUNK_MAX bytes free). Nothing
// written: that was all.
vlt_result store_export_next(struct store_export *export, struct wire_writer *w,
                             size_t *ret_records) VLT_MUST_USE;
void store_export_end(struct store_export *export); // NULL is fine

// A new store in `folder`, which must not be there. Not usable before commit.
struct store_import;
vlt_result store_import_begin(const char *folder, struct fault *fault,
                              struct store_import **ret_import) VLT_MUST_USE;
vlt_result store_import_put(struct store_import *import, struct bytes key,
                            struct bytes value) VLT_MUST_USE;
vlt_result store_import_commit(struct store_import *import) VLT_MUST_USE; // durable
void store_import_free(struct store_import *import);

// A record of an export, taken apart. VLT_MALFORMED.
struct store_record {
    uint32_t tenant;
    enum store_class class;
    struct bytes name, value;
};
vlt_result store_record_of(struct bytes key, struct bytes value,
                           struct store_record *ret_record) VLT_MUST_USE;

#endif
