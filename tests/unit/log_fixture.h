// SPDX-License-Identifier: Apache-2.0
// A log in a folder, made by the test itself: entries, every level of tiles, and the
// checkpoint of it, signed if need be. For unit tests of what reads logs.
#ifndef VLT_TESTS_UNIT_LOG_FIXTURE_H
#define VLT_TESTS_UNIT_LOG_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "libvault/audit/checkpoint.h"
#include "libvault/audit/tile.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"

#define MADE_ORIGIN "log.example"
#define MADE_ENTRY_MAX 256

// Writes entry `sequence`.
typedef void made_entry(uint64_t sequence, char ret_entry[MADE_ENTRY_MAX]);

static void made_put(int to, const char *file, struct bytes content) {
    assert_true(vlt_is_ok(tile_file_write(to, file, content, false, NULL)));
}

static inline bool made_holds(int in, const char *file, const char *text) {
    struct buf content;
    buf_init(&content, NOTE_MAX_BYTES);
    bool is_so = vlt_is_ok(tile_file_read(in, file, content.max, NULL, &content)) &&
                 bytes_equal_text(buf_bytes(&content), text);
    buf_done(&content);
    return is_so;
}

static void made_plain(uint64_t sequence, char entry[MADE_ENTRY_MAX]) {
    snprintf(entry, MADE_ENTRY_MAX, "{\"kind\":\"x\",\"sequence\":%llu}",
             (unsigned long long)sequence);
}

static inline void made_prune(uint64_t sequence, const char *outcome, uint64_t until,
                              char entry[MADE_ENTRY_MAX]) {
    snprintf(entry, MADE_ENTRY_MAX,
             "{\"administrator\":\"uid ~\",\"kind\":\"vault\",\"operation\":\"audit.prune\","
             "\"outcome\":\"%s\",\"sequence\":%llu,\"subject\":\"entries 1 to %llu\"}",
             outcome, (unsigned long long)sequence, (unsigned long long)until);
}

static void made_bundle(int to, uint64_t number, unsigned width, made_entry *entry,
                        struct merkle_hash *leaves) {
    char file[TILE_PATH_MAX], text[MADE_ENTRY_MAX];
    struct buf bundle;
    buf_init(&bundle, TILE_BUNDLE_MAX);
    for (unsigned i = 0; i < width; i++) {
        entry(number * TILE_WIDTH + i + 1, text);
        assert_true(vlt_is_ok(tile_entry_put(&bundle, bytes_of_text(text))));
        assert_true(vlt_is_ok(merkle_leaf(bytes_of_text(text), &leaves[i])));
    }
    tile_path(TILE_ENTRIES, number, width, file);
    made_put(to, file, buf_bytes(&bundle));
    buf_done(&bundle);
}

// Tiles of one level; what they give above replaces the hashes. How many those are.
static uint64_t made_level(int to, unsigned level, struct merkle_hash *hashes, uint64_t count) {
    char file[TILE_PATH_MAX];
    for (uint64_t first = 0; first < count; first += TILE_WIDTH) {
        uint64_t left = count - first;
        unsigned width = left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH;
        struct merkle_range range;
        struct merkle_hash above;
        tile_path(level, first / TILE_WIDTH, width, file);
        made_put(to, file, bytes_of(&hashes[first], width * sizeof *hashes));
        merkle_range_init(&range);
        for (unsigned i = 0; i < width; i++)
            assert_true(vlt_is_ok(merkle_range_add(&range, &hashes[first + i])));
        assert_true(vlt_is_ok(merkle_range_root(&range, &above)));
        hashes[first / TILE_WIDTH] = above;
    }
    return count / TILE_WIDTH;
}

// `entry` NULL: plain ones.
static inline struct checkpoint made_log(int to, uint64_t size, made_entry *entry) {
    struct checkpoint checkpoint = {.origin = MADE_ORIGIN, .size = size};
    struct merkle_hash *hashes = calloc(size, sizeof *hashes);
    struct merkle_range range;
    assert_non_null(hashes);
    merkle_range_init(&range);
    for (uint64_t first = 0; first < size; first += TILE_WIDTH)
        made_bundle(to, first / TILE_WIDTH, tile_width(0, first / TILE_WIDTH, size),
                    entry ? entry : made_plain, hashes + first);
    for (uint64_t i = 0; i < size; i++)
        assert_true(vlt_is_ok(merkle_range_add(&range, &hashes[i])));
    assert_true(vlt_is_ok(merkle_range_root(&range, &checkpoint.root)));
    uint64_t count = size;
    for (unsigned level = 0; count; level++)
        count = made_level(to, level, hashes, count);
    free(hashes);
    return checkpoint;
}

static inline void made_key(const char *name, enum note_key_type type, struct jwk **ret_signer,
                            struct note_key *ret_key) {
    EVP_PKEY *pkey;
    uint8_t public_key[32];
    assert_true(vlt_is_ok(pkey_generate(PKEY_ED25519, &pkey)));
    assert_true(vlt_is_ok(jwk_of_pkey(pkey, NULL, ret_signer)));
    assert_true(vlt_is_ok(pkey_ed25519_public((*ret_signer)->pkey, public_key)));
    assert_true(vlt_is_ok(note_key_init(bytes_of_text(name), type, public_key, ret_key)));
}

// What is in the note is all of its text; the signature comes behind it.
static inline void made_sign(struct jwk *signer, const struct note_key *key, struct buf *note) {
    uint8_t signature[JWS_SIGNATURE_MAX];
    size_t size;
    assert_true(vlt_is_ok(jws_sign_raw(signer, buf_bytes(note), signature, &size)));
    buf_put_byte(note, '\n');
    note_signature_put(note, key->name, key->id, bytes_of(signature, size));
    assert_false(buf_failed(note));
}

static inline void made_checkpoint(int to, const struct checkpoint *checkpoint,
                                   struct jwk *signer, const struct note_key *key) {
    struct buf note;
    buf_init(&note, 4096);
    checkpoint_put(checkpoint, &note);
    made_sign(signer, key, &note);
    made_put(to, "checkpoint", buf_bytes(&note));
    buf_done(&note);
}

#endif
