// SPDX-License-Identifier: Apache-2.0
// bench_audit_log FOLDER COUNT: a log of that many redeems, as the auditor writes
// it, with a signed checkpoint: 1,000 principals, 50 credentials, every token and
// correlation id once. For bench/audit_search.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"
#include "vaultd/auditor/log_file.h"
#include "vaultd/auditor/publisher.h"

#define ORIGIN "bench.example"
#define GROUP 4096u
#define PUBLISH_EACH (1u << 20)

static struct fault fault;

static void must(vlt_result result) {
    if (vlt_is_ok(result))
        return;
    fprintf(stderr, "bench_audit_log: %s\n", fault_or_reason(&fault, result));
    exit(EXIT_FAILURE);
}

#define TEXT(room, ...) bytes_of(room, (size_t)snprintf(room, sizeof room, __VA_ARGS__))

static void add(struct log_file *file, uint64_t number) {
    char principal[64], credential[32], token[40], correlation[40];
    uint64_t sequence;
    const struct audit_event event = {
        .kind = AUDIT_REDEEM,
        .outcome = number % 100 == 99 ? AUDIT_DENY : AUDIT_ALLOW,
        .version = 3,
        .at_us = 1763690000000000 + number * 1000,
        .tenant = BYTES_LITERAL("default"),
        .operation = BYTES_LITERAL("token.redeem"),
        .client = BYTES_LITERAL("agent-7"),
        .principal = TEXT(principal, "https://idp.example|user-%llu",
                          (unsigned long long)(number * 2654435761u % 1000)),
        .credential = TEXT(credential, "credential-%llu", (unsigned long long)(number % 50)),
        .token_id =
            TEXT(token, "%032llx", (unsigned long long)((number + 1) * 0x9e3779b97f4a7c15u)),
        .correlation =
            TEXT(correlation, "%016llx", (unsigned long long)((number + 1) * 0xbf58476d1ce4e5b9u)),
        .policies = BYTES_LITERAL("team-uses-openai"),
        .method = BYTES_LITERAL("POST"),
        .host = BYTES_LITERAL("api.openai.com"),
        .path = BYTES_LITERAL("/v1/chat/completions"),
        .model = BYTES_LITERAL("gpt-4o-mini"),
        .forwarder = BYTES_LITERAL("nginx"),
        .source = BYTES_LITERAL("192.0.2.7")};
    must(log_file_add(file, &event, &sequence));
}

static void sign(struct checkpoint *checkpoint, struct jwk *jwk, struct signed_note *note) {
    struct answer_sign_checkpoint answer = {.last_size = 0};
    uint8_t signature[JWS_SIGNATURE_MAX];
    struct buf body;
    size_t size;
    buf_init(&body, 1024);
    checkpoint_put(checkpoint, &body);
    must(jws_sign_raw(jwk, buf_bytes(&body), signature, &size));
    must(pkey_ed25519_public(jwk->pkey, answer.public_key));
    answer.signature = bytes_of(signature, size);
    must(signed_note_make(note, checkpoint, &answer));
    buf_done(&body);
}

static void publish(struct log_file *file, struct publisher *publisher, struct jwk *jwk) {
    struct checkpoint checkpoint = {.origin = ORIGIN};
    struct signed_note note;
    signed_note_init(&note);
    must(publisher_advance(publisher, log_file_durable(file), &fault));
    checkpoint.size = publisher_size(publisher);
    must(publisher_root(publisher, &checkpoint.root));
    sign(&checkpoint, jwk, &note);
    must(publisher_write_checkpoint(publisher, &note, &fault));
    log_file_trim(file, &checkpoint);
    signed_note_done(&note);
}

int main(int argc, char **argv) {
    struct log_file *file;
    struct publisher *publisher;
    struct jwk *jwk;
    EVP_PKEY *pkey;
    if (argc != 3) {
        fputs("usage: bench_audit_log FOLDER COUNT\n", stderr);
        return EXIT_FAILURE;
    }
    uint64_t count = strtoull(argv[2], NULL, 10);
    must(log_file_open(argv[1], &fault, &file));
    must(pkey_generate(PKEY_ED25519, &pkey));
    must(jwk_of_pkey(pkey, NULL, &jwk));
    const struct publisher_start start = {.folder = argv[1], .segment = 1, .durable = 0};
    must(publisher_open(&start, &fault, &publisher));
    for (uint64_t number = 0; number < count; number++) {
        add(file, number);
        if (number % GROUP == GROUP - 1 || number + 1 == count)
            must(log_file_sync(file, &fault));
        if (number % PUBLISH_EACH == PUBLISH_EACH - 1 || number + 1 == count)
            publish(file, publisher, jwk);
    }
    publisher_close(publisher);
    log_file_close(file);
    jwk_free(jwk);
    return EXIT_SUCCESS;
}
