// SPDX-License-Identifier: Apache-2.0
// A checked policy set on its way into the store. Texts that the store does not
// have yet go first, in as many commits as they need; the last commit writes the
// set and moves "active" to it, so that no set is ever in force whose texts are
// not all there.
#ifndef VLT_ADMIN_POLICY_UPLOAD_H
#define VLT_ADMIN_POLICY_UPLOAD_H

#include "libvault/store/record_policy.h"
#include "vaultd/admin/work.h"

#define POLICY_ACTIVE "active" // name of the set in force
#define POLICY_DOCUMENT_MAX_BYTES 96000

struct policy_upload {
    struct record_policy_set set;
    struct bytes texts[RECORD_POLICY_DOCUMENTS]; // views of body
    bool is_stored[RECORD_POLICY_DOCUMENTS];
    json_t *body;             // owned
    int64_t expected_version; // -1: any
    uint64_t active_revision; // of "active" when this began; 0: there was none
    size_t next;              // first text not looked at yet
};

struct policy_upload *policy_upload_new(void); // NULL: out of memory
void policy_upload_free(struct policy_upload *upload);
// Takes upload and ends the snapshot. Replies, now or later. if_match 0: any.
void policy_upload_start(struct admin *admin, struct http_exchange *x, struct store *store,
                         const struct record_tenant *tenant, struct policy_upload *upload,
                         uint64_t if_match);

#endif
