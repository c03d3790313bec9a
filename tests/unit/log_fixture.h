// SPDX-License-Identifier: Apache-2.0
// A log in a folder, made by the test itself: entries, every level of tiles, and the
// checkpoint of it, signed if need be. For unit tests of what reads logs.
#ifndef VLT_TESTS_UNIT_LOG_FIXTURE_H
#define VLT_TESTS_UNIT_LOG_FIXTURE_H

#include <ftw.h>
#include <stdio.h>

#include "libvault/audit/checkpoint.h"
#include "libvault/audit/tile.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"

#define MADE_ORIGIN "log.example"
#define MADE_ENTRY_MAX 256

// Writes entry `sequence`.
typedef void made_entry(uint64_t sequence, char ret_entry[MADE_ENTRY_MAX]);

static void made_put(int folder, const char *file, struct bytes content) {
    assert_true(vlt_is_ok(tile_file_write(folder, file, content, false, NULL)));
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

static void made_bundle(int folder, uint64_t number, unsigned width, made_entry *entry,
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
    made_put(folder, file, buf_bytes(&bundle));
    buf_done(&bundle);
}

// Tiles of one level; what they give above replaces the hashes. How many those are.
static uint64_t made_level(int folder, unsigned level, struct merkle_hash *hashes, uint64_t count) {
    char file[TILE_PATH_MAX];
    for (uint64_t first = 0; first < count; first += TILE_WIDTH) {
        uint64_t left = count - first;
        unsigned width = left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH;
        struct merkle_range range;
        struct merkle_hash above;
        tile_path(level, first / TILE_WIDTH, width, file);
        made_put(folder, file, bytes_of(&hashes[first], width * sizeof *hashes));
        merkle_range_init(&range);
        for (unsigned i = 0; i < width; i++)
            assert_true(vlt_is_ok(merkle_range_add(&range, &hashes[first + i])));
        assert_true(vlt_is_ok(merkle_range_root(&range, &above)));
        hashes[first / TILE_WIDTH] = above;
    }
    return count / TILE_WIDTH;
}

// `entry` NULL: plain ones.
static inline struct checkpoint made_log(int folder, uint64_t size, made_entry *entry) {
    struct checkpoint checkpoint = {.origin = MADE_ORIGIN, .size = size};
    struct merkle_hash *hashes = calloc(size, sizeof *hashes);
    struct merkle_range range;
    assert_non_null(hashes);
    merkle_range_init(&range);
    for (uint64_t first = 0; first < size; first += TILE_WIDTH)
        made_bundle(folder, first / TILE_WIDTH, tile_width(0, first / TILE_WIDTH, size),
                    entry ? entry : made_plain, hashes + first);
    for (uint64_t i = 0; i < size; i++)
        assert_true(vlt_is_ok(merkle_range_add(&range, &hashes[i])));
    assert_true(vlt_is_ok(merkle_range_root(&range, &checkpoint.root)));
    uint64_t count = size;
    for (unsigned level = 0; count; level++)
        count = made_level(folder, level, hashes, count);
    free(hashes);
    return checkpoint;
}

static inline void made_key(struct jwk **ret_signer, struct note_key *ret_key) {
    EVP_PKEY *pkey;
    uint8_t public_key[32];
    assert_true(vlt_is_ok(pkey_generate(PKEY_ED25519, &pkey)));
    assert_true(vlt_is_ok(jwk_of_pkey(pkey, NULL, ret_signer)));
    assert_true(vlt_is_ok(pkey_ed25519_public((*ret_signer)->pkey, public_key)));
    assert_true(
        vlt_is_ok(note_key_init(bytes_of_text(MADE_ORIGIN), NOTE_ED25519, public_key, ret_key)));
}

static inline void made_checkpoint(int folder, const struct checkpoint *checkpoint,
                                   struct jwk *signer, const struct note_key *key) {
    struct buf note;
    uint8_t signature[JWS_SIGNATURE_MAX];
    size_t size;
    buf_init(&note, 4096);
    checkpoint_put(checkpoint, &note);
    assert_true(vlt_is_ok(jws_sign_raw(signer, buf_bytes(&note), signature, &size)));
    buf_put_byte(&note, '\n');
    note_signature_put(&note, MADE_ORIGIN, key->id, bytes_of(signature, size));
    made_put(folder, "checkpoint", buf_bytes(&note));
    buf_done(&note);
}

static int made_remove_one(const char *name, const struct stat *status, int kind,
                           struct FTW *ftw) {
    return remove(name);
}
static int made_remove(const char *path) {
    return nftw(path, made_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
