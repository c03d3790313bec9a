// SPDX-License-Identifier: Apache-2.0
#include "cli/audit_usage.h"

#include "cli/listing.h"
#include "libvault/base/jsontext.h"

void audit_usage_done(struct audit_usage *usage) {
    json_decref(usage->credentials);
    json_decref(usage->policies);
    json_decref(usage->issuers);
    json_decref(usage->identities);
}

#define WORD_SIZE 1024 // of a name in the log

// The object of that name inside; made when it is missing.
static json_t *inside(json_t *object, const char *name) {
    json_t *found = json_object_get(object, name);
    if (!found) {
        found = json_object();
        json_object_set_new(object, name, found);
    }
    return found;
}

// Each word of a list that a space separates was used at that time.
static void note_words(json_t *map, const char *list, const char *time) {
    char word[WORD_SIZE];
    for (const char *at = list; *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        if (size && bytes_to_text(bytes_of(at, size), word, sizeof word))
            json_object_set_new(map, word, json_string(time));
        at += size;
    }
}

static void note_issuer(struct audit_usage *usage, const char *principal, const char *time) {
    const char *bar = strchr(principal, '|');
    char issuer[WORD_SIZE];
    if (bar && bytes_to_text(bytes_of(principal, (size_t)(bar - principal)), issuer, sizeof issuer))
        json_object_set_new(usage->issuers, issuer, json_string(time));
}

static void count(json_t *object, const char *name) {
    json_int_t so_far = json_integer_value(json_object_get(object, name));
    json_object_set_new(object, name, json_integer(so_far + 1));
}

static void note_groups(json_t *identity, const char *lines) {
    json_t *groups = json_array();
    while (*lines) {
        size_t size = strcspn(lines, "\n");
        json_array_append_new(groups, json_stringn(lines, size));
        lines += size + (lines[size] == '\n');
    }
    json_object_set_new(identity, "groups", groups); // of the last time counts
}

static void note_identity(struct audit_usage *usage, const char *name, const json_t *entry,
                          bool is_allowed, bool is_agent) {
    const char *time = member_text(entry, "time");
    if (!name[0])
        return;
    json_t *identity = inside(usage->identities, name);
    if (!json_object_get(identity, "first"))
        json_object_set_new(identity, "first", json_string(time));
    json_object_set_new(identity, "last", json_string(time));
    count(identity, is_allowed ? "allowed" : "denied");
    if (is_agent)
        json_object_set_new(identity, "as_agent", json_true());
    else if (json_object_get(entry, "groups"))
        note_groups(identity, member_text(entry, "groups"));
    if (!is_allowed)
        return;
    note_words(inside(identity, "credentials"), member_text(entry, "credential"), time);
    note_issuer(usage, name, time);
}

static void note(struct audit_usage *usage, const json_t *entry) {
    const char *time = member_text(entry, "time");
    bool is_allowed = strcmp(member_text(entry, "outcome"), "allow") == 0;
    if (is_allowed) {
        note_words(usage->credentials, member_text(entry, "credential"), time);
        note_words(usage->policies, member_text(entry, "policies"), time);
    }
    note_identity(usage, member_text(entry, "principal"), entry, is_allowed, false);
    note_identity(usage, member_text(entry, "actor"), entry, is_allowed, true);
}

static int each(struct audit_search *search, struct bytes entry) {
    struct audit_usage *usage = search->context;
    struct bytes kind = audit_entry_member(entry, "kind");
    struct fault fault = {0};
    json_t *object = NULL;
    if (!bytes_equal_text(kind, "issue") && !bytes_equal_text(kind, "redeem"))
        return EXIT_OK;
    vlt_result result = jsontext_parse(entry, &jsontext_document_limits, &fault, &object);
    if (!vlt_is_ok(result))
        return command_fail(search->command, result, &fault);
    if (strcmp(member_text(object, "tenant"), search->command->tenant) == 0)
        note(usage, object);
    json_decref(object);
    return EXIT_OK;
}

int audit_usage_read(struct command *command, const char *since, struct audit_usage *ret_usage) {
    struct audit_search search;
    *ret_usage = (struct audit_usage){.credentials = json_object(),
                                      .policies = json_object(),
                                      .issuers = json_object(),
                                      .identities = json_object()};
    audit_search_init(&search, command, each);
    search.context = ret_usage;
    search.uses_index = since != NULL;
    int status = audit_search_time(&search, since, NULL);
    if (status == EXIT_OK)
        status = audit_search_run(&search);
    memcpy(ret_usage->begins, search.begins, sizeof ret_usage->begins);
    audit_search_done(&search);
    if (status != EXIT_OK)
        audit_usage_done(ret_usage);
    return status;
}
