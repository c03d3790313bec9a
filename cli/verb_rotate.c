// SPDX-License-Identifier: Apache-2.0
// rotate signing, intake, checkpoint, tenant, system, wrapping: begins and follows a rotation. The
// vault does the work; ending this program does not end it, and the same command
// shows it again.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/listing.h"
#include "cli/verbs.h"

#define LOOK_EACH_MS 250

static const struct option_spec key_options[] = {
    {"--emergency", OPTION_FLAG, NULL, "no overlap: what the old key made ends now", 0},
    {"--dry-run", OPTION_FLAG, NULL, "say what would be done, change nothing", 0},
    {0}};
static const struct option_spec tenant_options[] = {
    {"--all", OPTION_FLAG, NULL, "every tenant, one after the other", 0},
    {"--rate", OPTION_VALUE, "RECORDS",
     "records each second at most; 0: no limit (default: the configuration's)", 0},
    {"--detach", OPTION_FLAG, NULL, "do not wait for the end", 0},
    {"--dry-run", OPTION_FLAG, NULL, "say what would be done, change nothing", 0},
    {0}};
static const struct option_spec wrapping_options[] = {
    {"--detach", OPTION_FLAG, NULL, "do not wait for the end", 0},
    {"--dry-run", OPTION_FLAG, NULL, "say what would be done, change nothing", 0},
    {0}};

// What is rotated: "/v1/rotate/signing", or "/v1/tenants/%s/rotate" with a name.
struct target {
    const char *path, *tenant;
};

static int look(struct command *command, const struct target *target, json_t **ret_state) {
    return command_call_path(command, "GET", NULL, ret_state, target->path, target->tenant);
}

static bool is_under_way(const json_t *state) {
    return json_is_true(json_object_get(state, "is_under_way"));
}

static void path_put(struct buf *out, const struct target *target) {
    for (const char *c = target->path; *c; c++)
        if (c[0] == '%' && c[1] == 's') {
            vault_put_segment(out, target->tenant);
            c++;
        } else {
            buf_put_byte(out, (uint8_t)*c);
        }
}

// Begins a new one only if nobody did since we looked: then it is a conflict
// (exit status 5). One that was under way before goes on.
static int begin(struct command *command, const struct target *target, const json_t *seen,
                 json_t *body, json_t **ret_state) {
    struct buf path;
    buf_init(&path, 2048);
    path_put(&path, target);
    const json_t *active = json_object_get(seen, "active");
    const struct vault_call call = {
        .method = "POST",
        .path = buf_text(&path),
        .body = body,
        .expected_revision =
            is_under_way(seen) ? 0
                               : (uint64_t)json_integer_value(json_object_get(active, "revision"))};
    int status = call.path ? command_call(command, &call, ret_state) : EXIT_FAILED;
    buf_done(&path);
    return status;
}

// ---- Progress ----

static void progress_print(const json_t *state, const char *what) {
    char done[CELL_SIZE] = "", left[CELL_SIZE] = "", rate[CELL_SIZE] = "";
    if (!isatty(STDERR_FILENO))
        return;
    member_number(state, "remaining", left);
    member_number(state, "records_per_s", rate);
    fprintf(stderr, "\r%s: %s", what, member_text(state, "state"));
    if (left[0])
        fprintf(stderr, ", %s done, %s left, %s/s, %s s", member_number(state, "done", done), left,
                rate, member_number(state, "left_s", left));
    fputs("   ", stderr);
}

static int follow(struct command *command, const struct target *target, const char *what,
                  json_t **state) {
    const struct timespec wait = {.tv_nsec = LOOK_EACH_MS * 1000000L};
    int status = EXIT_OK;
    bool was_shown = false;
    while (status == EXIT_OK && is_under_way(*state)) {
        progress_print(*state, what);
        was_shown = true;
        nanosleep(&wait, NULL);
        json_decref(*state);
        *state = NULL;
        status = look(command, target, state);
    }
    if (was_shown && isatty(STDERR_FILENO))
        fputc('\n', stderr);
    return status;
}

static void state_print(const json_t *state, const char *what, bool is_dry) {
    const json_t *active = json_object_get(state, "active"), *next = json_object_get(state, "next");
    char at[CELL_SIZE];
    if (is_dry && !is_under_way(state)) {
        printf("%s: key %s, made %s, would be replaced.\n", what, member_text(active, "key"),
               member_time(active, "created_at", at));
        return;
    }
    if (next)
        printf("%s: key %s is published and signs from %s on.\n", what, member_text(next, "key"),
               member_time(next, "promotes_at", at));
    else if (is_under_way(state))
        printf("%s: key %s is in use; the old one is %s.\n", what, member_text(active, "key"),
               member_text(state, "state"));
    else
        printf("%s: key %s is in use.\n", what, member_text(active, "key"));
    const json_t *retired = json_object_get(state, "retired");
    for (size_t i = 0; i < json_array_size(retired); i++) {
        const json_t *old = json_array_get(retired, i);
        const char *until = member_time(old, "destroyed_at", at);
        if (until[0])
            printf("  key %s is kept until %s.\n", member_text(old, "key"), until);
    }
}

// ---- One ----

static json_t *body_of(struct command *command, int *ret_status) {
    struct fault fault = {0};
    unsigned long rate = 0;
    json_t *body = json_object();
    if (command_flag(command, "--emergency"))
        json_object_set_new(body, "emergency", json_true());
    if (!command_option(command, "--rate"))
        return body;
    if (!vlt_is_ok(command_number(command, "--rate", 0xffffffffu, 0, &fault, &rate))) {
        *ret_status = command_usage(command, "%s", fault.text);
        json_decref(body);
        return NULL;
    }
    json_object_set_new(body, "records_per_s",
                        json_integer(rate ? (json_int_t)rate : (json_int_t)0xffffffffu));
    return body;
}

// The state in the end, owned by the caller.
static int run_one(struct command *command, const struct target *target, const char *what,
                   bool waits, json_t **ret_state) {
    int status = EXIT_FAILED;
    json_t *body = body_of(command, &status), *seen = NULL, *state = NULL;
    if (!body)
        return status;
    status = look(command, target, &seen);
    if (status == EXIT_OK && command_flag(command, "--dry-run")) {
        *ret_state = seen;
        json_decref(body);
        return EXIT_OK;
    }
    if (status == EXIT_OK)
        status = begin(command, target, seen, body, &state);
    if (status == EXIT_OK && waits)
        status = follow(command, target, what, &state);
    json_decref(body);
    json_decref(seen);
    if (status == EXIT_OK)
        *ret_state = state;
    else
        json_decref(state);
    return status;
}

static int run_single(struct command *command, const struct target *target, const char *what,
                      bool waits) {
    json_t *state = NULL;
    int status = run_one(command, target, what, waits, &state);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(state) : status;
    state_print(state, what, command_flag(command, "--dry-run"));
    json_decref(state);
    return EXIT_OK;
}

static int run_signing(struct command *command) {
    const struct target target = {"/v1/rotate/signing", NULL};
    return run_single(command, &target, "Signing key", false);
}

static int run_intake(struct command *command) {
    const struct target target = {"/v1/rotate/intake", NULL};
    return run_single(command, &target, "Intake key", false);
}

static int run_checkpoint(struct command *command) {
    const struct target target = {"/v1/rotate/checkpoint", NULL};
    return run_single(command, &target, "Checkpoint key", false);
}

static int run_wrapping(struct command *command) {
    const struct target target = {"/v1/rotate/wrapping", NULL};
    return run_single(command, &target, "Wrapping key", !command_flag(command, "--detach"));
}

static int run_system(struct command *command) {
    const struct target target = {"/v1/rotate/system", NULL};
    return run_single(command, &target, "System data key", !command_flag(command, "--detach"));
}

// ---- All tenants ----

static int run_all(struct command *command) {
    json_t *tenants = NULL, *states = json_array();
    int status = listing_fetch(command, "/v1/tenants", NULL, &tenants);
    for (size_t i = 0; status == EXIT_OK && i < json_array_size(tenants); i++) {
        const struct target target = {"/v1/tenants/%s/rotate",
                                      member_text(json_array_get(tenants, i), "name")};
        char what[160];
        json_t *state = NULL;
        snprintf(what, sizeof what, "Data key of %.64s", target.tenant);
        status = run_one(command, &target, what, !command_flag(command, "--detach"), &state);
        if (status == EXIT_OK && !command->wants_json)
            state_print(state, what, command_flag(command, "--dry-run"));
        if (state)
            json_array_append_new(states, state);
    }
    json_decref(tenants);
    if (status == EXIT_OK && command->wants_json)
        return command_print_json(json_pack("{s:o}", "tenants", states));
    json_decref(states);
    return status;
}

static int run_tenant(struct command *command) {
    const struct target target = {"/v1/tenants/%s/rotate", command->tenant};
    char what[160];
    if (command_flag(command, "--all"))
        return run_all(command);
    snprintf(what, sizeof what, "Data key of %.64s", command->tenant);
    return run_single(command, &target, what, !command_flag(command, "--detach"));
}

const struct verb verb_rotate_signing = {
    .noun = "rotate",
    .name = "signing",
    .arguments = "",
    .summary = "Replace the key that signs tokens",
    .details =
        "The next key is published first (rotation.publication_s), then it signs; tokens of the\n"
        "old one stay valid until they expire. With --emergency the new key signs at once and\n"
        "every token that was issued before is refused from now on. The new key is made where\n"
        "tokens.signing_key in the configuration says: in memory, or in the PKCS#11 device.",
    .examples = "  vaultctl rotate signing\n  vaultctl rotate signing --emergency\n",
    .options = key_options,
    .run = run_signing};
const struct verb verb_rotate_intake = {
    .noun = "rotate",
    .name = "intake",
    .arguments = "",
    .summary = "Replace the key that credentials are sealed to",
    .details =
        "Values that were sealed to the old key are accepted for rotation.intake_overlap_s; with\n"
        "--emergency not at all.",
    .examples = "  vaultctl rotate intake\n",
    .options = key_options,
    .run = run_intake};
const struct verb verb_rotate_checkpoint = {
    .noun = "rotate",
    .name = "checkpoint",
    .arguments = "",
    .summary = "Replace the key that signs checkpoints of the audit log",
    .details =
        "For rotation.checkpoint_overlap_s the old key signs beside the new one, and it signs\n"
        "once who comes after it: `vaultctl audit verify --key OLD` goes on from there, today\n"
        "and later. Give the new key to witnesses meanwhile. With --emergency the old key ends\n"
        "at once and vouches for nothing: who verifies must get the new key another way.",
    .examples = "  vaultctl rotate checkpoint\n",
    .options = key_options,
    .run = run_checkpoint};
const struct verb verb_rotate_tenant = {
    .noun = "rotate",
    .name = "tenant",
    .arguments = "",
    .summary = "Replace the data key of a tenant and re-encrypt its credentials",
    .details =
        "What is written from now on is encrypted under the new key; the rest follows in the\n"
        "background, and the old key is destroyed when no record needs it. Nobody waits. After\n"
        "an interruption the vault goes on by itself; this command shows how far it is.",
    .examples =
        "  vaultctl rotate tenant --tenant acme\n  vaultctl rotate tenant --all --rate 5000\n",
    .options = tenant_options,
    .run = run_tenant};
const struct verb verb_rotate_wrapping = {
    .noun = "rotate",
    .name = "wrapping",
    .arguments = "",
    .summary = "Replace the key in the device and wrap every data key again",
    .details =
        "The device makes another generation; every data key is wrapped by it; then the old\n"
        "generation is destroyed. Backups that were made before can not be opened any more\n"
        "with this device: make a new one.",
    .examples = "  vaultctl rotate wrapping\n",
    .options = wrapping_options,
    .run = run_wrapping};
const struct verb verb_rotate_system = {
    .noun = "rotate",
    .name = "system",
    .arguments = "",
    .summary = "Replace the data key of the vault itself",
    .details =
        "The key under which the vault's signing, intake and checkpoint keys and its own\n"
        "records are encrypted. What is written from now on is encrypted under the new key,\n"
        "the rest follows within seconds, and the old key is destroyed. These keys themselves\n"
        "stay; tokens stay valid.",
    .examples = "  vaultctl rotate system\n  vaultctl rotate system --dry-run\n",
    .options = wrapping_options,
    .run = run_system};
