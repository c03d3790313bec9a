// SPDX-License-Identifier: Apache-2.0
// Journal and publisher through what a machine does to them: killed at random
// instants, disks that fill up, files that were changed. Each child writes
// entries and tells the numbers of those that are durable; afterwards each of
// them must be there, and journal, tiles and checkpoint must agree.
#include <sys/wait.h>
#include <time.h>

#include "tests/unit/auditor_fixture.h"
#include "tests/unit/check.h"
#include "vaultd/auditor/patrol.h"
#include "vaultd/auditor/spare.h"

#define KILLS 200
#define FULL_DISKS 60

static vlt_result add_some(struct log_file *file, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        uint64_t sequence;
        struct audit_event event = {.kind = AUDIT_REDEEM, .outcome = AUDIT_ALLOW, .at_us = 1,
                                    .path = BYTES_LITERAL("/v1/chat/completions")};
        VLT_TRY(log_file_add(file, &event, &sequence));
    }
    return log_file_sync(file, &fault);
}

static vlt_result publish(struct log_file *file, struct publisher **publisher) {
    struct publisher_start start = start_of(file);
    if (!*publisher)
        VLT_TRY(publisher_open(&start, &fault, publisher));
    VLT_TRY(publisher_advance(*publisher, log_file_durable(file), &fault));
    return write_checkpoint(file, *publisher);
}

// A child's life: groups of entries, from time to time a checkpoint. What is
// durable is told through the pipe.
static void write_until_killed(int told, unsigned seed) {
    struct log_file *file;
    struct publisher *publisher = NULL;
    srand(seed);
    if (!vlt_is_ok(log_file_open(folder_path, &fault, &file)))
        _exit(9);
    for (;;) {
        if (rand() % 8 == 0 && !log_file_has_spare(file) &&
            vlt_is_ok(spare_make(log_file_folder_open(file), &fault)))
            log_file_set_spare(file);
        if (vlt_is_ok(add_some(file, (unsigned)rand() % 200 + 1))) {
            uint64_t durable = log_file_durable(file);
            if (write(told, &durable, sizeof durable) != sizeof durable)
                _exit(8);
        }
        if (rand() % 4 == 0 && !vlt_is_ok(publish(file, &publisher))) {
            publisher_close(publisher);
            publisher = NULL;
        }
    }
}

// Everything fits together, and at least `durable` entries are there.
static void check_folder(uint64_t durable) {
    struct log_file *file = open_log();
    struct publisher *publisher = NULL;
    assert_true(log_file_durable(file) >= durable);
    const struct checkpoint before = *log_file_checkpoint(file);
    assert_ok(publish(file, &publisher));
    struct merkle_proof proof;
    const struct checkpoint *after = log_file_checkpoint(file);
    assert_no_fault(publisher_prove(publisher, before.size, &fault, &proof));
    if (before.size)
        assert_ok(merkle_consistency_verify(before.size, &before.root, after->size, &after->root,
                                            &proof));
    // Each entry bears its number and gives the hash of its tile.
    struct tile_reader reader;
    assert_ok(tile_reader_init(&reader, folder, after->size));
    struct merkle_source source = tile_reader_source(&reader);
    for (uint64_t index = before.size; index < after->size; index++) {
        struct bytes entry;
        struct merkle_hash leaf, stored;
        assert_ok(tile_reader_entry(&reader, index, &entry));
        assert_numbered(entry, index + 1);
        assert_ok(merkle_leaf(entry, &leaf));
        assert_ok(source.read(0, index, source.context, &stored));
        assert_true(merkle_hash_equal(&leaf, &stored));
    }
    tile_reader_done(&reader);
    publisher_close(publisher);
    log_file_close(file);
}

// The last number that arrived whole.
static uint64_t read_told(int fd) {
    uint64_t told, last = 0;
    while (read(fd, &told, sizeof told) == sizeof told)
        last = told;
    return last;
}

static uint64_t live_and_die(unsigned seed, unsigned most_us, void (*prepare)(unsigned seed)) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        if (prepare)
            prepare(seed);
        write_until_killed(ends[1], seed);
    }
    close(ends[1]);
    const struct timespec life = {0, (long)(seed * 7919u % most_us) * 1000L};
    nanosleep(&life, NULL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    uint64_t last = read_told(ends[0]);
    close(ends[0]);
    return last;
}

static void log_survives_kill_at_random_instants(void **state) {
    uint64_t durable = 0;
    for (unsigned i = 0; i < KILLS; i++) {
        uint64_t told = live_and_die(i + 1, 30000, NULL);
        durable = told > durable ? told : durable;
        if (i % 5 == 4)
            check_folder(durable);
    }
    check_folder(durable);
    assert_true(durable > KILLS);
}

// No file may grow beyond this: writes fail half way, as on a full disk.
static void fill_disk(unsigned seed) {
    const struct rlimit limit = {1000 + seed * 6151 % 60000, 1000 + seed * 6151 % 60000};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        _exit(7);
}

static void log_survives_full_disk(void **state) {
    uint64_t durable = 0;
    for (unsigned i = 0; i < FULL_DISKS; i++) {
        uint64_t told = live_and_die(i + 1, 20000, fill_disk);
        durable = told > durable ? told : durable;
        check_folder(durable);
    }
}

// ---- Files that were changed ----

static void fill(unsigned entries) {
    struct log_file *file = open_log();
    struct publisher *publisher = NULL;
    assert_ok(add_some(file, entries));
    assert_ok(publish(file, &publisher));
    publisher_close(publisher);
    log_file_close(file);
}

static vlt_result open_again(void) {
    struct log_file *file;
    struct publisher *publisher = NULL;
    VLT_TRY(log_file_open(folder_path, &fault, &file));
    struct publisher_start start = start_of(file);
    vlt_result result = publisher_open(&start, &fault, &publisher);
    publisher_close(publisher);
    log_file_close(file);
    return result;
}

static void flip(const char *name, long at) {
    FILE *file = fdopen(openat(folder, name, O_RDWR | O_CLOEXEC), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    fputc(byte ^ 1, file);
    fclose(file);
}

static void open_rejects_what_was_changed(void **state) {
    fill(700);
    assert_no_fault(open_again());
    flip(FIRST, -20); // behind the last full tile
    assert_int_equal(open_again().class, VLT_CONFLICT);
    flip(FIRST, -20);
    assert_no_fault(open_again());
    flip("tile/1/000.p/2", 40); // what was left of the last full tile
    assert_int_equal(open_again().class, VLT_CONFLICT);
    flip("tile/1/000.p/2", 40);
    assert_no_fault(open_again());
    flip("checkpoint", 0); // only the name of the log
    flip("checkpoint", 20);
    assert_int_equal(open_again().class, VLT_CONFLICT);
}

static void open_rejects_a_shorter_journal(void **state) {
    fill(700);
    cut(FIRST, size_of(FIRST) / 2);
    assert_int_equal(open_again().class, VLT_CONFLICT);
    assert_non_null(strstr(fault.text, "700"));
    assert_int_equal(unlinkat(folder, FIRST, 0), 0);
    assert_int_equal(open_again().class, VLT_CONFLICT);
}

static void open_rejects_a_log_without_a_journal(void **state) {
    fill(512); // all in full tiles: no entry is known to be missing
    assert_int_equal(unlinkat(folder, FIRST, 0), 0);
    assert_int_equal(open_again().class, VLT_CONFLICT);
    assert_non_null(strstr(fault.text, "journal"));
    assert_int_equal(unlinkat(folder, "checkpoint", 0), 0); // as before the first one
    assert_int_equal(open_again().class, VLT_CONFLICT);
}

// ---- Files that are looked after ----

static vlt_result looks(struct patrol *patrol, const struct checkpoint *at, unsigned count) {
    vlt_result result = vlt_ok();
    for (unsigned i = 0; i < count && vlt_is_ok(result); i++)
        result = patrol_look(patrol, folder, at, &fault);
    return result;
}

static void patrol_rejects_what_it_can_not_read(void **state) {
    static const char bundle[] = "tile/entries/001";
    struct patrol patrol = {.next = 0};
    struct checkpoint at;
    fill(700);
    assert_no_fault(publisher_read_checkpoint(folder, &fault, &at));
    assert_ok(looks(&patrol, &at, 20));
    for (int is_there = 0; is_there < 2; is_there++) {
        assert_int_equal(renameat(folder, bundle, folder, "away"), 0);
        assert_true(!is_there || mkdirat(folder, bundle, 0755) == 0);
        unsigned patience = is_there ? PATROL_UNREAD_LOOKS : PATROL_BAD_LOOKS;
        assert_ok(looks(&patrol, &at, patience - 1));
        assert_int_equal(looks(&patrol, &at, 1).class, VLT_CONFLICT);
        assert_non_null(strstr(fault.text, bundle));
        assert_int_equal(looks(&patrol, &at, 1).class, VLT_CONFLICT);
        assert_true(!is_there || unlinkat(folder, bundle, AT_REMOVEDIR) == 0);
        assert_int_equal(renameat(folder, "away", folder, bundle), 0);
        assert_ok(looks(&patrol, &at, 20));
        assert_int_equal(patrol.bad_looks, 0);
    }
}

// Reading goes on behind what was pruned, and says how far it has got.
static void read_accepts_a_pruned_log(void **state) {
    struct log_file *file = open_log();
    struct publisher *publisher = NULL;
    struct buf lines;
    uint64_t next = 0;
    const struct audit_event pruning = {.kind = AUDIT_VAULT,
                                        .outcome = AUDIT_ALLOW,
                                        .at_us = 1,
                                        .operation = BYTES_LITERAL("audit.prune"),
                                        .subject = BYTES_LITERAL("entries 1 to 512")};
    assert_ok(add_some(file, 600));
    assert_no_fault(spare_make(log_file_folder_open(file), &fault));
    log_file_set_spare(file);
    assert_ok(add_some(file, 600)); // in a file of their own
    assert_ok(log_file_add(file, &pruning, &next));
    assert_no_fault(log_file_sync(file, &fault));
    assert_ok(publish(file, &publisher));
    buf_init(&lines, 1 << 20);
    assert_ok(log_file_read(file, 1, 2, bytes_of(NULL, 0), &lines, &next)); // from tiles
    assert_int_equal(next, 3);
    assert_ok(tile_file_write(folder, "pruned", BYTES_LITERAL("512\n1201\n"),
                              false, &fault));
    assert_int_equal(unlinkat(folder, "tile/entries/000", 0), 0);
    assert_int_equal(unlinkat(folder, "tile/entries/001", 0), 0);
    buf_clear(&lines);
    assert_ok(log_file_read(file, 1, 2, bytes_of(NULL, 0), &lines, &next));
    assert_int_equal(next, 515);
    assert_non_null(strstr(buf_text(&lines), "\"sequence\":513,"));
    buf_clear(&lines);
    assert_ok(log_file_read(file, UINT64_MAX, 1000, bytes_of(NULL, 0), &lines, &next));
    assert_int_equal(next, 1202);
    // That the file is there is looked at each time, not when the turn of what is gone comes.
    struct patrol patrol = {.next = 4, .pruned = 512};
    assert_ok(looks(&patrol, log_file_checkpoint(file), PATROL_BAD_LOOKS));
    assert_int_equal(patrol.bad_looks, 0);
    // The log permits it, but it was not the vault that did it.
    patrol = (struct patrol){.next = 4, .pruned = 256};
    assert_ok(looks(&patrol, log_file_checkpoint(file), PATROL_BAD_LOOKS - 1));
    assert_int_equal(looks(&patrol, log_file_checkpoint(file), 1).class, VLT_CONFLICT);
    assert_non_null(strstr(fault.text, "entries 1 to 512 are gone, and the vault has pruned 256"));
    assert_int_equal(patrol.pruned, 256);
    patrol = (struct patrol){.next = 4, .pruned = 512};
    assert_int_equal(unlinkat(folder, "pruned", 0), 0);
    patrol.next = 4;
    assert_ok(looks(&patrol, log_file_checkpoint(file), PATROL_BAD_LOOKS - 1));
    assert_int_equal(looks(&patrol, log_file_checkpoint(file), 1).class, VLT_CONFLICT);
    assert_non_null(strstr(fault.text, "the file pruned does not say any more"));
    buf_clear(&lines); // forged: nothing is passed over because of it
    assert_ok(tile_file_write(folder, "pruned", BYTES_LITERAL("512\n1200\n"),
                              false, &fault));
    assert_int_equal(log_file_read(file, 1, 2, bytes_of(NULL, 0), &lines, &next).class, VLT_CRYPTO);
    buf_done(&lines);
    publisher_close(publisher);
    log_file_close(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_CASE(log_survives_kill_at_random_instants),
        LOG_CASE(log_survives_full_disk),
        LOG_CASE(open_rejects_what_was_changed),
        LOG_CASE(open_rejects_a_shorter_journal),
        LOG_CASE(open_rejects_a_log_without_a_journal),
        LOG_CASE(patrol_rejects_what_it_can_not_read),
        LOG_CASE(read_accepts_a_pruned_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
