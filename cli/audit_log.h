// SPDX-License-Identifier: Apache-2.0
// The audit log as a folder of files, and its entries for people and programs.
#ifndef VLT_CLI_AUDIT_LOG_H
#define VLT_CLI_AUDIT_LOG_H

#include "cli/command.h"
#include "libvault/audit/log_pruned.h"
#include "libvault/audit/log_verify.h"

#define AUDIT_LOG_DEFAULT "/var/lib/vaultd/audit"
#define AUDIT_ARCHIVE_OPTION                                                                       \
    {                                                                                              \
        "--archive", OPTION_VALUE, "DIR",                                                          \
            "where entries are that were pruned (vaultctl audit archive)", 0                       \
    }
#define AUDIT_LOG_OPTIONS                                                                          \
    {"--log", OPTION_VALUE, "DIR",                                                                 \
     "folder of the log (default: $VAULTCTL_AUDIT_LOG, or " AUDIT_LOG_DEFAULT ")", 0},             \
    {                                                                                              \
        "--key", OPTION_VALUE, "VKEY",                                                             \
            "key of the log, or a file that holds it (default: the file vkey of the folder)", 0    \
    }

struct audit_log {
    int folder;
    int archive; // of --archive, where entries are that were pruned; -1: none
    struct note_key key;
    struct note_key given_key; // what the caller trusts; `key` is the one that came of it
    unsigned key_changes;      // handovers from the given key to `key`
    bool has_own_key; // the key is the folder's own: it proves nothing against who wrote it
};
// EXIT_OK, or the failure was said. audit_log_close closes.
int audit_log_open(struct command *command, const char *path, struct audit_log *ret_log);
void audit_log_close(struct audit_log *log);
// --policy or --cosigned; one without the other is a mistake that audit_policy_check says.
bool audit_policy_is_given(const struct command *command);
// The checkpoint of --cosigned satisfies the policy file of --policy.
int audit_policy_check(struct command *command, struct checkpoint *ret_cosigned);
// Of which tenant entries are wanted: --tenant or VAULTCTL_TENANT, as everywhere; NULL: of
// every one and of none, where neither is set or --all-tenants is given.
#define AUDIT_ALL_TENANTS_OPTION                                                                   \
    {                                                                                              \
        "--all-tenants", OPTION_FLAG, NULL, "not only those of --tenant (VAULTCTL_TENANT)", 0      \
    }
const char *audit_tenant(const struct command *command);
// Nothing was found: where only the environment names a tenant, that is said.
void audit_tenant_hint(const struct command *command);
int audit_key_read(struct command *command, const char *text, struct note_key *ret_key);

// One line for people, or with --json the entry itself.
int audit_entry_show(const struct command *command, struct bytes entry);
void audit_entry_print(const json_t *entry);

// The text of a member of a canonical entry as it stands between its quotes
// (escaped); empty when absent.
struct bytes audit_entry_member(struct bytes entry, const char *name);

#endif
