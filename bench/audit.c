// SPDX-License-Identifier: Apache-2.0
// bench_audit [FOLDER]: entries per second that become durable, in groups as the
// auditor forms them under load; how fast they are cut into tiles; how fast a
// whole log is verified. Works in a fresh folder below FOLDER (default /var/tmp),
// which should be on the disk that is of interest.
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "libvault/audit/log_verify.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"
#include "vaultd/auditor/log_file.h"
#include "vaultd/auditor/publisher.h"

#define ENTRIES 200000u

static struct fault fault;

static void must(vlt_result result) {
    if (vlt_is_ok(result))
        return;
    fprintf(stderr, "bench_audit: %s\n", fault_or_reason(&fault, result));
    exit(EXIT_FAILURE);
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add(struct log_file *file, unsigned count) {
    const struct audit_event event = {
        .kind = AUDIT_REDEEM, .outcome = AUDIT_ALLOW, .version = 3, .at_us = 1763690000000000,
        .tenant = BYTES_LITERAL("default"), .operation = BYTES_LITERAL("token.redeem"),
        .principal = BYTES_LITERAL("https://idp.example|alice"), .client = BYTES_LITERAL("agent-7"),
        .token_id = BYTES_LITERAL("0123456789abcdef0123456789abcdef"),
        .credential = BYTES_LITERAL("openai-prod"), .policies = BYTES_LITERAL("team-uses-openai"),
        .method = BYTES_LITERAL("POST"), .host = BYTES_LITERAL("api.openai.com"),
        .path = BYTES_LITERAL("/v1/chat/completions"), .model = BYTES_LITERAL("gpt-4o-mini"),
        .forwarder = BYTES_LITERAL("nginx"), .source = BYTES_LITERAL("192.0.2.7"),
        .correlation = BYTES_LITERAL("5f1c0a6e2b9d4e77")};
    uint64_t sequence;
    for (unsigned i = 0; i < count; i++)
        must(log_file_add(file, &event, &sequence));
    must(log_file_sync(file, &fault));
}

static void bench_durable(struct log_file *file, unsigned group) {
    unsigned count = 0;
    double began = now_s(), took;
    do {
        add(file, group);
        count += group;
        took = now_s() - began;
    } while (took < 1.0 && log_file_durable(file) < ENTRIES);
    printf("durable, groups of %-5u %10.0f entries/s %8.2f ms each sync\n", group, count / took,
           took * 1e3 * group / count);
}

static void sign(struct checkpoint *checkpoint, struct buf *note, struct note_key *key) {
    EVP_PKEY *pkey;
    struct jwk *jwk;
    uint8_t public_key[32], signature[JWS_SIGNATURE_MAX];
    size_t size;
    must(pkey_generate(PKEY_ED25519, &pkey));
    must(pkey_ed25519_public(pkey, public_key));
    must(jwk_of_pkey(pkey, NULL, &jwk));
    must(note_key_init(bytes_of_text(checkpoint->origin), NOTE_ED25519, public_key, key));
    checkpoint_put(checkpoint, note);
    must(jws_sign_raw(jwk, buf_bytes(note), signature, &size));
    buf_put_byte(note, '\n');
    note_signature_put(note, key->name, key->id, bytes_of(signature, size));
    jwk_free(jwk);
}

static void bench_publish(struct log_file *file, const char *folder) {
    const struct publisher_start start = {
        .folder = folder, .segment = 1, .durable = log_file_durable(file)};
    struct publisher *publisher;
    struct checkpoint checkpoint = {.origin = "bench.example"};
    struct log_verified got;
    struct note_key key;
    struct signed_note note;
    signed_note_init(&note);
    must(publisher_open(&start, &fault, &publisher));
    double began = now_s();
    must(publisher_advance(publisher, log_file_durable(file), &fault));
    checkpoint.size = publisher_size(publisher);
    must(publisher_root(publisher, &checkpoint.root));
    printf("cut into tiles           %10.0f entries/s\n",
           (double)checkpoint.size / (now_s() - began));
    sign(&checkpoint, &note.note, &key);
    must(publisher_write_checkpoint(publisher, &note, &fault));
    const struct log_verify what = {.folder = open(folder, O_RDONLY | O_DIRECTORY), .key = &key};
    began = now_s();
    must(log_verify(&what, &fault, &got));
    printf("verified                 %10.0f entries/s\n",
           (double)got.checkpoint.size / (now_s() - began));
    note_key_done(&key);
    signed_note_done(&note);
    close(what.folder);
    publisher_close(publisher);
}

static int remove_each(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    return remove(path);
}

int main(int argc, char **argv) {
    static const unsigned groups[] = {1, 8, 32, 128, 1024};
    char folder[400];
    struct log_file *file;
    snprintf(folder, sizeof folder, "%s/bench-audit.XXXXXX", argc > 1 ? argv[1] : "/var/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        return EXIT_FAILURE;
    }
    must(secret_heap_open(1u << 20, &fault));
    must(log_file_open(folder, &fault, &file));
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        bench_durable(file, groups[i]);
    while (log_file_durable(file) < ENTRIES)
        add(file, 4096);
    bench_publish(file, folder);
    log_file_close(file);
    nftw(folder, remove_each, 16, FTW_DEPTH | FTW_PHYS);
    return EXIT_SUCCESS;
}
