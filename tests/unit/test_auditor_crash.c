// SPDX-License-Identifier: Apache-2.0
// Journal and publisher through what a machine does to them: killed at random
// instants, disks that fill up, files that were changed. Each child writes
// entries and tells the numbers of those that are durable; afterwards each of
// them must be there, and journal, tiles and checkpoint must agree.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "vaultd/auditor/log_file.h"
#include "vaultd/auditor/patrol.h"
#include "vaultd/auditor/publisher.h"
#include "vaultd/auditor/spare.h"

#define KILLS 200
#define FULL_DISKS 60
#define assert_no_fault(call)                                                                      \
    do {                                                                                           \
        vlt_result assert_result = (call);                                                         \
        if (!vlt_is_ok(assert_result))                                                             \
            fail_msg("%s: %s (%s)", #call, assert_result.reason, fault.text);                      \
    } while (0)

static char folder[] = "/tmp/vault-auditor.XXXXXX";
static struct fault fault;

static void remove_folder(void) {
    char *const argv[] = {(char[]){"rm"}, (char[]){"-rf"}, folder, NULL};
    pid_t child = fork();
    if (child == 0)
        execvp(argv[0], argv);
    waitpid(child, NULL, 0);
}

static int make_folder(void **state) {
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    return mkdtemp(folder) ? 0 : -1;
}
static int drop_folder(void **state) {
    remove_folder();
    return 0;
}

static struct publisher_start start_of(const struct log_file *file) {
    const struct checkpoint *at = log_file_checkpoint(file);
    return (struct publisher_start){
        .folder = folder,
        .segment = log_file_segment_of(file, at->size / TILE_WIDTH * TILE_WIDTH + 1),
        .durable = log_file_durable(file),
        .at = *at};
}

static vlt_result add_some(struct log_file *file, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        uint64_t sequence;
        struct audit_event event = {.kind = AUDIT_REDEEM, .outcome = AUDIT_ALLOW, .at_us = 1,
                                    .path = BYTES_LITERAL("/v1/chat/completions")};
        VLT_TRY(log_file_add(file, &event, &sequence));
    }
    return log_file_sync(file, &fault);
}

// As the keeper would: any signature does, since only its text is looked at here.
static vlt_result publish(struct log_file *file, struct publisher **publisher) {
    struct checkpoint next = {.origin = "log.example"};
    struct publisher_start start = start_of(file);
    if (!*publisher)
        VLT_TRY(publisher_open(&start, &fault, publisher));
    VLT_TRY(publisher_advance(*publisher, log_file_durable(file), &fault));
    next.size = publisher_size(*publisher);
    VLT_TRY(publisher_root(*publisher, &next.root));
    struct signed_note note;
    signed_note_init(&note);
    checkpoint_put(&next, &note.note);
    buf_put_text(&note.note, "\n\xE2\x80\x94 log.example AAAAAAAAAAA=\n");
    buf_put_text(&note.vkeys, "vkey\n");
    vlt_result result = publisher_write_checkpoint(*publisher, &note, &fault);
    signed_note_done(&note);
    if (vlt_is_ok(result))
        log_file_trim(file, &next);
    return result;
}

// A child's life: groups of entries, from time to time a checkpoint. What is
// durable is told through the pipe.
static void write_until_killed(int told, unsigned seed) {
    struct log_file *file;
    struct publisher *publisher = NULL;
    srand(seed);
    if (!vlt_is_ok(log_file_open(folder, &fault, &file)))
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
    struct log_file *file;
    struct publisher *publisher = NULL;
    assert_no_fault(log_file_open(folder, &fault, &file));
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
    int fd = open(folder, O_RDONLY | O_DIRECTORY);
    assert_ok(tile_reader_init(&reader, fd, after->size));
    struct merkle_source source = tile_reader_source(&reader);
    for (uint64_t index = before.size; index < after->size; index++) {
        struct bytes entry;
        struct merkle_hash leaf, stored;
        char number[40];
        int size =
            snprintf(number, sizeof number, "\"sequence\":%llu,", (unsigned long long)index + 1);
        assert_ok(tile_reader_entry(&reader, index, &entry));
        assert_non_null(memmem(entry.at, entry.size, number, (size_t)size));
        assert_ok(merkle_leaf(entry, &leaf));
        assert_ok(source.read(0, index, source.context, &stored));
        assert_true(merkle_hash_equal(&leaf, &stored));
    }
    tile_reader_done(&reader);
    close(fd);
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
    struct log_file *file;
    struct publisher *publisher = NULL;
    assert_no_fault(log_file_open(folder, &fault, &file));
    assert_ok(add_some(file, entries));
    assert_ok(publish(file, &publisher));
    publisher_close(publisher);
    log_file_close(file);
}

static vlt_result open_again(void) {
    struct log_file *file;
    struct publisher *publisher = NULL;
    VLT_TRY(log_file_open(folder, &fault, &file));
    struct publisher_start start = start_of(file);
    vlt_result result = publisher_open(&start, &fault, &publisher);
    publisher_close(publisher);
    log_file_close(file);
    return result;
}

static void flip(const char *name, long at) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r+b");
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
    flip("00000000000000000001.jsonl", -20); // behind the last full tile
    assert_int_equal(open_again().class, VLT_CONFLICT);
    flip("00000000000000000001.jsonl", -20);
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
    char path[256];
    fill(700);
    snprintf(path, sizeof path, "%s/00000000000000000001.jsonl", folder);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size / 2), 0);
    assert_int_equal(open_again().class, VLT_CONFLICT);
    assert_non_null(strstr(fault.text, "700"));
    unlink(path);
    assert_int_equal(open_again().class, VLT_CONFLICT);
}

static void open_rejects_a_log_without_a_journal(void **state) {
    char journal[256], checkpoint[256];
    snprintf(journal, sizeof journal, "%s/00000000000000000001.jsonl", folder);
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint", folder);
    fill(512); // all in full tiles: no entry is known to be missing
    assert_int_equal(unlink(journal), 0);
    assert_int_equal(open_again().class, VLT_CONFLICT);
    assert_non_null(strstr(fault.text, "journal"));
    assert_int_equal(unlink(checkpoint), 0); // as before the first one
    assert_int_equal(open_again().class, VLT_CONFLICT);
}

// ---- Files that are looked after ----

static vlt_result looks(struct patrol *patrol, const struct checkpoint *at, unsigned count) {
    vlt_result result = vlt_ok();
    int open_folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < count && vlt_is_ok(result); i++)
        result = patrol_look(patrol, open_folder, at, &fault);
    close(open_folder);
    return result;
}

static void patrol_rejects_what_it_can_not_read(void **state) {
    struct patrol patrol = {.next = 0};
    struct checkpoint at;
    char path[256], away[256];
    fill(700);
    int open_folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_no_fault(publisher_read_checkpoint(open_folder, &fault, &at));
    close(open_folder);
    snprintf(path, sizeof path, "%s/tile/entries/001", folder);
    snprintf(away, sizeof away, "%s/away", folder);
    assert_ok(looks(&patrol, &at, 20));
    for (int is_there = 0; is_there < 2; is_there++) {
        assert_int_equal(rename(path, away), 0);
        assert_true(!is_there || mkdir(path, 0755) == 0);
        unsigned patience = is_there ? PATROL_UNREAD_LOOKS : PATROL_BAD_LOOKS;
        assert_ok(looks(&patrol, &at, patience - 1));
        assert_int_equal(looks(&patrol, &at, 1).class, VLT_CONFLICT);
        assert_non_null(strstr(fault.text, "tile/entries/001"));
        assert_int_equal(looks(&patrol, &at, 1).class, VLT_CONFLICT);
        assert_true(!is_there || rmdir(path) == 0);
        assert_int_equal(rename(away, path), 0);
        assert_ok(looks(&patrol, &at, 20));
        assert_int_equal(patrol.bad_looks, 0);
    }
}

// Reading goes on behind what was pruned, and says how far it has got.
static void read_accepts_a_pruned_log(void **state) {
    struct log_file *file;
    struct publisher *publisher = NULL;
    struct buf lines;
    uint64_t next = 0;
    const struct audit_event pruning = {.kind = AUDIT_VAULT,
                                        .outcome = AUDIT_ALLOW,
                                        .at_us = 1,
                                        .operation = BYTES_LITERAL("audit.prune"),
                                        .subject = BYTES_LITERAL("entries 1 to 512")};
    assert_no_fault(log_file_open(folder, &fault, &file));
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
    assert_ok(tile_file_write(log_file_folder_open(file), "pruned", BYTES_LITERAL("512\n1201\n"),
                              false, &fault));
    assert_int_equal(unlinkat(log_file_folder_open(file), "tile/entries/000", 0), 0);
    assert_int_equal(unlinkat(log_file_folder_open(file), "tile/entries/001", 0), 0);
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
    assert_int_equal(unlinkat(log_file_folder_open(file), "pruned", 0), 0);
    patrol.next = 4;
    assert_ok(looks(&patrol, log_file_checkpoint(file), PATROL_BAD_LOOKS - 1));
    assert_int_equal(looks(&patrol, log_file_checkpoint(file), 1).class, VLT_CONFLICT);
    assert_non_null(strstr(fault.text, "the file pruned does not say any more"));
    buf_clear(&lines); // forged: nothing is passed over because of it
    assert_ok(tile_file_write(log_file_folder_open(file), "pruned", BYTES_LITERAL("512\n1200\n"),
                              false, &fault));
    assert_int_equal(log_file_read(file, 1, 2, bytes_of(NULL, 0), &lines, &next).class, VLT_CRYPTO);
    buf_done(&lines);
    publisher_close(publisher);
    log_file_close(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(log_survives_kill_at_random_instants, make_folder,
                                        drop_folder),
        cmocka_unit_test_setup_teardown(log_survives_full_disk, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(open_rejects_what_was_changed, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(open_rejects_a_shorter_journal, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(open_rejects_a_log_without_a_journal, make_folder,
                                        drop_folder),
        cmocka_unit_test_setup_teardown(patrol_rejects_what_it_can_not_read, make_folder,
                                        drop_folder),
        cmocka_unit_test_setup_teardown(read_accepts_a_pruned_log, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
