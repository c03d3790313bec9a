// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli/audit_log.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/verbs.h"

#define COUNT_DEFAULT 20
#define COUNT_MAX 1000
#define FOLLOW_INTERVAL_MS 500

static const struct option_spec tail_options[] = {
    {"--follow", OPTION_FLAG, NULL, "go on with what is written from now", 'f'},
    {"--count", OPTION_VALUE, "NUMBER", "entries from the end to begin with (default 20)", 0},
    AUDIT_ALL_TENANTS_OPTION,
    {0}};

static const char *first_of(const json_t *entry, const char *a, const char *b) {
    const char *text = member_text(entry, a);
    return text[0] ? text : member_text(entry, b);
}

static void put_member(const json_t *entry, const char *member, const char *label) {
    const char *text = member_text(entry, member);
    if (!text[0])
        return;
    printf(" %s", label);
    terminal_put(stdout, text);
}

static void put_number(const json_t *entry, const char *member, const char *label) {
    const json_t *number = json_object_get(entry, member);
    if (number)
        printf(" %s%lld", label, (long long)json_integer_value(number));
}

// What the vault says by itself is a sentence about itself, and no thing that was named.
static const char *subject_label(const json_t *entry) {
    if (strcmp(member_text(entry, "kind"), "vault") || member_text(entry, "administrator")[0])
        return "on ";
    return strcmp(member_text(entry, "operation"), "vault.unseal") ? "" : "with device ";
}

// One line: time, outcome, what, who, on what, why.
void audit_entry_print(const json_t *entry) {
    const char *outcome = member_text(entry, "outcome");
    terminal_put(stdout, first_of(entry, "time", "at"));
    printf("  %-5s  ", outcome[0] ? outcome : "-");
    printf("%-18s", first_of(entry, "operation", "kind"));
    put_member(entry, "tenant", "");
    put_member(entry, "administrator", "by ");
    put_member(entry, "principal", "for ");
    put_member(entry, "actor", "through ");
    put_member(entry, "credential", "credential ");
    put_member(entry, "model", "model ");
    put_number(entry, "max_tokens", "max_tokens ");
    put_member(entry, "method", "");
    put_member(entry, "host", "");
    put_member(entry, "path", "");
    // The subject of a change is often the credential or tenant that was named.
    const char *subject = member_text(entry, "subject");
    if (strcmp(subject, member_text(entry, "credential")) &&
        strcmp(subject, member_text(entry, "tenant")))
        put_member(entry, "subject", subject_label(entry));
    put_member(entry, "policies", "policies ");
    put_member(entry, "reason", "because: ");
    const json_t *repeats = json_object_get(entry, "repeats");
    if (repeats)
        printf(" (%lld more of the same)", (long long)json_integer_value(repeats));
    putchar('\n');
}

static int page_print(struct command *command, const json_t *page) {
    const json_t *entries = json_object_get(page, "entries");
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        if (command->wants_json) { // one object a line, so that --follow can be piped
            json_dumpf(entry, stdout, JSON_COMPACT | JSON_SORT_KEYS);
            putchar('\n');
        } else {
            audit_entry_print(entry);
        }
    }
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

// While the vault or its auditor restarts, whoever follows waits and is told once.
static int page_fetch_again(struct command *command, const struct vault_call *call,
                            json_t **ret_page) {
    bool was_told = false;
    int status;
    do {
        struct fault fault = {0};
        status = EXIT_FAILED;
        struct vault *vault = command_admin(command, &status);
        if (!vault)
            return status;
        vlt_result result = vault_call(vault, call, &fault, ret_page, NULL);
        if (vlt_is_ok(result))
            return EXIT_OK;
        if (result.class != VLT_UNAVAILABLE)
            return command_fail(command, result, &fault);
        if (!was_told)
            fprintf(stderr, "vaultctl: %s; waiting for it\n", fault_or_reason(&fault, result));
        was_told = true;
        status = output_pause(FOLLOW_INTERVAL_MS);
    } while (status == EXIT_OK);
    return status;
}

// `is_following`: entries were shown, and more are waited for.
static int page_fetch(struct command *command, const char *query, bool is_following,
                      json_t **ret_page) {
    struct buf path;
    buf_init(&path, 512);
    buf_put_format(&path, "/v1/audit?%s", query);
    const char *tenant = audit_tenant(command);
    if (tenant) {
        buf_put_text(&path, "&tenant=");
        vault_put_segment(&path, tenant);
    }
    const struct vault_call call = {.method = "GET", .path = buf_text(&path)};
    int status = EXIT_FAILED;
    if (call.path)
        status = is_following ? page_fetch_again(command, &call, ret_page)
                              : command_call(command, &call, ret_page);
    buf_done(&path);
    return status;
}

static int run_tail(struct command *command) {
    struct fault fault = {0};
    unsigned long count = 0;
    if (!vlt_is_ok(command_number(command, "--count", COUNT_MAX, COUNT_DEFAULT, &fault, &count)) ||
        count == 0)
        return command_usage(command, "%s", fault.text[0] ? fault.text : "--count must be above 0");
    char query[64];
    bool is_following = false;
    snprintf(query, sizeof query, "count=%lu", count);
    for (;;) {
        json_t *page = NULL;
        int status = page_fetch(command, query, is_following, &page);
        if (status == EXIT_OK)
            status = page_print(command, page);
        long long next = (long long)json_integer_value(json_object_get(page, "next"));
        bool has_more = json_array_size(json_object_get(page, "entries")) > 0;
        json_decref(page);
        if (status == EXIT_OK && !has_more && !is_following)
            audit_tenant_hint(command);
        if (status != EXIT_OK || !command_flag(command, "--follow"))
            return status;
        snprintf(query, sizeof query, "first=%lld&count=%d", next, COUNT_MAX);
        is_following = true;
        if (!has_more)
            status = output_pause(FOLLOW_INTERVAL_MS);
        if (status != EXIT_OK)
            return status;
    }
}

const struct verb verb_audit_tail = {
    .noun = "audit",
    .name = "tail",
    .arguments = "",
    .summary = "Show the newest audit entries",
    .details =
        "Without --tenant (VAULTCTL_TENANT) the entries of every tenant are shown, and those of\n"
        "none (start, stop, keys). With --follow it ends when nobody reads what it shows any\n"
        "more, and waits for a vault that restarts.",
    .examples =
        "  vaultctl audit tail -f\n  vaultctl audit tail --tenant acme --count 200 --json\n",
    .options = tail_options,
    .run = run_tail};
