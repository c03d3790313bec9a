// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/publication.h"

#include <stdio.h>
#include <stdlib.h>

#include "vaultd/auditor/patrol.h"
#include "vaultd/auditor/pruned_file.h"
#include "vaultd/auditor/public_files.h"
#include "vaultd/auditor/publisher.h"
#include "vaultd/log/log.h"
#include "vaultd/role/worker.h"

#define TICK_MS 1000
#define REPAIRED_TEXT_SIZE 640 // an entry cuts what is longer than its reason may be
#define REPAIRED_MAX (4 * PUBLIC_FILES_REPAIRED_MAX)

enum phase { PHASE_IDLE, PHASE_TILES, PHASE_SIGNING, PHASE_CHECKPOINT, PHASE_PATROL };

struct publication {
    struct worker_job job; // first: the worker's view of us
    struct worker *worker;
    struct log_file *file;
    struct channel *keeper;
    struct event *tick;
    char origin[NOTE_NAME_MAX + 1];
    const char *refusal;
    const char *damage; // of what was published, until the files are restored; NULL: none
    char damaged[256];  // which file, and how; is_mended: and is whole again
    struct buf repaired; // texts, each with its NUL: files that were made again, for the record
    struct patrol patrol;
    struct public_files files;
    bool knows_files; // not while they are replaced, nor when that did not end well
    bool is_mended, was_failing, was_unwritten, is_hurried, is_ending;
    void (*published)(void *context); // may be NULL
    void *context;
    char delay[256]; // why it was failing

    // The loop's between jobs, the thread's during one.
    enum phase phase;
    struct publisher *publisher; // NULL: to be opened from `start`
    struct publisher_start start;
    uint64_t until;    // entries that are durable
    uint64_t old_size; // the proof begins there
    struct merkle_proof proof;
    struct checkpoint next;
    struct signed_note note;
    struct buf repairing;
    vlt_result kept; // public files, when they were last looked at
    struct fault unwritten;
    vlt_result result;
    struct fault fault;
};

const char *publication_refusal(const struct publication *publication) {
    return publication->refusal ? publication->refusal : publication->damage;
}

const char *publication_mended(const struct publication *publication) {
    return publication->is_mended ? publication->damaged : NULL;
}

void publication_mended_recorded(struct publication *publication) {
    publication->is_mended = false;
}

const char *publication_repaired(const struct publication *publication) {
    return publication->repaired.size ? (const char *)publication->repaired.at : NULL;
}

void publication_repaired_recorded(struct publication *publication) {
    struct buf *texts = &publication->repaired;
    const size_t told = strlen((const char *)texts->at) + 1;
    texts->size -= told;
    memmove(texts->at, texts->at + told, texts->size);
}

const char *publication_delay(const struct publication *publication) {
    return publication->delay;
}

const char *publication_unsigned(const struct publication *publication) {
    return publication->keeper ? publication->delay : "the keeper is not there";
}

void publication_pruned(struct publication *publication, uint64_t until) {
    publication->patrol.pruned = until;
}

struct worker *publication_worker(const struct publication *publication) {
    return publication->worker;
}

// ---- On the thread ----

static vlt_result make_tiles(struct publication *p) {
    if (!p->publisher)
        VLT_TRY(publisher_open(&p->start, &p->fault, &p->publisher));
    VLT_TRY(publisher_advance(p->publisher, p->until, &p->fault));
    p->next.size = publisher_size(p->publisher);
    VLT_TRY(publisher_root(p->publisher, &p->next.root));
    p->proof.count = 0;
    if (p->old_size > p->next.size)
        return vlt_ok(); // the keeper says what that means
    return publisher_prove(p->publisher, p->old_size, &p->fault, &p->proof);
}

// Before they are replaced. What can not be written now is tried again with the next round.
static void keep_files(struct publication *p) {
    p->unwritten = (struct fault){0};
    p->kept = public_files_keep(&p->files, log_file_folder_open(p->file), &p->unwritten,
                                &p->repairing);
}

static void run(struct worker_job *job) {
    struct publication *p = (struct publication *)job;
    p->fault = (struct fault){0};
    if (p->knows_files)
        keep_files(p);
    if (p->phase == PHASE_CHECKPOINT)
        p->knows_files = false;
    if (p->phase == PHASE_PATROL) {
        p->result = patrol_look(&p->patrol, log_file_folder_open(p->file), &p->start.at, &p->fault);
        return;
    }
    p->result = p->phase == PHASE_TILES
                    ? make_tiles(p)
                    : publisher_write_checkpoint(p->publisher, &p->note, &p->fault);
    if (!vlt_is_ok(p->result)) { // what it has in memory may not fit the files
        publisher_close(p->publisher);
        p->publisher = NULL;
    }
}

// ---- On the loop ----

static void failed(struct publication *p, const char *why) {
    if (!p->was_failing)
        log_warning("the audit log is recorded but not published: %s", why);
    p->was_failing = true;
    snprintf(p->delay, sizeof p->delay, "recorded but not published: %s", why);
    p->phase = PHASE_IDLE;
}

// What was altered is not added to. Files that come back are enough: nothing in memory
// depends on them.
static void patrolled(struct publication *p) {
    p->phase = PHASE_IDLE;
    if (!vlt_is_ok(p->result) && !p->damage) {
        snprintf(p->damaged, sizeof p->damaged, "%s: %s", p->result.reason,
                 fault_or_reason(&p->fault, p->result));
        log_error("decisions stop: %s. Restore it; decisions then go on by themselves", p->damaged);
    }
    if (vlt_is_ok(p->result) && p->damage && p->patrol.bad_looks == 0) {
        log_notice("the audit log is whole again; decisions go on");
        p->is_mended = true;
    }
    if (vlt_is_ok(p->result) && p->patrol.bad_looks == 0)
        p->damage = NULL;
    else if (!vlt_is_ok(p->result))
        p->damage = p->result.reason;
}

static void set_start(struct publication *p) {
    const struct checkpoint *at = log_file_checkpoint(p->file);
    p->start = (struct publisher_start){
        .folder = log_file_folder(p->file),
        .segment = log_file_segment_of(p->file, at->size / TILE_WIDTH * TILE_WIDTH + 1),
        .durable = log_file_durable(p->file),
        .at = *at};
}

static void submit_tiles(struct publication *p, uint64_t old_size) {
    p->phase = PHASE_TILES;
    p->until = log_file_durable(p->file);
    p->old_size = old_size;
    set_start(p);
    worker_submit(p->worker, &p->job);
}

static void submit_patrol(struct publication *p) {
    p->phase = PHASE_PATROL;
    set_start(p);
    worker_submit(p->worker, &p->job);
}

static void refuse(struct publication *p, const char *why) {
    if (!p->refusal)
        log_error("decisions stop: %s. Restore the audit folder and restart vaultd, or begin a new "
                  "log with another audit.origin and an empty folder", why);
    p->refusal = why;
    p->phase = PHASE_IDLE;
}

static void signed_or_not(vlt_result result, const struct answer_sign_checkpoint *answer,
                          void *context) {
    struct publication *p = context;
    if (p->phase != PHASE_SIGNING)
        return;
    if (result.class == VLT_CONFLICT) {
        refuse(p, result.reason);
    } else if (!vlt_is_ok(result)) {
        failed(p, result.reason);
    } else if (answer->signature.size == 0 && answer->last_size > p->next.size) {
        refuse(p, "the audit log is behind its last signed checkpoint");
    } else if (answer->signature.size == 0) {
        submit_tiles(p, answer->last_size);
    } else {
        vlt_result made = signed_note_make(&p->note, &p->next, answer);
        if (!vlt_is_ok(made)) {
            failed(p, made.reason);
            return;
        }
        p->phase = PHASE_CHECKPOINT;
        worker_submit(p->worker, &p->job);
    }
}

static void ask_signature(struct publication *p) {
    struct ask_sign_checkpoint ask = {
        .origin = bytes_of_text(p->origin),
        .size = p->next.size,
        .old_size = p->old_size,
        .proof = bytes_of(p->proof.hashes, p->proof.count * MERKLE_HASH_SIZE)};
    memcpy(ask.root, p->next.root.at, sizeof ask.root);
    memcpy(p->next.origin, p->origin, sizeof p->next.origin);
    p->phase = PHASE_SIGNING;
    ask_sign_checkpoint(p->keeper, &ask, signed_or_not, p);
}

// They are public and can be made again, so nothing has to stop; who did it should be found.
// More than there is room for, while nothing can be recorded, is in the daemon's log only.
static void say_repaired(struct publication *p, const char *what, struct bytes files) {
    char text[REPAIRED_TEXT_SIZE];
    snprintf(text, sizeof text, "%s: %.*s", what, (int)files.size, (const char *)files.at);
    log_warning("files of the audit log were %s", text);
    buf_put(&p->repaired, bytes_of(text, strlen(text) + 1));
    p->repaired.failed = false;
}

static void repaired(struct publication *p) {
    bool is_unwritten = !vlt_is_ok(p->kept);
    if (is_unwritten && !p->was_unwritten)
        log_error("a file of the audit log can not be written again: %s",
                  fault_or_reason(&p->unwritten, p->kept));
    p->was_unwritten = is_unwritten;
    for (struct bytes rest = buf_bytes(&p->repairing); rest.size;) {
        const size_t end = bytes_find(rest, '\n');
        say_repaired(p, "removed or altered behind the vault's back, and written again",
                     bytes_of(rest.at, end));
        rest = bytes_from(rest, end + 1);
    }
    buf_clear(&p->repairing);
}

static void round_goes_on(struct publication *p) {
    repaired(p);
    if (p->phase == PHASE_PATROL)
        patrolled(p);
    else if (!vlt_is_ok(p->result) && p->result.class == VLT_CONFLICT) {
        refuse(p, p->result.reason);
        log_error("%s", fault_or_reason(&p->fault, p->result));
    } else if (!vlt_is_ok(p->result)) {
        failed(p, fault_or_reason(&p->fault, p->result));
    } else if (p->phase == PHASE_TILES && p->keeper && p->next.size) {
        ask_signature(p);
    } else if (p->phase == PHASE_TILES) {
        p->phase = PHASE_IDLE;
    } else {
        log_file_trim(p->file, &p->next);
        public_files_set(&p->files, &p->note);
        p->knows_files = true;
        if (p->was_failing)
            log_notice("the audit log is published again");
        p->was_failing = false;
        p->delay[0] = 0;
        if (p->published)
            p->published(p->context);
        submit_patrol(p);
    }
}

static void begin_round(struct publication *p) {
    uint64_t signed_size = log_file_checkpoint(p->file)->size;
    if (p->phase != PHASE_IDLE || p->refusal)
        return;
    p->is_hurried = false;
    if (!p->damage && log_file_durable(p->file) > signed_size)
        submit_tiles(p, signed_size);
    else
        submit_patrol(p);
}

static void done(struct worker_job *job) {
    struct publication *p = (struct publication *)job;
    if (p->is_ending)
        return;
    round_goes_on(p);
    if (p->is_hurried)
        begin_round(p);
}

static void on_tick(evutil_socket_t fd, short what, void *context) { begin_round(context); }

void publication_hurry(struct publication *p) {
    p->is_hurried = true;
    begin_round(p);
}

// ---- Life ----

// The entry that permits what was pruned is proved with these tiles, and they are as good as
// the root that the publisher found. Where they can not be written, a log of which nothing
// is missing needs none.
static void mend_tiles(struct publication *p) {
    struct fault fault = {0};
    char mended[PUBLISHER_MENDED_SIZE];
    vlt_result result = publisher_mend(p->publisher, &fault, mended);
    if (!vlt_is_ok(result))
        log_error("a tile of the audit log can not be written again: %s",
                  fault_or_reason(&fault, result));
    if (mended[0]) // a disk that lost its power is as likely as somebody
        say_repaired(p, "missing or damaged when vaultd started, and written again",
                     bytes_of_text(mended));
}

static vlt_result take_up_pruned(struct publication *p, struct fault *fault) {
    char rewritten[PRUNED_FILE_SAID_SIZE];
    VLT_TRY(pruned_file_take_up(p->file, fault, &p->patrol.pruned, rewritten));
    if (rewritten[0])
        say_repaired(p, "left by an earlier version, and written again",
                     bytes_of_text(rewritten));
    return vlt_ok();
}

vlt_result publication_new(struct log_file *file, const char *origin, struct fault *fault,
                           struct publication **ret_publication) {
    struct publication *p = calloc(1, sizeof *p);
    if (!p)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    p->job.run = run;
    p->job.done = done;
    p->file = file;
    signed_note_init(&p->note);
    buf_init(&p->repaired, REPAIRED_MAX);
    buf_init(&p->repairing, PUBLIC_FILES_REPAIRED_MAX);
    vlt_result result = vlt_ok();
    if (!note_name_is_valid(bytes_of_text(origin)) ||
        !bytes_to_text(bytes_of_text(origin), p->origin, sizeof p->origin))
        result = fault_set(fault, VLT_MALFORMED, "not a name of a log",
                           "audit.origin \"%s\" must have no white space and no +", origin);
    const struct checkpoint *at = log_file_checkpoint(file);
    if (vlt_is_ok(result) && at->size && strcmp(at->origin, origin) != 0)
        result = fault_set(fault, VLT_CONFLICT, "the audit folder belongs to another log",
                           "audit folder %s holds the log \"%s\", not \"%s\": set audit.origin, or "
                           "choose another folder", log_file_folder(file), at->origin, origin);
    set_start(p);
    if (vlt_is_ok(result))
        result = publisher_open(&p->start, fault, &p->publisher);
    if (vlt_is_ok(result))
        mend_tiles(p);
    if (vlt_is_ok(result))
        result = take_up_pruned(p, fault);
    if (!vlt_is_ok(result)) {
        publication_free(p);
        return result;
    }
    public_files_learn(&p->files, log_file_folder_open(file));
    p->knows_files = true;
    *ret_publication = p;
    return vlt_ok();
}

vlt_result publication_start(struct publication *p, struct event_base *base) {
    const struct timeval period = {TICK_MS / 1000, TICK_MS % 1000 * 1000};
    VLT_TRY(worker_new(base, &p->worker));
    p->tick = event_new(base, -1, EV_PERSIST, on_tick, p);
    if (!p->tick || event_add(p->tick, &period) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "no timer");
    return vlt_ok();
}

void publication_set_listener(struct publication *p, void (*published)(void *context),
                              void *context) {
    p->published = published;
    p->context = context;
}

void publication_set_keeper(struct publication *p, struct channel *keeper) {
    p->keeper = keeper;
    if (!keeper && p->phase == PHASE_SIGNING)
        p->phase = PHASE_IDLE;
}

void publication_free(struct publication *p) {
    if (!p)
        return;
    p->is_ending = true;
    if (p->tick)
        event_free(p->tick);
    worker_free(p->worker);
    publisher_close(p->publisher);
    signed_note_done(&p->note);
    public_files_done(&p->files);
    buf_done(&p->repaired);
    buf_done(&p->repairing);
    free(p);
}
