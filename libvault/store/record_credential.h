// SPDX-License-Identifier: Apache-2.0
// STORE_CREDENTIAL (for people, JSON: schemas/credential.schema.json),
// STORE_CREDENTIAL_STATE (for machines, on the hot path) and
// STORE_CREDENTIAL_SECRET (ciphertext). The keeper writes all three in one
// commit.
#ifndef VLT_STORE_RECORD_CREDENTIAL_H
#define VLT_STORE_RECORD_CREDENTIAL_H

#include "libvault/store/record_tenant.h"

#define RECORD_HOSTS_MAX 8
#define RECORD_HOST_MAX 255
// An upstream host as records, tokens and requests spell it: lower case, with
// :port unless that is 443. No wildcards.
bool record_host_is_valid(struct bytes host);

enum record_credential_status {
    RECORD_CREDENTIAL_ACTIVE = 1,
    RECORD_CREDENTIAL_DISABLED,
    RECORD_CREDENTIAL_DELETED
};

struct record_credential {
    char name[RECORD_NAME_MAX + 1];
    char profile[RECORD_NAME_MAX + 1];
    char hosts[RECORD_HOSTS_MAX]
              [RECORD_HOST_MAX + 1]; // upstream hosts, lower case, with :port unless 443
    size_t host_count;
    json_t *parameters; // owned; object of texts that the profile takes (header name, …)
    char description[256];
    enum record_credential_status status;
    uint32_t version;          // the one in use
    uint32_t previous_version; // still opens until previous_until; 0: none
    int64_t previous_until, created_at, rotated_at;
    uint32_t staged_version;   // waits to be promoted, opens for nobody; 0: none
    int64_t staged_at;
    int64_t verified_at;       // of the staged version; 0: not yet
    uint32_t newest_version;   // the highest number ever given; 0: `version` is it
};
// The next version has the number after this one.
uint32_t record_credential_newest(const struct record_credential *credential);
vlt_result record_credential_parse(struct bytes json, struct fault *fault,
                                   struct record_credential *ret_credential) VLT_MUST_USE;
void record_credential_done(struct record_credential *credential);
json_t *record_credential_json(const struct record_credential *credential);

// Binary state: u8 status, u32 version, u32 previous, u64 previous_until, u64
// created_at. The last one tells a credential from another one that had the name
// before it; 0 in states of before it was kept.
struct record_credential_state {
    uint8_t status;
    uint32_t version, previous_version;
    uint64_t previous_until, created_at;
};
void record_credential_state_put(struct wire_writer *w,
                                 const struct record_credential_state *state);
vlt_result record_credential_state_get(struct bytes value,
                                       struct record_credential_state *ret_state) VLT_MUST_USE;

// Binary secret: u8 algorithm (1 = XAES-256-GCM), u32 data key number, profile,
// hosts (list), parameters (canonical JSON), 24-byte nonce, ciphertext with tag.
// Associated data: record_credential_context. All views are borrowed.
struct record_credential_secret {
    uint8_t algorithm;
    uint32_t data_key;
    struct bytes profile, hosts, parameters, nonce, ciphertext;
};
void record_credential_secret_put(struct wire_writer *w,
                                  const struct record_credential_secret *secret);
vlt_result record_credential_secret_get(struct bytes value,
                                        struct record_credential_secret *ret_secret) VLT_MUST_USE;
// DESIGN promise 5: tenant, name, version, profile, hosts, parameters, data key.
// At most RECORD_CREDENTIAL_CONTEXT_MAX bytes.
#define RECORD_CREDENTIAL_CONTEXT_MAX 8704
void record_credential_context(struct wire_writer *w, uint32_t tenant, struct bytes name,
                               uint32_t version, const struct record_credential_secret *secret);
// Key name of a version: name, NUL, u32. `room` holds RECORD_SECRET_NAME_MAX bytes.
#define RECORD_SECRET_NAME_MAX (RECORD_NAME_MAX + 5)
struct bytes record_credential_secret_name(struct bytes name, uint32_t version, uint8_t *room);

#endif
