// SPDX-License-Identifier: Apache-2.0
// The real vaultd-keeper, in its sandbox, with the test as supervisor and peers:
// it works, drains, and survives being killed at any instant.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "libvault/secret/secret.h"
#include "tests/unit/check.h"
#include "tests/unit/keeper_fixture.h"

static struct keeper_fixture fixture;

static int begin_p11(void **state) {
    keeper_fixture_begin(&fixture, HSM_PKCS11);
    *state = &fixture;
    return 0;
}
static int begin_tpm(void **state) {
    keeper_fixture_begin(&fixture, HSM_TPM);
    *state = &fixture;
    return 0;
}
static int end(void **state) {
    keeper_fixture_end(*state);
    return 0;
}

static const struct put_request openai = {
    .tenant = 1, .name = "openai", .value = "value 1", .host = "api.example"};

static void open_it(struct keeper_fixture *f, struct opened_answer *opened) {
    struct token_claims claims;
    struct signed_answer token;
    struct ask_open ask;
    fixture_claims(&claims, "openai", 0x11);
    assert_ok(fixture_sign(f, &claims, 1, 300, &token));
    fixture_open_request(&ask, token.token, "openai", 0x11);
    assert_ok(fixture_open(f, &ask, opened));
}

static void program_accepts_the_main_job(void **state) {
    struct keeper_fixture *f = *state;
    static struct opened_answer opened;
    uint32_t number;
    char status[4096];
    keeper_fixture_spawn(f, KEEPER_PROGRAM);
    keeper_fixture_wait_note(f, "uninitialised");
    assert_ok(fixture_init(f)); // makes the store, from inside the sandbox
    keeper_fixture_wait_note(f, "unsealed");
    assert_ok(fixture_tenant(f, "team-a", &number));
    assert_ok(fixture_put(f, &openai, NULL));
    open_it(f, &opened);
    assert_string_equal(opened.value, "value 1");
    assert_ok(fixture_status(f, status, sizeof status));
    assert_null(strstr(status, "\"secret_memory\":\"none\""));
    assert_ok(fixture_seal(f, true));
    assert_ok(fixture_seal(f, false));
    open_it(f, &opened);
    int ended = keeper_fixture_drain(f);
    assert_true(WIFEXITED(ended));
    assert_int_equal(WEXITSTATUS(ended), 0);
    keeper_fixture_spawn(f, KEEPER_PROGRAM);
    keeper_fixture_wait_note(f, "unsealed");
    open_it(f, &opened);
    assert_string_equal(opened.value, "value 1");
}

static void program_rejects_a_frame_that_is_not_ours(void **state) {
    struct keeper_fixture *f = *state;
    keeper_fixture_spawn(f, KEEPER_PROGRAM);
    keeper_fixture_wait_note(f, "uninitialised");
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    // The broker asks what only the admin may: its channel ends, the keeper lives.
    struct channel *broker = f->mine[IPC_BROKER], *admin = f->mine[IPC_ADMIN];
    f->mine[IPC_ADMIN] = broker;
    assert_false(vlt_is_ok(fixture_seal(f, true)));
    f->mine[IPC_ADMIN] = admin;
    char status[4096];
    assert_ok(fixture_status(f, status, sizeof status));
    assert_non_null(strstr(status, "\"state\":\"unsealed\""));
    assert_null(f->mine[IPC_BROKER]); // cut off
}

// Rotates without a pause; notes each version that was acknowledged.
struct rotation {
    struct keeper_fixture *f;
    uint32_t acknowledged;
};

static void rotate_until(struct rotation *rotation, int64_t until_ms) {
    char value[32];
    while (clock_elapsed_ms() < until_ms) {
        snprintf(value, sizeof value, "value %u", rotation->acknowledged + 1);
        struct put_request next = openai;
        next.value = value;
        next.rotates = rotation->acknowledged > 0;
        assert_ok(fixture_put(rotation->f, &next, &rotation->acknowledged));
    }
}

static void noted(vlt_result result, const struct answer_credential_state *answer, void *context) {}

static void program_survives_kill_9(void **state) {
    struct keeper_fixture *f = *state;
    static struct opened_answer opened;
    char value[32];
    struct rotation rotation = {f, 0};
    keeper_fixture_spawn(f, KEEPER_PROGRAM);
    keeper_fixture_wait_note(f, "uninitialised");
    assert_ok(fixture_init(f));
    for (unsigned round = 0; round < 8; round++) {
        rotate_until(&rotation, clock_elapsed_ms() + 20 + 7 * round);
        // One more is under way when it dies: it is there whole, or not at all.
        struct audit_event event = {.kind = AUDIT_ADMIN, .outcome = AUDIT_ALLOW};
        uint8_t room[256];
        struct wire_writer w;
        wire_writer_init(&w, room, sizeof room);
        audit_event_put(&w, &event);
        struct ask_credential_state ask = {.tenant = 1,
                                           .name = BYTES_LITERAL("openai"),
                                           .state = 1,
                                           .event = bytes_of(room, w.size)};
        ask_credential_state(f->mine[IPC_ADMIN], &ask, noted, NULL);
        keeper_fixture_turn(f, round % 3);
        int ended = keeper_fixture_kill(f, SIGKILL);
        assert_true(WIFSIGNALED(ended));
        keeper_fixture_spawn(f, KEEPER_PROGRAM);
        keeper_fixture_wait_note(f, "unsealed");
        open_it(f, &opened);
        assert_int_equal(opened.version, rotation.acknowledged);
        snprintf(value, sizeof value, "value %u", rotation.acknowledged);
        assert_string_equal(opened.value, value);
    }
    assert_true(rotation.acknowledged > 8);
}

// With a TPM only: SoftHSM keeps its objects in files of this very process and
// loses the whole device when it is killed while it writes one.
static void program_survives_kill_9_during_init(void **state) {
    struct keeper_fixture *f = *state;
    for (unsigned round = 0; round < 6; round++) {
        keeper_fixture_spawn(f, KEEPER_PROGRAM);
        while (!f->note[0])
            keeper_fixture_turn(f, 0);
        if (strcmp(f->note, "uninitialised") != 0)
            break; // the last one had just become whole
        struct audit_event event = {.kind = AUDIT_VAULT, .outcome = AUDIT_ALLOW};
        uint8_t room[256];
        struct wire_writer w;
        wire_writer_init(&w, room, sizeof room);
        audit_event_put(&w, &event);
        struct ask_init ask = {.event = bytes_of(room, w.size)};
        ask_init(f->mine[IPC_ADMIN], &ask, (answer_init_fn *)(void *)noted, NULL);
        keeper_fixture_turn(f, 1 + 6 * round);
        assert_true(WIFSIGNALED(keeper_fixture_kill(f, SIGKILL)));
    }
    if (!f->program) {
        keeper_fixture_spawn(f, KEEPER_PROGRAM);
        while (!f->note[0])
            keeper_fixture_turn(f, 0);
    }
    static struct opened_answer opened;
    if (strcmp(f->note, "uninitialised") == 0)
        assert_ok(fixture_init(f));
    keeper_fixture_wait_note(f, "unsealed");
    assert_ok(fixture_put(f, &openai, NULL));
    open_it(f, &opened);
}

#ifndef VAULT_SANITIZED
static bool maps_hold(pid_t pid, const char *marker) {
    // As root even /proc/pid/mem opens; what matters is what can be read there.
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "r");
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    FILE *memory = fopen(path, "r");
    bool is_found = false;
    size_t size = strlen(marker), readable = 0;
    while (maps && memory && fgets(line, sizeof line, maps)) {
        unsigned long begin, stop;
        if (sscanf(line, "%lx-%lx r", &begin, &stop) != 2 || stop - begin > (64ul << 20))
            continue;
        char *copy = malloc(stop - begin);
        fseek(memory, (long)begin, SEEK_SET);
        size_t got = copy ? fread(copy, 1, stop - begin, memory) : 0;
        readable += got;
        is_found = is_found || (got >= size && memmem(copy, got, marker, size));
        free(copy);
    }
    assert_true(readable > 65536); // else the search proves nothing
    fclose(maps);
    fclose(memory);
    return is_found;
}

// Runs as root here; where the kernel has memfd_secret even root sees nothing.
static void program_survives_a_search_of_its_memory(void **state) {
    struct keeper_fixture *f = *state;
    static struct opened_answer opened;
    struct put_request marked = openai;
    char status[4096];
    marked.value = "marker-4f1c9a77-credential";
    keeper_fixture_spawn(f, KEEPER_PROGRAM);
    keeper_fixture_wait_note(f, "uninitialised");
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &marked, NULL));
    open_it(f, &opened);
    assert_string_equal(opened.value, marked.value);
    assert_ok(fixture_status(f, status, sizeof status));
    if (strstr(status, "\"secret_memory\":\"memfd_secret\""))
        assert_false(maps_hold(f->program, marked.value));
    assert_true(maps_hold(getpid(), marked.value)); // the search does find it where it is
}
#endif

#define P11(test) cmocka_unit_test_setup_teardown(test, begin_p11, end)
#define TPM(test)                                                                                  \
    { #test " (tpm)", test, begin_tpm, end, NULL }

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)8 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
    const struct CMUnitTest tests[] = {
        P11(program_accepts_the_main_job),
        TPM(program_accepts_the_main_job),
        P11(program_rejects_a_frame_that_is_not_ours),
        P11(program_survives_kill_9),
        TPM(program_survives_kill_9),
        TPM(program_survives_kill_9_during_init),
#ifndef VAULT_SANITIZED
        P11(program_survives_a_search_of_its_memory),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
