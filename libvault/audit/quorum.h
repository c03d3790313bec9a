// SPDX-License-Identifier: Apache-2.0
// Who must have signed a checkpoint (C2SP tlog-policy). A text of lines:
//
//   log VKEY [URL]
//   witness NAME VKEY [URL]
//   group NAME k|any|all MEMBER…
//   quorum NAME|none
//
// Words are separated by spaces and tabs. Empty lines and lines that begin with # are
// left out. A name is used after its line, has one, and is a member once; two names
// never have one key: nobody counts twice. Any program.
#ifndef VLT_AUDIT_QUORUM_H
#define VLT_AUDIT_QUORUM_H

#include "libvault/audit/checkpoint.h"
#include "libvault/base/fault.h"

#define QUORUM_NAMES_MAX 64 // witnesses and groups
#define QUORUM_LOGS_MAX 32
#define QUORUM_FILE_MAX 65536

struct quorum_name {
    char name[NOTE_NAME_MAX + 1]; // any name of a key will do
    bool is_witness, is_member; // member: of a group
    struct note_key key;  // of a witness
    uint64_t members;     // of a group: bits of earlier names
    unsigned threshold;
};
struct quorum {
    struct note_key logs[QUORUM_LOGS_MAX];
    struct quorum_name names[QUORUM_NAMES_MAX];
    size_t log_count, name_count;
    int wanted; // index of a name; -1: none
};
// VLT_MALFORMED or VLT_LIMIT; the fault names the line. quorum_done frees.
vlt_result quorum_parse(struct bytes text, struct fault *fault,
                        struct quorum *ret_quorum) VLT_MUST_USE;
void quorum_done(struct quorum *quorum);
// A checkpoint signed by one of the logs and by the quorum. VLT_NOT_FOUND: too
// few signed; VLT_CRYPTO: a signature of a key that is named here is wrong.
vlt_result quorum_open(const struct quorum *quorum, struct bytes note,
                       struct checkpoint *ret_checkpoint) VLT_MUST_USE;

#endif
