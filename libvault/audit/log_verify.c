// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/log_verify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/audit/log_pruned.h"

#define PROGRESS_STEP 256 // tiles

struct walk {
    const struct log_verify *what;
    struct fault *fault;
    struct tile_reader reader;
    struct merkle_source source;
    struct checkpoint checkpoint;
    uint64_t missing;       // bundles before this number are not all in the log's folder
    uint64_t unread;        // entries below this index were not seen
    uint64_t prune_entry;   // the one that permits what is missing
    bool searches;          // the whole log for that one, where the file does not lead there
};

vlt_result log_checkpoint_file(int folder, const char *file, const struct note_key *key,
                               struct fault *fault, struct buf *out,
                               struct checkpoint *ret_checkpoint) {
    struct buf note;
    buf_init(&note, NOTE_MAX_BYTES);
    vlt_result result = tile_file_read(folder, file, NOTE_MAX_BYTES, fault, &note);
    if (vlt_is_ok(result)) {
        result = checkpoint_open(buf_bytes(&note), key, ret_checkpoint);
        if (!vlt_is_ok(result))
            result = fault_set(fault, result.class, result.reason, "checkpoint: %s", result.reason);
    }
    if (vlt_is_ok(result) && out)
        buf_put(out, buf_bytes(&note));
    buf_done(&note);
    return result;
}

void log_checkpoint_path(uint64_t size, char ret_path[TILE_PATH_MAX]) {
    snprintf(ret_path, TILE_PATH_MAX, "checkpoints/%llu", (unsigned long long)size);
}

uint64_t log_checkpoint_newest(int folder) {
    uint64_t newest = 0, size;
    int fd = openat(folder, "checkpoints", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *checkpoints = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *entry; checkpoints && (entry = readdir(checkpoints));)
        if (vlt_is_ok(checkpoint_number_parse(bytes_of_text(entry->d_name), &size)) &&
            size > newest)
            newest = size;
    if (checkpoints)
        closedir(checkpoints);
    else if (fd >= 0)
        close(fd);
    return newest;
}

vlt_result log_checkpoint(int folder, const struct note_key *key, struct fault *fault,
                          struct buf *out, struct checkpoint *ret_checkpoint) {
    char path[TILE_PATH_MAX];
    vlt_result result = log_checkpoint_file(folder, "checkpoint", key, fault, out, ret_checkpoint);
    uint64_t newest = result.class == VLT_NOT_FOUND && faccessat(folder, "checkpoint", F_OK, 0) != 0
                          ? log_checkpoint_newest(folder)
                          : 0;
    if (newest == 0)
        return result;
    log_checkpoint_path(newest, path);
    return log_checkpoint_file(folder, path, key, fault, out, ret_checkpoint);
}

static vlt_result bad_entry(struct walk *walk, uint64_t index, const char *why) {
    return fault_set(walk->fault, VLT_CRYPTO, "an entry of the log is not what was signed",
                     "entry %llu (index %llu) %s", (unsigned long long)index + 1,
                     (unsigned long long)index, why);
}

// The number in the entry is the number of the entry: none was left out when the
// events were counted.
static bool says_sequence(struct bytes entry, uint64_t sequence) {
    char text[40];
    int size = snprintf(text, sizeof text, "\"sequence\":%llu", (unsigned long long)sequence);
    const uint8_t *at = entry.size ? memmem(entry.at, entry.size, text, (size_t)size) : NULL;
    const uint8_t *end = at ? at + size : NULL;
    return end && end < entry.at + entry.size && (*end == ',' || *end == '}');
}

static vlt_result verify_entries(struct walk *walk, uint64_t number) {
    struct bytes bundle, entry;
    struct merkle_hash leaf, stored;
    unsigned width = tile_width(TILE_ENTRIES, number, walk->checkpoint.size);
    vlt_result result = tile_reader_bundle(&walk->reader, number, &bundle);
    if (result.class == VLT_NOT_FOUND && !walk->what->has_archive) {
        if (walk->fault)
            *walk->fault = (struct fault){0};   // judge_missing has the word
        walk->missing = number + 1; // its hashes are verified all the same
        walk->unread = walk->missing * TILE_WIDTH;
        return vlt_ok();
    }
    if (result.class == VLT_NOT_FOUND)
        return fault_set(walk->fault, VLT_NOT_FOUND, "entries are nowhere",
                         "neither the log nor the archive has bundle %llu (entry %llu and the "
                         "following)",
                         (unsigned long long)number, (unsigned long long)number * TILE_WIDTH + 1);
    VLT_TRY(result);
    if (walk->reader.is_archived)
        walk->missing = number + 1;
    for (unsigned i = 0; i < width; i++) {
        uint64_t index = number * TILE_WIDTH + i;
        if (!vlt_is_ok(tile_entry_take(&bundle, &entry)))
            return bad_entry(walk, index, "is cut short");
        VLT_TRY(merkle_leaf(entry, &leaf));
        VLT_TRY(walk->source.read(0, index, walk->source.context, &stored));
        if (!merkle_hash_equal(&leaf, &stored))
            return bad_entry(walk, index, "does not give the hash that its tile holds");
        if (!says_sequence(entry, index + 1))
            return bad_entry(walk, index, "does not bear its own number");
    }
    return vlt_ok();
}

// A tile that is full gives a hash of the tile above it, and so on upward.
static vlt_result verify_above(struct walk *walk, unsigned level, uint64_t number) {
    while (level + 1 < TILE_LEVELS &&
           tile_width(level, number, walk->checkpoint.size) == TILE_WIDTH) {
        struct merkle_hash made, stored, hash;
        struct merkle_range range;
        merkle_range_init(&range);
        for (uint64_t i = 0; i < TILE_WIDTH; i++) {
            VLT_TRY(walk->source.read(level * TILE_HEIGHT, number * TILE_WIDTH + i,
                                      walk->source.context, &hash));
            VLT_TRY(merkle_range_add(&range, &hash));
        }
        VLT_TRY(merkle_range_root(&range, &made));
        VLT_TRY(
            walk->source.read((level + 1) * TILE_HEIGHT, number, walk->source.context, &stored));
        if (!merkle_hash_equal(&made, &stored)) {
            char path[TILE_PATH_MAX];
            tile_path(level, number, TILE_WIDTH, path);
            unsigned shift = level * TILE_HEIGHT;
            return fault_set(
                walk->fault, VLT_CRYPTO, "a tile of the log is not what was signed",
                "%s does not give the hash above it: entries from %llu on are not what "
                "was signed",
                path, (unsigned long long)(number * TILE_WIDTH << shift) + 1);
        }
        if ((number + 1) % TILE_WIDTH)
            break; // the tile above is verified with its last part
        level++;
        number /= TILE_WIDTH;
    }
    return vlt_ok();
}

static vlt_result verify_growth(struct walk *walk) {
    const struct checkpoint *from = walk->what->from;
    struct merkle_proof proof;
    if (!from || from->size == 0)
        return vlt_ok();
    if (from->size > walk->checkpoint.size)
        return fault_set(walk->fault, VLT_CRYPTO, "the log was cut",
                         "the log has %llu entries and had %llu before: it was cut",
                         (unsigned long long)walk->checkpoint.size, (unsigned long long)from->size);
    VLT_TRY(merkle_consistency_prove(&walk->source, from->size, walk->checkpoint.size, &proof));
    vlt_result result = merkle_consistency_verify(from->size, &from->root, walk->checkpoint.size,
                                                  &walk->checkpoint.root, &proof);
    return vlt_is_ok(result)
               ? result
               : fault_set(walk->fault, VLT_CRYPTO, "the log was rewritten",
                           "the log is not what it was at %llu entries: it was rewritten",
                           (unsigned long long)from->size);
}

static vlt_result verify_root(struct walk *walk) {
    struct merkle_hash root;
    VLT_TRY(merkle_root(&walk->source, walk->checkpoint.size, &root));
    return merkle_hash_equal(&root, &walk->checkpoint.root)
               ? vlt_ok()
               : fault_set(walk->fault, VLT_CRYPTO, "the tiles do not give the signed root",
                           "the tiles do not give the root of the signed checkpoint");
}

// ---- What is missing ----

// Of a bundle that was verified before, only whether it is there. Its hashes are below the
// root that the log grew from.
static vlt_result look_for(struct walk *walk, uint64_t number) {
    char path[TILE_PATH_MAX];
    struct stat found;
    tile_path(TILE_ENTRIES, number, TILE_WIDTH, path);
    bool is_found = fstatat(walk->what->folder, path, &found, 0) == 0;
    if (!is_found && errno == ENOENT)
        walk->missing = number + 1;
    else if (!is_found || !S_ISREG(found.st_mode))
        return fault_set(walk->fault, VLT_UNAVAILABLE, "a file of the log can not be read",
                         "%s can not be read: %s", path,
                         is_found ? "it is no file" : strerror(errno));
    return vlt_ok();
}

static bool is_there(const struct walk *walk, uint64_t number) {
    char path[TILE_PATH_MAX];
    tile_path(TILE_ENTRIES, number, tile_width(TILE_ENTRIES, number, walk->checkpoint.size), path);
    if (faccessat(walk->what->folder, path, F_OK, 0) == 0)
        return true;
    tile_path(TILE_ENTRIES, number, TILE_WIDTH, path);
    return faccessat(walk->what->folder, path, F_OK, 0) == 0;
}

// `why` says what is wrong with the file pruned; empty: nothing, it only says less.
static vlt_result bad_bundles(struct walk *walk, uint64_t until, const char *why) {
    uint64_t first = until / TILE_WIDTH, last = walk->missing - 1;
    while (first < last && is_there(walk, first))
        first++;
    const bool is_one = first == last;
    const uint64_t end = (last + 1) * TILE_WIDTH;
    char bundles[64], path[TILE_PATH_MAX];
    tile_path(TILE_ENTRIES, first, tile_width(TILE_ENTRIES, first, walk->checkpoint.size), path);
    int size = snprintf(bundles, sizeof bundles, is_one ? "bundle %llu" : "bundles %llu",
                        (unsigned long long)first);
    if (!is_one)
        snprintf(bundles + size, sizeof bundles - (size_t)size, " to %llu",
                 (unsigned long long)last);
    return fault_set(
        walk->fault, VLT_CRYPTO, "entries were removed behind the vault's back",
        "%s: %s (entries %llu to %llu) %s missing and no audit.prune entry covers %s: removed "
        "behind the vault's back; restore %s from the archive%s%s%s",
        path, bundles, (unsigned long long)first * TILE_WIDTH + 1,
        (unsigned long long)(end < walk->checkpoint.size ? end : walk->checkpoint.size),
        is_one ? "is" : "are", is_one ? "it" : "them", is_one ? "it" : "them", why[0] ? " (" : "",
        why, why[0] ? ")" : "");
}

// The log says it, and the file that leads there does not. The entry may permit more than
// what is gone: the file must not say that.
static vlt_result bad_pruned(struct walk *walk, uint64_t missing, uint64_t sequence) {
    return fault_set(walk->fault, VLT_CRYPTO, "the file pruned is missing or was altered",
                     "the file pruned does not say that entries 1 to %llu are gone, as entry %llu "
                     "(audit.prune) does: it was removed or altered; restore it with two lines, "
                     "%llu and %llu",
                     (unsigned long long)missing, (unsigned long long)sequence,
                     (unsigned long long)missing, (unsigned long long)sequence);
}

// Behind everything else. Where nothing is missing the file must not say so either.
static vlt_result judge_missing(struct walk *walk) {
    struct fault fault = {0};
    struct log_pruned pruned = {0}, told = {0};
    uint64_t missing = walk->missing * TILE_WIDTH;
    vlt_result result = log_pruned_prove(walk->what->folder, &walk->checkpoint, walk->what->key,
                                         &fault, &pruned);
    if (vlt_is_ok(result) && missing <= pruned.until) {
        walk->prune_entry = pruned.sequence;
        return vlt_ok();
    }
    if (result.class == VLT_UNAVAILABLE || !missing)
        return fault_set(walk->fault, result.class, result.reason, "%s",
                         fault_or_reason(&fault, result));
    if (walk->searches)
        VLT_TRY(log_pruned_find(walk->what->folder, &walk->checkpoint, missing, walk->fault,
                                &told));
    if (missing <= told.until)
        return bad_pruned(walk, missing, told.sequence);
    return bad_bundles(walk, pruned.until > told.until ? pruned.until : told.until, fault.text);
}

static vlt_result walk_all(struct walk *walk) {
    uint64_t tiles = (walk->checkpoint.size + TILE_WIDTH - 1) / TILE_WIDTH;
    uint64_t first = walk->what->from ? walk->what->from->size / TILE_WIDTH : 0;
    for (uint64_t number = 0; number < first && number < walk->checkpoint.size / TILE_WIDTH;
         number++)
        VLT_TRY(look_for(walk, number));
    for (uint64_t number = first; number < tiles; number++) {
        VLT_TRY(verify_entries(walk, number));
        VLT_TRY(verify_above(walk, 0, number));
        if (walk->what->progress && number % PROGRESS_STEP == 0)
            walk->what->progress(number * TILE_WIDTH, walk->checkpoint.size, walk->what->context);
    }
    VLT_TRY(verify_root(walk));
    VLT_TRY(verify_growth(walk));
    return judge_missing(walk);
}

static vlt_result walk_part(struct walk *walk, uint64_t bundle, uint64_t count) {
    uint64_t bundles = (walk->checkpoint.size + TILE_WIDTH - 1) / TILE_WIDTH;
    uint64_t end = bundles - bundle < count ? bundles : bundle + count;
    for (uint64_t number = bundle; number < end; number++) {
        VLT_TRY(verify_entries(walk, number));
        VLT_TRY(verify_above(walk, 0, number));
    }
    VLT_TRY(end == bundles ? verify_root(walk) : vlt_ok());
    return judge_missing(walk);
}

vlt_result log_verify_part(int folder, const struct checkpoint *checkpoint, uint64_t bundle,
                           uint64_t count, struct fault *fault) {
    const struct log_verify what = {.folder = folder};
    struct walk walk = {.what = &what, .fault = fault, .checkpoint = *checkpoint};
    if (bundle >= (checkpoint->size + TILE_WIDTH - 1) / TILE_WIDTH)
        return vlt_fail(VLT_LIMIT, "a part beyond the end of the log");
    VLT_TRY(tile_reader_init(&walk.reader, folder, checkpoint->size));
    walk.reader.fault = fault;
    walk.source = tile_reader_source(&walk.reader);
    vlt_result result = walk_part(&walk, bundle, count);
    tile_reader_done(&walk.reader);
    return result;
}

vlt_result log_verify(const struct log_verify *what, struct fault *fault,
                      struct log_verified *ret_verified) {
    struct walk walk = {.what = what, .fault = fault, .searches = true};
    VLT_TRY(what->checkpoint
                ? log_checkpoint_file(what->folder, what->checkpoint, what->key, fault, NULL,
                                      &walk.checkpoint)
                : log_checkpoint(what->folder, what->key, fault, NULL, &walk.checkpoint));
    VLT_TRY(tile_reader_init(&walk.reader, what->folder, walk.checkpoint.size));
    walk.reader.fault = fault;
    walk.reader.archive = what->has_archive ? what->archive : -1;
    walk.source = tile_reader_source(&walk.reader);
    vlt_result result = walk_all(&walk);
    tile_reader_done(&walk.reader);
    if (vlt_is_ok(result))
        *ret_verified = (struct log_verified){walk.checkpoint, walk.unread, walk.prune_entry};
    return result;
}
