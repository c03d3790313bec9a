// SPDX-License-Identifier: Apache-2.0
// A role is exec'd whenever one is needed, from whatever file is installed then; the
// supervisor is as old as the last restart. Fields have no tags, so both must be of
// one build's table.
#include <pthread.h>
#include <stdio.h>

#include "vaultd/ipc/messages.h"

#define FIELD_TEXT(kind, name, max) #kind " " #name " " #max ","
#define STRUCT_TEXT(prefix, name, FIELDS) #prefix "_" #name ":" FIELDS(FIELD_TEXT),
static const char *const structs[] = {IPC_STRUCTS(STRUCT_TEXT)};

static uint32_t mix(uint32_t hash, struct bytes bytes) { // FNV-1a: a difference, no attacker
    for (size_t i = 0; i < bytes.size; i++)
        hash = (hash ^ bytes.at[i]) * 16777619u;
    return hash;
}

static uint32_t fingerprint(void) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof structs / sizeof *structs; i++)
        hash = mix(hash, bytes_of_text(structs[i]));
    for (unsigned message = IPC_NONE + 1; message < IPC_MESSAGE_COUNT; message++) {
        const struct ipc_message_row *row = ipc_message_row(message);
        const size_t numbers[] = {row->from, row->to, row->states, row->ask_max_bytes,
                                  row->answer_max_bytes};
        hash = mix(hash, bytes_of_text(row->name));
        hash = mix(hash, bytes_of(numbers, sizeof numbers));
    }
    return hash;
}

static char identity[64];
static void identity_make(void) {
    snprintf(identity, sizeof identity, "%s (messages %08x)", VAULT_VERSION,
             (unsigned)fingerprint());
}

const char *ipc_identity(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, identity_make);
    return identity;
}
