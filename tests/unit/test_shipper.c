// SPDX-License-Identifier: Apache-2.0
// The shipper's parts without a network: positions, syslog frames, batches of a
// log, the file that others follow.
#include "tests/unit/check.h"
#include "tests/unit/folder_fixture.h"
#include "vaultd/shipper/position.h"
#include "vaultd/shipper/sink.h"
#include "vaultd/shipper/syslog_frame.h"

static const char entry[] = "{\"kind\":\"redeem\",\"outcome\":\"deny\",\"sequence\":8,\"time\":"
                            "\"2026-01-02T03:04:05.678Z\"}";

// ---- Positions ----

static void position_accepts_what_was_saved(void **state) {
    struct position position = {.next = 7};
    assert_ok(position_load(folder, NULL, &position));
    assert_int_equal(position.next, 0);
    assert_string_equal(position.origin, "");
    const struct position saved = {"log.example", 4711};
    assert_ok(position_save(folder, &saved, NULL));
    assert_ok(position_load(folder, NULL, &position));
    assert_string_equal(position.origin, "log.example");
    assert_int_equal(position.next, 4711);
}

static void position_rejects_what_it_did_not_write(void **state) {
    static const char *const texts[] = {"",
                                        "\n",
                                        "log\n",
                                        "log\n1",
                                        "log\n01\n",
                                        "log\n-1\n",
                                        "log\n1\n\n",
                                        "log\n1\nx",
                                        "a b\n1\n",
                                        "\n1\n",
                                        "log\n18446744073709551616\n"};
    struct position position = {.next = 9};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(position_parse(bytes_of_text(texts[i]), &position).class, VLT_MALFORMED);
    assert_int_equal(position.next, 9); // untouched
    assert_ok(tile_file_write(folder, "position", BYTES_LITERAL("nonsense"), false, NULL));
    assert_int_equal(position_load(folder, NULL, &position).class, VLT_MALFORMED);
}

static void position_survives_mutation(void **state) {
    static const char good[] = "log.example\n4711\n";
    for (size_t at = 0; at < sizeof good - 1; at++)
        for (unsigned with = 0; with < 256; with++) {
            char text[sizeof good];
            struct position position;
            memcpy(text, good, sizeof good);
            text[at] = (char)with;
            if (vlt_is_ok(position_parse(bytes_of(text, sizeof good - 1), &position)))
                assert_true(position.origin[0] && !strchr(position.origin, '\n'));
        }
}

// ---- Frames ----

static void frame_of(const char *text, uint64_t index, const char *origin, struct buf *out) {
    buf_clear(out);
    syslog_frame_put(out, bytes_of_text(text), index, origin);
    assert_false(buf_failed(out));
}

static void frame_accepts_entries(void **state) {
    struct buf out;
    char wanted[512];
    buf_init(&out, 4096);
    frame_of(entry, 7, "log.example", &out);
    snprintf(
        wanted, sizeof wanted,
        "<108>1 2026-01-02T03:04:05.678Z log.example vaultd - redeem [meta sequenceId=\"8\"] %s",
        entry);
    char framed[600];
    snprintf(framed, sizeof framed, "%zu %s", strlen(wanted), wanted);
    assert_string_equal(buf_text(&out), framed);
    frame_of("{\"kind\":\"issue\",\"outcome\":\"allow\"}", 2147483647, "log/a b", &out);
    assert_non_null(
        strstr(buf_text(&out), "<110>1 - log/a vaultd - issue [meta sequenceId=\"1\"] {"));
    buf_done(&out);
}

// Whatever a member holds, the header stays a header: printable, without spaces.
static void frame_survives_any_entry(void **state) {
    static const char *const texts[] = {
        "",
        "{}",
        "{\"kind\":\"",
        "{\"kind\":\"a b\"}",
        "{\"kind\":\"\\n\"}",
        "{\"time\":\"\xff\"}",
        "{\"kind\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"};
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *rest;
        frame_of(texts[i], i, "", &out);
        const char *text = buf_text(&out);
        size_t size = strtoul(text, &rest, 10);
        assert_int_equal(strlen(rest + 1), size);
        unsigned spaces = 0;
        for (const char *at = rest + 1; *at && *at != '['; at++)
            spaces += *at == ' ';
        assert_int_equal(spaces, 6);
    }
    buf_done(&out);
}

// ---- A log ----

static void put_bundle(unsigned count, unsigned width) {
    char path[TILE_PATH_MAX], line[64];
    struct buf bundle;
    buf_init(&bundle, TILE_BUNDLE_MAX);
    for (unsigned i = 0; i < count; i++) {
        int size = snprintf(line, sizeof line, "{\"sequence\":%u}", i + 1);
        assert_ok(tile_entry_put(&bundle, bytes_of(line, (size_t)size)));
    }
    tile_path(TILE_ENTRIES, 0, width, path);
    assert_ok(tile_file_write(folder, path, buf_bytes(&bundle), false, NULL));
    buf_done(&bundle);
}

static void source_accepts_a_log(void **state) {
    struct source_batch batch;
    source_batch_init(&batch);
    put_bundle(20, 20);
    assert_ok(source_read(folder, 20, 17, NULL, &batch));
    assert_int_equal(batch.count, 3);
    assert_int_equal(batch.entries[2].index, 19);
    assert_true(bytes_equal_text(batch.entries[2].entry, "{\"sequence\":20}"));
    assert_true(bytes_equal_text(buf_bytes(&batch.lines),
                                 "{\"sequence\":18}\n{\"sequence\":19}\n{\"sequence\":20}\n"));
    source_batch_done(&batch);
}

static void source_rejects_what_is_not_there(void **state) {
    struct source_batch batch;
    struct checkpoint checkpoint = {.size = 5};
    source_batch_init(&batch);
    assert_ok(source_checkpoint(folder, NULL, &checkpoint));
    assert_int_equal(checkpoint.size, 0);
    assert_ok(tile_file_write(folder, "checkpoint", BYTES_LITERAL("no note"), false, NULL));
    assert_int_equal(source_checkpoint(folder, NULL, &checkpoint).class, VLT_MALFORMED);
    assert_int_equal(source_read(folder, 20, 3, NULL, &batch).class, VLT_NOT_FOUND);
    put_bundle(10, 20); // fewer than its name says
    assert_int_equal(source_read(folder, 20, 3, NULL, &batch).class, VLT_MALFORMED);
    source_batch_done(&batch);
}

// ---- The file ----

static void file_has(const char *path, const char *wanted) {
    char got[256] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, got, sizeof got - 1) >= 0);
    close(fd);
    assert_string_equal(got, wanted);
}

static void put_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void file_survives_rotation_and_a_torn_line(void **state) {
    char path[96], other[96];
    struct source_batch batch;
    struct fault fault = {0};
    unsigned pause_ms = 0;
    snprintf(path, sizeof path, "%s/out", folder_path);
    snprintf(other, sizeof other, "%s/out.1", folder_path);
    const struct shipping_settings settings = {.target = {[SINK_FILE] = path}};
    source_batch_init(&batch);
    buf_put_text(&batch.lines, "{1}\n");
    put_file(path, "{0}\n{1");
    struct sink *sink = file_sink.open(&settings);
    assert_non_null(sink);
    assert_ok(file_sink.deliver(sink, &batch, "log", &fault, &pause_ms));
    file_has(path, "{0}\n{1}\n");
    assert_int_equal(rename(path, other), 0);
    assert_ok(file_sink.deliver(sink, &batch, "log", &fault, &pause_ms));
    file_has(path, "{1}\n");
    file_has(other, "{0}\n{1}\n");
    file_sink.close(sink);
    assert_int_equal(remove(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    sink = file_sink.open(&settings);
    assert_int_equal(file_sink.deliver(sink, &batch, "log", &fault, &pause_ms).class,
                     VLT_UNAVAILABLE);
    assert_non_null(strstr(fault.text, path));
    file_sink.close(sink);
    source_batch_done(&batch);
}

// ---- What is shared ----

static void shipping_accepts_new_settings_and_reports(void **state) {
    struct shipping shipping;
    struct tell_settings_shipper tell = {.file = BYTES_LITERAL("/one")};
    struct sink_report report = {
        .is_on = true, .confirmed = 3, .entries = 10, .failures = 1, .problem = "say \"why\""};
    struct buf text;
    buf_init(&text, 4096);
    assert_ok(shipping_init(&shipping));
    assert_ok(shipping_configure(&shipping, &tell));
    struct shipping_settings *held = shipping_hold(&shipping);
    tell.file = BYTES_LITERAL("/two");
    assert_ok(shipping_configure(&shipping, &tell));
    assert_string_equal(held->target[SINK_FILE], "/one"); // while it is held
    shipping_wait(&shipping, held, 60000);                // others are there already
    shipping_release(&shipping, held);
    shipping_report(&shipping, SINK_FILE, &report);
    shipping_describe(&shipping, &text);
    assert_string_equal(
        buf_text(&text),
        "{\"file\":{\"confirmed\":3,\"behind\":7,\"failures\":1,\"problem\":\"say \\\"why\\\"\"}}");
    shipping_release(&shipping, shipping.settings);
    buf_done(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FOLDER_CASE(position_accepts_what_was_saved),
        FOLDER_CASE(position_rejects_what_it_did_not_write),
        cmocka_unit_test(position_survives_mutation),
        cmocka_unit_test(frame_accepts_entries),
        cmocka_unit_test(frame_survives_any_entry),
        FOLDER_CASE(source_accepts_a_log),
        FOLDER_CASE(source_rejects_what_is_not_there),
        FOLDER_CASE(file_survives_rotation_and_a_torn_line),
        cmocka_unit_test(shipping_accepts_new_settings_and_reports),
    };
    return cmocka_run_group_tests_name("shipper", tests, NULL, NULL);
}
