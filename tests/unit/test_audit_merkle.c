// SPDX-License-Identifier: Apache-2.0
// Trees of every size up to some bound: what the compact range says, what the
// stored tiles say and what proofs say is the same; nothing else is accepted.
#include "libvault/audit/tile.h"
#include "tests/unit/check.h"
#include "tests/unit/folder_fixture.h"

#define LEAVES 70

static struct merkle_hash leaves[LEAVES], roots[LEAVES + 1];

static vlt_result read_slowly(unsigned level, uint64_t index, void *context,
                              struct merkle_hash *ret_hash) {
    if (level == 0) {
        *ret_hash = leaves[index];
        return vlt_ok();
    }
    struct merkle_hash left, right;
    VLT_TRY(read_slowly(level - 1, 2 * index, context, &left));
    VLT_TRY(read_slowly(level - 1, 2 * index + 1, context, &right));
    return merkle_node(&left, &right, ret_hash);
}
static const struct merkle_source source = {read_slowly, NULL};

static int make_tree(void **state) {
    struct merkle_range range;
    merkle_range_init(&range);
    for (unsigned i = 0; i < LEAVES; i++) {
        char entry[16];
        int size = snprintf(entry, sizeof entry, "entry %u", i);
        if (!vlt_is_ok(merkle_range_root(&range, &roots[i])) ||
            !vlt_is_ok(merkle_leaf(bytes_of(entry, (size_t)size), &leaves[i])) ||
            !vlt_is_ok(merkle_range_add(&range, &leaves[i])))
            return -1;
    }
    return vlt_is_ok(merkle_range_root(&range, &roots[LEAVES])) ? 0 : -1;
}

static void root_accepts_rfc6962_hashes(void **state) {
    static const uint8_t empty[4] = {0xe3, 0xb0, 0xc4, 0x42},
                         leaf_of_nothing[4] = {0x6e, 0x34, 0x0b, 0x9c};
    struct merkle_hash hash;
    assert_memory_equal(roots[0].at, empty, 4);
    assert_ok(merkle_leaf(bytes_of(NULL, 0), &hash));
    assert_memory_equal(hash.at, leaf_of_nothing, 4);
    for (uint64_t size = 0; size <= LEAVES; size++) {
        assert_ok(merkle_root(&source, size, &hash));
        assert_true(merkle_hash_equal(&hash, &roots[size]));
    }
}

static void inclusion_accepts_own_proof_and_rejects_others(void **state) {
    for (uint64_t size = 1; size <= LEAVES; size++)
        for (uint64_t index = 0; index < size; index++) {
            struct merkle_proof proof;
            assert_ok(merkle_inclusion_prove(&source, index, size, &proof));
            assert_ok(merkle_inclusion_verify(&leaves[index], index, size, &proof, &roots[size]));
            assert_false(vlt_is_ok(
                merkle_inclusion_verify(&leaves[index], index + 1, size, &proof, &roots[size])));
            assert_false(vlt_is_ok(
                merkle_inclusion_verify(&leaves[index], index, size, &proof, &roots[size - 1])));
            proof.count++; // trailing garbage
            proof.hashes[proof.count - 1] = roots[0];
            assert_false(vlt_is_ok(
                merkle_inclusion_verify(&leaves[index], index, size, &proof, &roots[size])));
            proof.count--;
            for (size_t i = 0; i < proof.count; i++) {
                proof.hashes[i].at[i % 32] ^= 0x10;
                assert_false(vlt_is_ok(
                    merkle_inclusion_verify(&leaves[index], index, size, &proof, &roots[size])));
                proof.hashes[i].at[i % 32] ^= 0x10;
            }
            if (proof.count) {
                proof.count--;
                assert_false(vlt_is_ok(
                    merkle_inclusion_verify(&leaves[index], index, size, &proof, &roots[size])));
            }
        }
    struct merkle_proof none;
    assert_int_equal(merkle_inclusion_prove(&source, 3, 3, &none).class, VLT_LIMIT);
}

static void consistency_accepts_own_proof_and_rejects_others(void **state) {
    struct merkle_proof proof;
    for (uint64_t size = 1; size <= LEAVES; size++)
        for (uint64_t old = 1; old <= size; old++) {
            assert_ok(merkle_consistency_prove(&source, old, size, &proof));
            assert_ok(merkle_consistency_verify(old, &roots[old], size, &roots[size], &proof));
            assert_false(vlt_is_ok(
                merkle_consistency_verify(old, &roots[old - 1], size, &roots[size], &proof)));
            assert_false(vlt_is_ok(
                merkle_consistency_verify(old, &roots[old], size, &roots[size - 1], &proof)));
            for (size_t i = 0; i < proof.count; i++) {
                proof.hashes[i].at[31] ^= 1;
                assert_false(vlt_is_ok(
                    merkle_consistency_verify(old, &roots[old], size, &roots[size], &proof)));
                proof.hashes[i].at[31] ^= 1;
            }
        }
    proof.count = 0;
    assert_false(vlt_is_ok(merkle_consistency_verify(0, &roots[0], 5, &roots[5], &proof)));
    assert_false(vlt_is_ok(merkle_consistency_verify(0, &roots[0], 0, &roots[0], &proof)));
    assert_false(vlt_is_ok(merkle_consistency_verify(5, &roots[5], 4, &roots[4], &proof)));
    assert_int_equal(merkle_consistency_prove(&source, 5, 4, &proof).class, VLT_LIMIT);
}

// ---- Tiles ----

static void tile_path_accepts_every_number(void **state) {
    static const struct {
        unsigned level, width;
        uint64_t number;
        const char *path;
    } cases[] = {{0, 256, 0, "tile/0/000"},
                 {0, 256, 1234067, "tile/0/x001/x234/067"},
                 {2, 17, 999, "tile/2/999.p/17"},
                 {TILE_ENTRIES, 256, 1000, "tile/entries/x001/000"},
                 {TILE_ENTRIES, 1, 5, "tile/entries/005.p/1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[TILE_PATH_MAX];
        tile_path(cases[i].level, cases[i].number, cases[i].width, path);
        assert_string_equal(path, cases[i].path);
    }
    assert_int_equal(tile_width(0, 273, 70000), 112);
    assert_int_equal(tile_width(1, 0, 70000), 256);
    assert_int_equal(tile_width(1, 1, 70000), 17);
    assert_int_equal(tile_width(2, 0, 70000), 1);
    assert_int_equal(tile_width(3, 0, 70000), 0);
    assert_int_equal(tile_width(0, 0, 0), 0);
}

static void bundle_survives_truncation(void **state) {
    struct buf bundle;
    buf_init(&bundle, 1 << 20);
    assert_ok(tile_entry_put(&bundle, BYTES_LITERAL("first")));
    assert_ok(tile_entry_put(&bundle, bytes_of(NULL, 0)));
    assert_ok(tile_entry_put(&bundle, BYTES_LITERAL("third")));
    for (size_t size = 0; size <= bundle.size; size++) {
        struct bytes rest = bytes_of(bundle.at, size), entry;
        size_t count = 0;
        while (rest.size && vlt_is_ok(tile_entry_take(&rest, &entry)))
            count++;
        assert_int_equal(count, size < 7 ? 0 : size < 9 ? 1 : size < 16 ? 2 : 3);
    }
    uint8_t *large = calloc(1, TILE_ENTRY_MAX + 1);
    assert_non_null(large);
    assert_int_equal(tile_entry_put(&bundle, bytes_of(large, TILE_ENTRY_MAX + 1)).class, VLT_LIMIT);
    free(large);
    buf_done(&bundle);
}

static void file_accepts_and_rejects(void **state) {
    struct fault fault = {0};
    struct buf got;
    buf_init(&got, 1000);
    assert_int_equal(tile_file_read(folder, "tile/0/000", 100, &fault, &got).class, VLT_NOT_FOUND);
    assert_ok(tile_file_write(folder, "tile/0/x001/000.p/3", BYTES_LITERAL("abc"), true, &fault));
    assert_ok(tile_file_write(folder, "tile/0/x001/000.p/3", BYTES_LITERAL("abcd"), false, &fault));
    assert_ok(tile_file_read(folder, "tile/0/x001/000.p/3", 100, &fault, &got));
    assert_true(bytes_equal_text(buf_bytes(&got), "abcd"));
    assert_int_equal(tile_file_read(folder, "tile/0/x001/000.p/3", 3, &fault, &got).class,
                     VLT_LIMIT);
    assert_int_equal(tile_file_read(folder, "tile/0", 100, &fault, &got).class, VLT_UNAVAILABLE);
    // A hash that the tile is too short for.
    struct tile_reader reader;
    struct merkle_hash hash;
    assert_ok(tile_reader_init(&reader, folder, 256003));
    struct merkle_source tiles = tile_reader_source(&reader);
    assert_int_equal(tiles.read(0, 256000, tiles.context, &hash).class, VLT_MALFORMED);
    assert_int_equal(tiles.read(0, 256256, tiles.context, &hash).class, VLT_LIMIT);
    tile_reader_done(&reader);
    buf_done(&got);
}

// What stands under the temporary name: it is neither waited for nor followed.
static void file_survives_what_has_its_temporary_name(void **state) {
    struct fault fault = {0};
    struct buf got;
    buf_init(&got, 100);
    alarm(10);
    assert_int_equal(mkfifoat(folder, ".new", 0600), 0);
    assert_ok(tile_file_write(folder, "a", BYTES_LITERAL("fifo"), false, &fault));
    assert_int_equal(symlinkat("a", folder, ".new"), 0);
    assert_ok(tile_file_write(folder, "b", BYTES_LITERAL("link"), true, &fault));
    assert_int_equal(linkat(folder, "a", folder, ".new", 0), 0); // once its content was cut
    assert_ok(tile_file_write(folder, "b", BYTES_LITERAL("file"), true, &fault));
    assert_int_equal(mkdirat(folder, ".new", 0700), 0);
    assert_int_equal(tile_file_write(folder, "b", BYTES_LITERAL("folder"), true, &fault).class,
                     VLT_UNAVAILABLE);
    alarm(0);
    assert_non_null(strstr(fault.text, ".new"));
    assert_ok(tile_file_read(folder, "a", 100, &fault, &got));
    assert_ok(tile_file_read(folder, "b", 100, &fault, &got));
    assert_true(bytes_equal_text(buf_bytes(&got), "fifofile"));
    buf_done(&got);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_accepts_rfc6962_hashes),
        cmocka_unit_test(inclusion_accepts_own_proof_and_rejects_others),
        cmocka_unit_test(consistency_accepts_own_proof_and_rejects_others),
        cmocka_unit_test(tile_path_accepts_every_number),
        cmocka_unit_test(bundle_survives_truncation),
        FOLDER_CASE(file_accepts_and_rejects),
        FOLDER_CASE(file_survives_what_has_its_temporary_name),
    };
    return cmocka_run_group_tests(tests, make_tree, NULL);
}
