// SPDX-License-Identifier: Apache-2.0
// audit unused, inventory: what the log of a tenant says beside what the vault
// holds, so that grants can be taken back that nobody needs.
#include <stdio.h>
#include <time.h>

#include "cli/audit_usage.h"
#include "cli/listing.h"
#include "cli/policy_files.h"
#include "cli/verbs.h"
#include "libvault/store/record_credential.h"
#include "vaultd/policy/decide.h"

#define DAY_S 86400
#define DAYS_DEFAULT 90
#define DAYS_MAX 36500
#define LIFETIME_S 300
#define GROUPS_MAX 64

static void time_text(int64_t at_s, char text[CELL_SIZE]) {
    struct tm broken;
    time_t at = (time_t)at_s;
    gmtime_r(&at, &broken);
    strftime(text, CELL_SIZE, "%Y-%m-%dT%H:%M:%SZ", &broken);
}

// The policies in force, compiled; NULL when that failed, which was said.
static struct policy_set *policies_in_force(struct command *command, struct policy_files *files,
                                            int *ret_status) {
    struct policy_set *set = NULL;
    *ret_status = policy_files_of_command(command, files);
    if (*ret_status != EXIT_OK)
        return NULL;
    set = policy_files_compile(files, command->wants_json);
    if (!set) {
        policy_files_done(files);
        *ret_status = EXIT_FAILED;
    }
    return set;
}

// ---- unused ----

struct unused {
    json_t *rows; // {"kind","name","last_used"?,"created_at"?}
    int64_t before_s;
};

// Whatever is younger than the time in question could not have been unused for it.
static void add_unused(struct unused *unused, const char *kind, const char *name,
                       const json_t *used, int64_t created_at) {
    if (json_object_get(used, name) || created_at > unused->before_s)
        return;
    json_t *row = json_pack("{s:s, s:s}", "kind", kind, "name", name);
    if (created_at)
        json_object_set_new(row, "created_at", json_integer(created_at));
    json_array_append_new(unused->rows, row);
}

static int add_unused_credentials(struct command *command, const struct audit_usage *usage,
                                  struct unused *unused) {
    json_t *items = NULL;
    int status = listing_fetch(command, "/v1/tenants/%s/credentials", command->tenant, &items);
    for (size_t i = 0; status == EXIT_OK && i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        add_unused(unused, "credential", member_text(item, "name"), usage->credentials,
                   json_integer_value(json_object_get(item, "created_at")));
    }
    json_decref(items);
    return status;
}

static int add_unused_issuers(struct command *command, const struct audit_usage *usage,
                              struct unused *unused) {
    json_t *items = NULL;
    int status = listing_fetch(command, "/v1/tenants/%s/issuers", command->tenant, &items);
    for (size_t i = 0; status == EXIT_OK && i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        if (!json_object_get(usage->issuers, member_text(item, "issuer")))
            add_unused(unused, "issuer", member_text(item, "name"), usage->issuers, 0);
    }
    json_decref(items);
    return status;
}

static int add_unused_policies(struct command *command, const struct audit_usage *usage,
                               struct unused *unused) {
    struct policy_files files;
    char id[1024], word[POLICY_WORDS_SIZE];
    int status;
    struct policy_set *set = policies_in_force(command, &files, &status);
    if (!set)
        return status;
    for (size_t i = 0; i < policy_set_count(set); i++) {
        struct policy_view view = policy_set_view(set, i);
        if (view.is_template || view.is_forbid || !bytes_to_text(view.id, id, sizeof id))
            continue;
        if (!policy_word_of(view.id, word) || !json_object_get(usage->policies, word))
            add_unused(unused, "permit", id, NULL, 0);
    }
    policy_set_free(set);
    policy_files_done(&files);
    return EXIT_OK;
}

// An entry has room for so many names of policies: was there one with more?
static bool left_out(const struct audit_usage *usage) {
    const char *word;
    json_t *time;
    json_object_foreach(usage->policies, word, time)
        if (policy_word_is_rest(word))
            return true;
    return false;
}

static int unused_print(const struct unused *unused, const char *since,
                        const struct audit_usage *usage) {
    const char *first = usage->begins;
    static const char *const headings[] = {"KIND", "NAME", "CREATED", NULL};
    struct table table;
    table_init(&table, headings);
    for (size_t i = 0; i < json_array_size(unused->rows); i++) {
        const json_t *row = json_array_get(unused->rows, i);
        char created[CELL_SIZE];
        const char *const cells[] = {member_text(row, "kind"), member_text(row, "name"),
                                     member_time(row, "created_at", created)};
        table_row(&table, cells);
    }
    bool is_printed = table_print(&table, "Everything was used.");
    if (strcmp(first, since) > 0)
        printf("The log that was read begins %s, later than %s.\n",
               first[0] ? first : "with nothing", since);
    if (left_out(usage))
        puts("Some decisions had more policies than an entry has room to name: a permit above may "
             "be one of them.");
    return is_printed && fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int run_unused(struct command *command) {
    struct fault fault = {0};
    struct audit_usage usage;
    unsigned long days = 0;
    char since[CELL_SIZE];
    if (!vlt_is_ok(command_number(command, "--days", DAYS_MAX, DAYS_DEFAULT, &fault, &days)))
        return command_usage(command, "%s", fault.text);
    struct unused unused = {.before_s = (int64_t)time(NULL) - (int64_t)days * DAY_S};
    time_text(unused.before_s, since);
    int status = audit_usage_read(command, since, &usage);
    if (status != EXIT_OK)
        return status;
    unused.rows = json_array();
    status = add_unused_credentials(command, &usage, &unused);
    if (status == EXIT_OK)
        status = add_unused_issuers(command, &usage, &unused);
    if (status == EXIT_OK)
        status = add_unused_policies(command, &usage, &unused);
    if (status == EXIT_OK)
        status = command->wants_json
                     ? command_print_json(json_pack("{s:s, s:s, s:b, s:O}", "since", since,
                                                    "log_begins", usage.begins, "policies_left_out",
                                                    left_out(&usage), "unused", unused.rows))
                     : unused_print(&unused, since, &usage);
    json_decref(unused.rows);
    audit_usage_done(&usage);
    return status;
}

// ---- inventory ----

struct reach {
    struct policy_set *set;
    struct decider *decider;
    json_t *credentials, *issuers; // of the Admin API
};

static uint8_t kind_of(const struct reach *reach, const char *identity) {
    static const char *const kinds[] = {"user", "workload", "agent"}; // enum token_principal_kind
    size_t issuer_bytes = strcspn(identity, "|");
    for (size_t i = 0; i < json_array_size(reach->issuers); i++) {
        const json_t *item = json_array_get(reach->issuers, i);
        if (!bytes_equal(bytes_of(identity, issuer_bytes),
                         bytes_of_text(member_text(item, "issuer"))))
            continue;
        for (uint8_t k = 0; k < 3; k++)
            if (strcmp(member_text(item, "kind"), kinds[k]) == 0)
                return k;
    }
    return 0;
}

static struct decide_answer ask(const struct reach *reach, const struct command *command,
                                const char *identity, const json_t *known,
                                const json_t *credential) {
    struct bytes groups[GROUPS_MAX], hosts[RECORD_HOSTS_MAX];
    const json_t *names = json_object_get(known, "groups"),
                 *all = json_object_get(credential, "hosts");
    struct token_detail detail = {.credential = bytes_of_text(member_text(credential, "name"))};
    struct decide_question q = {.action = DECIDE_ISSUE, .tenant = bytes_of_text(command->tenant),
                                .credential = detail.credential, .hosts = hosts, .detail = &detail,
                                .profile = bytes_of_text(member_text(credential, "profile")),
                                .now_s = time(NULL), .is_bound = true, .lifetime_s = LIFETIME_S,
                                .subject = {.principal = bytes_of_text(identity),
                                            .kind = kind_of(reach, identity), .groups = groups}};
    const struct policy_active active = {.set = reach->set};
    struct decide_answer answer;
    for (size_t i = 0; i < json_array_size(names) && i < GROUPS_MAX; i++)
        groups[q.subject.group_count++] =
            bytes_of_text(json_string_value(json_array_get(names, i)));
    for (size_t i = 0; i < json_array_size(all) && i < RECORD_HOSTS_MAX; i++)
        hosts[q.host_count++] = bytes_of_text(json_string_value(json_array_get(all, i)));
    decide(reach->decider, &active, &q, &answer);
    return answer;
}

// Names of credentials for which it may have a token now; those whose policies
// look at time or place end with "?".
static json_t *may_reach(const struct reach *reach, const struct command *command,
                         const char *identity, const json_t *known) {
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(reach->credentials); i++) {
        const json_t *credential = json_array_get(reach->credentials, i);
        struct decide_answer answer = ask(reach, command, identity, known, credential);
        if (answer.is_allowed)
            json_array_append_new(list, json_sprintf("%s%s", member_text(credential, "name"),
                                                     answer.is_momentary ? "?" : ""));
    }
    return list;
}

static json_t *inventory_of(const struct reach *reach, const struct command *command,
                            const struct audit_usage *usage) {
    json_t *rows = json_array();
    const char *identity;
    json_t *known;
    json_object_foreach(usage->identities, identity, known) {
        json_t *row = json_copy(known);
        json_object_set_new(row, "identity", json_string(identity));
        json_object_set_new(row, "may_reach", may_reach(reach, command, identity, known));
        json_array_append_new(rows, row);
    }
    return rows;
}

static void names_put(const json_t *object, char room[CELL_SIZE]) {
    size_t used = 0;
    const char *name;
    json_t *value;
    room[0] = 0;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        int size = snprintf(room + used, CELL_SIZE - used, "%s%s", used ? " " : "", name);
        if (size < 0 || (size_t)size >= CELL_SIZE - used)
            return;
        used += (size_t)size;
    }
}

static int inventory_print(const json_t *rows) {
    static const char *const headings[] = {"IDENTITY", "LAST SEEN", "ALLOWED", "DENIED", "USED",
                                           "MAY REACH", NULL};
    struct table table;
    table_init(&table, headings);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        char allowed[CELL_SIZE], denied[CELL_SIZE], used[CELL_SIZE], reach[CELL_SIZE];
        names_put(json_object_get(row, "credentials"), used);
        const char *const cells[] = {member_text(row, "identity"), member_text(row, "last"),
                                     member_number(row, "allowed", allowed),
                                     member_number(row, "denied", denied), used,
                                     member_list(row, "may_reach", reach)};
        table_row(&table, cells);
    }
    return table_print(&table, "The log names nobody.") ? EXIT_OK : EXIT_FAILED;
}

static int inventory(struct command *command, const struct audit_usage *usage) {
    struct reach reach = {.decider = decider_new()};
    struct policy_files files;
    int status =
        listing_fetch(command, "/v1/tenants/%s/credentials", command->tenant, &reach.credentials);
    if (status == EXIT_OK)
        status = listing_fetch(command, "/v1/tenants/%s/issuers", command->tenant, &reach.issuers);
    if (status == EXIT_OK && (reach.set = policies_in_force(command, &files, &status))) {
        json_t *rows = inventory_of(&reach, command, usage);
        status = command->wants_json ? command_print_json(json_pack("{s:O}", "identities", rows))
                                     : inventory_print(rows);
        json_decref(rows);
        policy_set_free(reach.set);
        policy_files_done(&files);
    }
    json_decref(reach.credentials);
    json_decref(reach.issuers);
    decider_free(reach.decider);
    return status;
}

static int run_inventory(struct command *command) {
    struct audit_usage usage;
    int status = audit_usage_read(command, command_option(command, "--since"), &usage);
    if (status != EXIT_OK)
        return status;
    status = inventory(command, &usage);
    audit_usage_done(&usage);
    return status;
}

static const struct option_spec unused_options[] = {
    AUDIT_LOG_OPTIONS,
    AUDIT_ARCHIVE_OPTION,
    AUDIT_INDEX_OPTIONS,
    {"--days", OPTION_VALUE, "NUMBER", "for how many days (default 90)", 0},
    {0}};
static const struct option_spec inventory_options[] = {
    AUDIT_LOG_OPTIONS,
    AUDIT_ARCHIVE_OPTION,
    AUDIT_INDEX_OPTIONS,
    {"--since", OPTION_VALUE, "TIME", "who was seen from this time on (default: ever)", 0},
    {0}};

const struct verb verb_audit_unused = {
    .noun = "audit",
    .name = "unused",
    .arguments = "",
    .summary = "List credentials, issuers and permits that nothing used for some days",
    .details =
        "Reads the log's files, and asks the vault what there is in the tenant. Used means: a "
        "token\n"
        "was issued or redeemed for the credential, by somebody of the issuer, because the permit\n"
        "allowed it. What was created since is not listed.",
    .examples = "  vaultctl audit unused --days 30\n  vaultctl audit unused --tenant acme --json\n",
    .options = unused_options,
    .run = run_unused};
const struct verb verb_audit_inventory = {
    .noun = "audit",
    .name = "inventory",
    .arguments = "",
    .summary = "List every identity that was seen, what it used and what it may reach",
    .details = "Who asked for a token or used one, from the log. What it may reach is decided by "
               "the policies\n"
               "in force, now and here, with the groups of the last time and a key-bound token; "
               "with \"?\"\n"
               "where a policy looks at time or place.",
    .examples = "  vaultctl audit inventory\n  vaultctl audit inventory --since 2026-11 --json\n",
    .options = inventory_options,
    .run = run_inventory};
