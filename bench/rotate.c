// SPDX-License-Identifier: Apache-2.0
// How fast the credentials of one tenant are re-encrypted, what that does to the
// store's size and to a commit that comes meanwhile. A whole keeper on one loop,
// with a real SoftHSM and a real store.
//
//   rotate [RECORDS]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libvault/base/clock.h"
#include "libvault/crypto/random.h"
#include "libvault/secret/secret.h"
#include "libvault/store/record_credential.h"
#include "tests/unit/keeper_fixture.h"
#include "vaultd/ipc/rotation_kind.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/reencrypt.h"
#include "vaultd/keeper/rotate_tenant.h"

#define VALUE_BYTES 51 // of a usual API key
#define EACH_COMMIT 100

static struct keeper_fixture fixture;

static void must(vlt_result result, const char *what) {
    if (vlt_is_ok(result))
        return;
    fprintf(stderr, "%s: %s\n", what, result.reason);
    exit(1);
}

// ---- Records, as answer_credential_put makes the secret half of them ----

struct made {
    uint8_t name[RECORD_SECRET_NAME_MAX], value[512];
    size_t name_bytes, value_bytes;
};

static void make_record(const struct xaes_key *key, unsigned long number, struct made *made) {
    char name[32], hosts[64], plaintext[VALUE_BYTES + 1];
    uint8_t room[RECORD_SECRET_NAME_MAX], context[2048], nonce[XAES_NONCE_SIZE],
        sealed[VALUE_BYTES + XAES_TAG_SIZE];
    struct wire_writer w;
    snprintf(name, sizeof name, "credential-%lu", number);
    snprintf(plaintext, sizeof plaintext, "sk-%048lu", number);
    wire_writer_init(&w, hosts, sizeof hosts);
    wire_put_text(&w, "api.openai.com");
    struct record_credential_secret secret = {.algorithm = 1,
                                              .data_key = 1,
                                              .profile = BYTES_LITERAL("openai"),
                                              .hosts = bytes_of(hosts, w.size),
                                              .parameters = BYTES_LITERAL("{}")};
    wire_writer_init(&w, context, sizeof context);
    record_credential_context(&w, 1, bytes_of_text(name), 1, &secret);
    must(random_bytes(nonce, sizeof nonce), "nonce");
    must(xaes_seal(key, nonce, bytes_of(context, w.size), (const uint8_t *)plaintext, VALUE_BYTES,
                   sealed),
         "seal");
    secret.nonce = bytes_of(nonce, sizeof nonce);
    secret.ciphertext = bytes_of(sealed, sizeof sealed);
    wire_writer_init(&w, made->value, sizeof made->value);
    record_credential_secret_put(&w, &secret);
    made->value_bytes = w.size;
    struct bytes key_name = record_credential_secret_name(bytes_of_text(name), 1, room);
    memcpy(made->name, key_name.at, made->name_bytes = key_name.size);
}

// Before anything else runs: the loop is not turned, so this thread may commit.
static void fill(unsigned long records) {
    static struct made made[EACH_COMMIT];
    static struct store_change changes[EACH_COMMIT];
    const struct xaes_key *key = datakey_find(fixture.keeper->datakeys, 1, 1);
    static struct store_commit_group groups[1];
    for (unsigned long done = 0; done < records;) {
        size_t count = 0;
        while (count < EACH_COMMIT && done < records) {
            make_record(key, done++, &made[count]);
            changes[count] =
                (struct store_change){.tenant = 1,
                                      .class = STORE_CREDENTIAL_SECRET,
                                      .name = bytes_of(made[count].name, made[count].name_bytes),
                                      .value = bytes_of(made[count].value, made[count].value_bytes),
                                      .expected_revision = 0};
            count++;
        }
        groups[0] = (struct store_commit_group){.changes = changes, .count = count};
        must(store_commit_groups(fixture.keeper->store, groups, 1), "commit");
    }
}

static double file_mib(void) {
    char path[160];
    struct stat status;
    snprintf(path, sizeof path, "%s/data.mdb", fixture.store_path);
    return stat(path, &status) == 0 ? (double)status.st_size / 1048576 : 0;
}

// ---- The rotation ----

struct rotated {
    bool is_done;
    vlt_result result;
};
static void rotated(vlt_result result, const struct answer_rotate *answer, void *context) {
    struct rotated *done = context;
    *done = (struct rotated){true, result};
}

static struct bytes event(void) {
    static uint8_t room[256];
    struct audit_event made = {.kind = AUDIT_ADMIN, .outcome = AUDIT_ALLOW};
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &made);
    return bytes_of(room, w.size);
}

static int by_time(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool is_running(void) {
    struct rotate_datakeys keys;
    must(store_snapshot_begin(fixture.keeper->store), "snapshot");
    must(rotate_datakeys_read(fixture.keeper, 1, &keys), "data keys");
    store_snapshot_end(fixture.keeper->store);
    return keys.count > 1;
}

#define WRITES_MAX 100000

int main(int argc, char **argv) {
    static int64_t waits_us[WRITES_MAX];
    unsigned long records = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    struct fault fault = {0};
    must(secret_heap_open((size_t)24 << 20, &fault), "secret heap");
    keeper_fixture_begin(&fixture, HSM_PKCS11);
    keeper_fixture_start(&fixture);
    must(fixture_init(&fixture), "init");
    const struct put_request request = {
        .tenant = 1, .name = "writer", .value = "sk-1", .host = "api.example"};
    must(fixture_put(&fixture, &request, NULL), "put");
    fill(records);
    double before_mib = file_mib();
    struct rotated done = {.is_done = false};
    struct ask_rotate ask = {.kind = ROTATION_TENANT,
                             .tenant = 1,
                             .records_per_s = ROTATION_RATE_UNLIMITED,
                             .event = event()};
    int64_t began_ms = clock_elapsed_ms();
    ask_rotate(fixture.mine[IPC_ADMIN], &ask, rotated, &done);
    keeper_fixture_wait(&fixture, &done.is_done);
    must(done.result, "rotate");
    size_t writes = 0;
    while (is_running()) { // somebody changes a credential all the time
        struct timespec from, to;
        struct put_request change = request;
        change.rotates = true;
        clock_gettime(CLOCK_MONOTONIC, &from);
        must(fixture_put(&fixture, &change, NULL), "a put during the rotation");
        clock_gettime(CLOCK_MONOTONIC, &to);
        if (writes < WRITES_MAX)
            waits_us[writes++] =
                (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000;
    }
    int64_t took_ms = clock_elapsed_ms() - began_ms;
    qsort(waits_us, writes, sizeof *waits_us, by_time);
    printf("%lu records re-encrypted in %.2f s: %.0f/s\n", records, (double)took_ms / 1000,
           (double)records * 1000 / (double)(took_ms ? took_ms : 1));
    printf("store %.1f MiB before, %.1f MiB after: %.2f times\n", before_mib, file_mib(),
           file_mib() / before_mib);
    if (writes)
        printf("%zu puts meanwhile: median %.1f ms, p99 %.1f ms, longest %.1f ms\n", writes,
               (double)waits_us[writes / 2] / 1000, (double)waits_us[writes * 99 / 100] / 1000,
               (double)waits_us[writes - 1] / 1000);
    keeper_fixture_end(&fixture);
    return 0;
}
