// SPDX-License-Identifier: Apache-2.0
// The data keys of one tenant, or of the vault itself (STORE_SYSTEM_TENANT).
#ifndef VLT_KEEPER_ROTATE_DATAKEYS_H
#define VLT_KEEPER_ROTATE_DATAKEYS_H

#include "libvault/store/record_datakey.h"
#include "vaultd/keeper/rotation.h"

#define ROTATE_DATAKEYS_MAX 16 // of one tenant at a time

struct rotate_datakey {
    uint32_t number;
    uint8_t state; // enum record_wrapping_state
    int64_t created_at;
    uint64_t revision;
};
struct rotate_datakeys { // by number
    struct rotate_datakey keys[ROTATE_DATAKEYS_MAX];
    size_t count;
    const struct rotate_datakey *active; // points into it: not to be copied
};
// Within a snapshot. VLT_NOT_FOUND: no such tenant.
vlt_result rotate_datakeys_read(struct keeper *keeper, uint32_t tenant,
                                struct rotate_datakeys *ret_keys) VLT_MUST_USE;

// The same, with a snapshot of its own.
vlt_result rotate_datakeys_look(struct keeper *keeper, uint32_t tenant,
                                struct rotate_datakeys *keys) VLT_MUST_USE;
// "tenant 3: data key 1 (revision 17)", for the log; of the vault itself "system: …".
#define ROTATE_DATAKEY_TEXT_SIZE 80
void rotate_datakey_text(uint32_t tenant, const struct rotate_datakey *key,
                         char text[ROTATE_DATAKEY_TEXT_SIZE]);
// {kind, is_under_way, state, active, retired}; NULL: out of memory.
json_t *rotate_datakeys_json(const struct rotate_datakeys *keys, const char *kind);

#endif
