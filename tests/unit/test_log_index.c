// SPDX-License-Identifier: Apache-2.0
// Index files of a log that the auditor's own code has written.
#include "libvault/audit/log_index.h"
#include "libvault/base/clock.h"
#include "tests/unit/auditor_fixture.h"
#include "tests/unit/check.h"

#define ENTRIES (LOG_INDEX_SPAN + 300u)

static int log_folder, index_folder;

#define SET_BACK 30000 // from this entry on

// A second each, and then the clock was set back far before the first.
static uint64_t time_of(unsigned i) {
    return 1763690000000000 + (uint64_t)i * 1000000 - (i < SET_BACK ? 0 : 40000 * 1000000ULL);
}

// One credential in every entry, a principal in one entry of each 1,000, a token
// id of each entry; entry 70 is of an agent with a quote in its name.
static void write_log(const char *name, char first) {
    char path[96];
    struct log_file *file;
    struct publisher *publisher;
    snprintf(path, sizeof path, "%s/%s", folder_path, name);
    assert_ok(log_file_open(path, &fault, &file));
    for (unsigned i = 0; i < ENTRIES; i++) {
        char token[32], principal[32];
        uint64_t sequence;
        snprintf(token, sizeof token, "%c-%u", first, i);
        snprintf(principal, sizeof principal, "idp|user-%u", i / 1000);
        const struct audit_event event = {
            .kind = AUDIT_REDEEM,
            .outcome = AUDIT_ALLOW,
            .at_us = time_of(i),
            .operation = BYTES_LITERAL("token.redeem"),
            .credential = BYTES_LITERAL("one two"),
            .principal = bytes_of_text(i % 1000 ? "idp|everybody" : principal),
            .actor = i == 70 ? BYTES_LITERAL("an \"agent\"") : bytes_of(NULL, 0),
            .token_id = bytes_of_text(token)};
        assert_ok(log_file_add(file, &event, &sequence));
        if (i % 4096 == 4095 || i + 1 == ENTRIES)
            assert_ok(log_file_sync(file, &fault));
    }
    const struct publisher_start start = {.folder = path, .segment = 1, .durable = 0};
    assert_ok(publisher_open(&start, &fault, &publisher));
    assert_ok(publisher_advance(publisher, log_file_durable(file), &fault));
    publisher_close(publisher);
    log_file_close(file);
}

static int begin(void **state) {
    if (log_make(state) != 0 || mkdirat(folder, "index", 0700) != 0)
        return -1;
    write_log("log", 'a');
    log_folder = openat(folder, "log", O_RDONLY | O_DIRECTORY);
    index_folder = openat(folder, "index", O_RDONLY | O_DIRECTORY);
    return log_folder >= 0 && index_folder >= 0 ? 0 : -1;
}

static int end(void **state) {
    close(log_folder);
    close(index_folder);
    return folder_drop(state);
}

static unsigned bundles_of(const struct log_index *index, const char *member, const char *text,
                           unsigned *ret_last) {
    uint64_t bundles[4];
    unsigned count = 0;
    log_index_find(index, member, bytes_of_text(text), bundles);
    for (unsigned i = 0; i < 256; i++)
        if (bundles[i / 64] >> (i & 63) & 1) {
            count++;
            *ret_last = i;
        }
    return count;
}

static void index_accepts_what_is_in_the_log(void **state) {
    struct tile_reader reader;
    struct log_index index;
    unsigned last = 999;
    assert_ok(tile_reader_init(&reader, log_folder, ENTRIES));
    assert_ok(log_index_build(&reader, 0, index_folder, &fault));
    assert_ok(log_index_open(index_folder, 0, &reader, &index));
    assert_int_equal(bundles_of(&index, "principal", "idp|user-65", &last), 1);
    assert_int_equal(last, 65000 / 256);
    assert_int_equal(bundles_of(&index, "token_id", "a-12345", &last), 1);
    assert_int_equal(last, 12345 / 256);
    assert_int_equal(bundles_of(&index, "credential", "one", &last), 256);
    assert_int_equal(bundles_of(&index, "credential", "two", &last), 256);
    assert_int_equal(bundles_of(&index, "credential", "one two", &last), 0); // words
    assert_int_equal(bundles_of(&index, "actor", "an \\\"agent\\\"", &last), 1); // as spelled
    assert_int_equal(last, 0);
    assert_int_equal(bundles_of(&index, "principal", "nobody", &last), 0);
    assert_int_equal(bundles_of(&index, "client", "a-12345", &last), 0); // another member
    assert_int_equal(bundles_of(&index, "token_id", "a-65536", &last), 0); // behind the span
    char text[CLOCK_TEXT_SIZE];
    clock_text((int64_t)time_of(SET_BACK), text);
    assert_string_equal(index.earliest, text);
    clock_text((int64_t)time_of(SET_BACK - 1), text);
    assert_string_equal(index.latest, text);
    log_index_close(&index);
    tile_reader_done(&reader);
}

static void index_rejects_a_span_that_is_not_whole(void **state) {
    struct tile_reader reader;
    assert_ok(tile_reader_init(&reader, log_folder, ENTRIES));
    assert_false(vlt_is_ok(log_index_build(&reader, 1, index_folder, &fault)));
    tile_reader_done(&reader);
}

static void index_rejects_what_is_missing_or_of_another_log(void **state) {
    struct tile_reader reader, other_reader;
    struct log_index index;
    write_log("other", 'b');
    int other_folder = openat(folder, "other", O_RDONLY | O_DIRECTORY);
    assert_ok(tile_reader_init(&reader, log_folder, ENTRIES));
    assert_ok(tile_reader_init(&other_reader, other_folder, ENTRIES));
    assert_int_equal(log_index_open(index_folder, 1, &reader, &index).class, VLT_NOT_FOUND);
    assert_ok(log_index_build(&reader, 0, index_folder, &fault));
    assert_int_equal(log_index_open(index_folder, 0, &other_reader, &index).class, VLT_CRYPTO);
    tile_reader_done(&reader);
    tile_reader_done(&other_reader);
    close(other_folder);
}

// Some hundred places over the whole file, each byte of its head.
static void index_survives_damage(void **state) {
    struct tile_reader reader;
    struct log_index index;
    struct buf good;
    char name[LOG_INDEX_NAME_SIZE];
    buf_init(&good, LOG_INDEX_MAX_BYTES);
    log_index_name(0, name);
    assert_ok(tile_reader_init(&reader, log_folder, ENTRIES));
    assert_ok(log_index_build(&reader, 0, index_folder, &fault));
    assert_ok(tile_file_read(index_folder, name, LOG_INDEX_MAX_BYTES, &fault, &good));
    for (size_t at = 0; at < good.size; at += at < 160 ? 1 : good.size / 200) {
        good.at[at] ^= 0x10;
        assert_ok(tile_file_write(index_folder, name, buf_bytes(&good), false, &fault));
        assert_int_equal(log_index_open(index_folder, 0, &reader, &index).class, VLT_CRYPTO);
        good.at[at] ^= 0x10;
        if (at % 3 == 0) {
            assert_ok(tile_file_write(index_folder, name, bytes_of(good.at, at), false, &fault));
            assert_int_equal(log_index_open(index_folder, 0, &reader, &index).class, VLT_CRYPTO);
        }
    }
    buf_done(&good);
    tile_reader_done(&reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_accepts_what_is_in_the_log),
        cmocka_unit_test(index_rejects_a_span_that_is_not_whole),
        cmocka_unit_test(index_rejects_what_is_missing_or_of_another_log),
        cmocka_unit_test(index_survives_damage),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
