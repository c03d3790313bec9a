// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/log_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/audit/log_pruned.h"
#include "vaultd/auditor/journal_lock.h"
#include "vaultd/auditor/publisher.h"
#include "vaultd/auditor/spare.h"

#define BATCH_MAX_BYTES (8u << 20)
#define SEGMENT_MAX_BYTES SPARE_BYTES

struct log_file {
    int folder;
    char path[512];
    struct segment *segments; // oldest first; the last one is written to
    size_t segment_count;
    uint64_t durable; // sequence of the last durable entry
    uint64_t next;    // sequence of the next entry, counting the batch
    struct buf rooms[LOG_FILE_WRITES + 1], *batch; // of lines; the one that gathers
    struct buf *empty[LOG_FILE_WRITES];            // as large as they once had to be
    size_t empty_count;
    struct checkpoint checkpoint;
    bool must_cut; // a failed write may have left bytes behind
    bool has_spare;
};

uint64_t log_file_next(const struct log_file *file) { return file->next; }
uint64_t log_file_durable(const struct log_file *file) { return file->durable; }
int log_file_folder_open(const struct log_file *file) { return file->folder; }
const char *log_file_folder(const struct log_file *file) { return file->path; }
const struct checkpoint *log_file_checkpoint(const struct log_file *file) {
    return &file->checkpoint;
}

uint64_t log_file_segment_of(const struct log_file *file, uint64_t sequence) {
    size_t i = file->segment_count;
    while (i > 1 && file->segments[i - 1].first > sequence)
        i--;
    return file->segments[i - 1].first;
}

// Entries that are in full tiles behind the checkpoint.
static uint64_t in_full_tiles(const struct log_file *file) {
    return file->checkpoint.size / TILE_WIDTH * TILE_WIDTH;
}

// ---- Open ----

static int segment_order(const void *a, const void *b) {
    uint64_t left = ((const struct segment *)a)->first, right = ((const struct segment *)b)->first;
    return left < right ? -1 : left > right;
}

static vlt_result add_segment(struct log_file *file, uint64_t first, bool is_new,
                              struct fault *fault) {
    struct segment *grown = realloc(file->segments, (file->segment_count + 1) * sizeof *grown);
    if (!grown)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    file->segments = grown;
    VLT_TRY(segment_open(file->folder, first, is_new, fault, &grown[file->segment_count]));
    file->segment_count++;
    return vlt_ok();
}

static vlt_result find_segments(struct log_file *file, struct fault *fault) {
    int copy = dup(file->folder);
    DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
    if (!folder)
        return fault_set(fault, VLT_UNAVAILABLE, "the audit folder can not be listed",
                         "audit folder %s can not be listed: %s", file->path, strerror(errno));
    vlt_result result = vlt_ok();
    for (struct dirent *entry; vlt_is_ok(result) && (entry = readdir(folder));) {
        uint64_t first;
        if (segment_name_parse(entry->d_name, &first))
            result = add_segment(file, first, false, fault);
    }
    closedir(folder);
    if (vlt_is_ok(result) && file->segments) // qsort takes no NULL
        qsort(file->segments, file->segment_count, sizeof *file->segments, segment_order);
    return result;
}

// Only the newest segment can have a torn end; each begins where the one before it ended.
static vlt_result check_segments(struct log_file *file, struct fault *fault) {
    // The journal reaches back at least to the last full tile.
    uint64_t tiled = in_full_tiles(file);
    bool has_log = file->checkpoint.size || faccessat(file->folder, "tile", F_OK, 0) == 0;
    if (!file->segment_count && has_log) // how far it went, nobody knows
        return fault_set(fault, VLT_CONFLICT, "audit entries are missing",
                         "audit folder %s: its journal (*.jsonl) is missing", file->path);
    uint64_t expected = file->segment_count && file->segments[0].first <= tiled + 1
                            ? file->segments[0].first
                            : tiled + 1;
    for (size_t i = 0; i < file->segment_count; i++) {
        struct segment *segment = &file->segments[i];
        if (segment->first != expected)
            return fault_set(fault, VLT_CONFLICT, "audit entries are missing",
                             "audit folder %s: entries %llu to %llu are missing; restore the file "
                             "that holds them",
                             file->path, (unsigned long long)expected,
                             (unsigned long long)segment->first - 1);
        VLT_TRY(segment_scan(segment, i + 1 == file->segment_count, fault));
        expected = segment->first + segment->count;
    }
    file->durable = expected - 1;
    file->next = expected;
    return vlt_ok();
}

// What a crash left of a group that was never acknowledged. Not when entries are
// missing that were: whoever restores them may need what is there.
static vlt_result cut_torn(struct log_file *file, struct fault *fault) {
    if (!file->segment_count || file->durable < file->checkpoint.size)
        return vlt_ok();
    struct segment *last = &file->segments[file->segment_count - 1];
    if (!last->is_torn)
        return vlt_ok();
    VLT_TRY(segment_cut(last, fault));
    last->room = last->size;
    last->is_torn = false;
    return vlt_ok();
}

static vlt_result open_all(struct log_file *file, struct fault *fault) {
    if (mkdir(file->path, 0750) != 0 && errno != EEXIST)
        return fault_set(fault, VLT_UNAVAILABLE, "the audit folder can not be made",
                         "audit folder %s can not be made: %s", file->path, strerror(errno));
    file->folder = open(file->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->folder < 0)
        return fault_set(fault, VLT_UNAVAILABLE, "the audit folder can not be opened",
                         "audit folder %s can not be opened: %s", file->path, strerror(errno));
    VLT_TRY(journal_lock(file->folder, file->path, JOURNAL_LOCK_WAIT_MS, fault));
    VLT_TRY(publisher_read_checkpoint(file->folder, fault, &file->checkpoint));
    VLT_TRY(find_segments(file, fault));
    VLT_TRY(check_segments(file, fault));
    VLT_TRY(cut_torn(file, fault));
    return file->segment_count ? vlt_ok() : add_segment(file, file->next, true, fault);
}

vlt_result log_file_open(const char *folder, struct fault *fault, struct log_file **ret_file) {
    struct log_file *file = calloc(1, sizeof *file);
    if (!file)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    file->folder = -1;
    for (size_t i = 0; i <= LOG_FILE_WRITES; i++) {
        buf_init(&file->rooms[i], BATCH_MAX_BYTES);
        *(i < LOG_FILE_WRITES ? &file->empty[i] : &file->batch) = &file->rooms[i];
    }
    file->empty_count = LOG_FILE_WRITES;
    vlt_result result = bytes_to_text(bytes_of_text(folder), file->path, sizeof file->path)
                            ? open_all(file, fault)
                            : vlt_fail(VLT_LIMIT, "the path of the audit folder is too long");
    if (!vlt_is_ok(result)) {
        log_file_close(file);
        return result;
    }
    *ret_file = file;
    return vlt_ok();
}

void log_file_close(struct log_file *file) {
    if (!file)
        return;
    for (size_t i = 0; i < file->segment_count; i++)
        segment_close(&file->segments[i]);
    free(file->segments);
    for (size_t i = 0; i <= LOG_FILE_WRITES; i++)
        buf_done(&file->rooms[i]);
    if (file->folder >= 0)
        close(file->folder);
    free(file);
}

// ---- Write ----

vlt_result log_file_add(struct log_file *file, const struct audit_event *event,
                        uint64_t *ret_sequence) {
    struct buf *batch = file->batch;
    size_t before = batch->size;
    audit_event_json(event, file->next, batch);
    buf_put_byte(batch, '\n');
    if (buf_failed(batch)) {
        batch->size = before; // the entries before it are whole
        batch->failed = false;
        return vlt_fail(VLT_UNAVAILABLE, "the audit log is behind");
    }
    *ret_sequence = file->next++;
    return vlt_ok();
}

void log_file_set_spare(struct log_file *file) { file->has_spare = true; }
bool log_file_has_spare(const struct log_file *file) { return file->has_spare; }

// A segment without entries is not followed by another: they would have one name.
static bool must_roll(const struct log_file *file, const struct segment *last, size_t bytes) {
    if (last->count == 0 || last->size + bytes <= last->room)
        return false;
    return file->has_spare || last->size >= SEGMENT_MAX_BYTES;
}

// Hands the batch over to `write`, which has its place in the file already.
static void hand_over(struct log_file *file, struct log_write *write) {
    write->room = file->batch;
    write->lines = buf_bytes(file->batch);
    write->last = file->next - 1;
    file->batch = file->empty[--file->empty_count];
}

bool log_file_begin(struct log_file *file, struct log_write *write) {
    const struct segment *last = &file->segments[file->segment_count - 1];
    if (file->batch->size == 0)
        return false;
    *write = (struct log_write){.folder = file->folder,
                                .segment = *last,
                                .must_cut = file->must_cut,
                                .must_roll = must_roll(file, last, file->batch->size),
                                .has_spare = file->has_spare,
                                .next = file->durable + 1};
    hand_over(file, write);
    return true;
}

bool log_file_follow(struct log_file *file, const struct log_write *done,
                     struct log_write *ret_next) {
    uint64_t end = done->segment.size + done->lines.size;
    if (!vlt_is_ok(done->result) || done->has_rolled || file->batch->size == 0 ||
        file->empty_count == 0 || end + file->batch->size > done->segment.room)
        return false;
    *ret_next = (struct log_write){
        .folder = file->folder, .segment = done->segment, .next = done->last + 1};
    ret_next->segment.size = end;
    hand_over(file, ret_next);
    return true;
}

// The new segment is there, whatever became of the lines.
static vlt_result take_segment(struct log_file *file, struct log_write *write) {
    struct segment *grown = realloc(file->segments, (file->segment_count + 1) * sizeof *grown);
    if (!grown) {
        // A file without entries that nobody knows of would be in the way.
        unlinkat(file->folder, write->segment.name, 0);
        segment_close(&write->segment);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    file->segments = grown;
    grown[file->segment_count++] = write->segment;
    return vlt_ok();
}

static vlt_result take_written(struct log_file *file, struct log_write *write) {
    if (write->next != file->durable + 1) {
        file->must_cut = true;
        return vlt_fail(VLT_BUG, "what came before it in the audit log is lost");
    }
    file->must_cut = write->may_have_left;
    if (write->has_rolled) {
        file->has_spare = false;
        VLT_TRY(take_segment(file, write));
    }
    VLT_TRY(write->result);
    vlt_result result = segment_count(&file->segments[file->segment_count - 1], write->lines,
                                      write->last - file->durable);
    file->must_cut = !vlt_is_ok(result);
    return result;
}

vlt_result log_file_end(struct log_file *file, struct log_write *write) {
    vlt_result result = take_written(file, write);
    buf_clear(write->room);
    file->empty[file->empty_count++] = write->room;
    if (vlt_is_ok(result)) {
        file->durable = write->last;
        return result;
    }
    buf_clear(file->batch); // its numbers would leave a gap
    file->next = file->durable + 1;
    return result;
}

vlt_result log_file_sync(struct log_file *file, struct fault *fault) {
    struct log_write write;
    if (!log_file_begin(file, &write))
        return vlt_ok();
    log_write_run(&write);
    *fault = write.fault;
    return log_file_end(file, &write);
}

void log_file_trim(struct log_file *file, const struct checkpoint *checkpoint) {
    size_t removed = 0;
    file->checkpoint = *checkpoint;
    while (removed + 1 < file->segment_count &&
           file->segments[removed + 1].first <= in_full_tiles(file) + 1) {
        // If it stays, it is found and read again at the next start: no harm.
        unlinkat(file->folder, file->segments[removed].name, 0);
        segment_close(&file->segments[removed++]);
    }
    file->segment_count -= removed;
    memmove(file->segments, file->segments + removed, file->segment_count * sizeof *file->segments);
}

// ---- Read ----

static bool line_is_of(struct bytes line, struct bytes tenant) {
    char needle[96];
    int size = snprintf(needle, sizeof needle, "\"tenant\":\"%.*s\"", (int)tenant.size,
                        (const char *)tenant.at);
    return tenant.size == 0 ||
           (size > 0 && memmem(line.at, line.size, needle, (size_t)size) != NULL);
}

struct reading {
    uint64_t next, end; // end: where to stop looking
    uint32_t left;
    struct bytes tenant;
    struct buf *out;
};

static bool take_line(struct bytes line, uint64_t sequence, void *context) {
    struct reading *reading = context;
    if (sequence > reading->next) // what lies between was pruned
        reading->end += sequence - reading->next;
    if (sequence < reading->next || sequence >= reading->end)
        return sequence < reading->next;
    if (line_is_of(line, reading->tenant)) {
        if (reading->left == 0 || line.size + 1 > reading->out->max - reading->out->size)
            return false;
        buf_put(reading->out, line);
        buf_put_byte(reading->out, '\n');
        reading->left--;
    }
    reading->next = sequence + 1;
    return true;
}

// Entries from `from` on that the journal does not hold any more; not what was pruned.
static vlt_result each_tiled(struct log_file *file, uint64_t from, segment_line_fn *each,
                             void *context, bool *ret_goes_on) {
    struct tile_reader reader;
    struct log_pruned pruned;
    uint64_t end = file->segments[0].first;
    VLT_TRY(log_pruned_prove(file->folder, log_file_checkpoint(file), NULL, NULL, &pruned));
    vlt_result result = tile_reader_init(&reader, file->folder, in_full_tiles(file));
    *ret_goes_on = true;
    for (uint64_t sequence = from > pruned.until ? from : pruned.until + 1;
         vlt_is_ok(result) && *ret_goes_on && sequence < end;) {
        struct bytes bundle, entry;
        uint64_t number = (sequence - 1) / TILE_WIDTH, at = number * TILE_WIDTH + 1;
        result = tile_reader_bundle(&reader, number, &bundle);
        for (; vlt_is_ok(result) && *ret_goes_on && bundle.size && at < end; at++) {
            result = tile_entry_take(&bundle, &entry);
            if (vlt_is_ok(result) && at >= sequence)
                *ret_goes_on = each(entry, at, context);
        }
        sequence = (number + 1) * TILE_WIDTH + 1;
    }
    tile_reader_done(&reader);
    return result;
}

static vlt_result each_from(struct log_file *file, uint64_t from, segment_line_fn *each,
                            void *context) {
    bool goes_on = true;
    if (from < file->segments[0].first)
        VLT_TRY(each_tiled(file, from, each, context, &goes_on));
    for (size_t i = 0; goes_on && i < file->segment_count; i++) {
        struct segment *segment = &file->segments[i];
        if (from < segment->first + segment->count)
            VLT_TRY(segment_each(segment, from, each, context, &goes_on));
    }
    return vlt_ok();
}

struct looking { // for the last lines of a tenant
    struct bytes tenant;
    uint64_t *found; // ring of their sequence numbers
    uint32_t count, next;
};

static bool look_at_line(struct bytes line, uint64_t sequence, void *context) {
    struct looking *looking = context;
    if (line_is_of(line, looking->tenant)) {
        looking->found[looking->next % looking->count] = sequence;
        looking->next++;
    }
    return true;
}

// Where reading must begin so that it ends with the last `count` entries of that
// tenant.
static vlt_result start_of_last(struct log_file *file, uint32_t count, struct bytes tenant,
                                uint64_t *ret_start) {
    uint64_t reach = tenant.size ? LOG_FILE_LOOK_MAX : count;
    uint64_t from = file->durable >= reach ? file->durable - reach + 1 : 1;
    if (tenant.size == 0 || count == 0) {
        *ret_start = from;
        return vlt_ok();
    }
    struct looking looking = {
        .tenant = tenant, .found = calloc(count, sizeof *looking.found), .count = count};
    vlt_result result = looking.found ? each_from(file, from, look_at_line, &looking)
                                      : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        *ret_start = looking.next >= count ? looking.found[looking.next % count] : from;
    free(looking.found);
    return result;
}

vlt_result log_file_read(struct log_file *file, uint64_t first, uint32_t count,
                         struct bytes tenant, struct buf *out, uint64_t *ret_next) {
    struct reading reading = {
        .next = first ? first : 1, .left = count, .tenant = tenant, .out = out};
    if (first == UINT64_MAX)
        VLT_TRY(start_of_last(file, count, tenant, &reading.next));
    reading.end = reading.next < UINT64_MAX - LOG_FILE_LOOK_MAX ? reading.next + LOG_FILE_LOOK_MAX
                                                                : UINT64_MAX;
    VLT_TRY(each_from(file, reading.next, take_line, &reading));
    *ret_next = reading.next;
    return vlt_ok();
}
