// SPDX-License-Identifier: Apache-2.0
// The journal of audit entries, append only: one canonical JSON object a line, in
// segments of bounded size named by the first sequence number they hold
// (00000000000000000001.jsonl). Entries are added to a batch and become durable
// together: log_file_begin takes the batch, log_write_run writes and syncs it on
// any thread while the next batch is gathered, log_file_end says what came of it.
// A torn end (power loss) is cut off when the file is opened: its events were
// never acknowledged. Room that was written ahead: segment.h, spare.h.
//
// The publisher cuts the journal into tiles. Segments whose entries are all in
// full tiles behind a signed checkpoint are removed; reading goes on there.
// Sequence numbers begin with 1: entry n is leaf n - 1 of the tree.
//
// Used by the auditor only.
#ifndef VLT_AUDITOR_LOG_FILE_H
#define VLT_AUDITOR_LOG_FILE_H

#include "libvault/audit/checkpoint.h"
#include "libvault/audit/event.h"
#include "libvault/base/fault.h"
#include "vaultd/auditor/log_write.h"

#define LOG_FILE_WRITES 2 // batches handed over that log_file_end has not seen yet

struct log_file;
vlt_result log_file_open(const char *folder, struct fault *fault,
                         struct log_file **ret_file) VLT_MUST_USE;
void log_file_close(struct log_file *file);
// What the folder's checkpoint says; size 0: there is none yet.
const struct checkpoint *log_file_checkpoint(const struct log_file *file);
// A checkpoint of that size is on the disk: journal segments before it may go.
void log_file_trim(struct log_file *file, const struct checkpoint *checkpoint);
// Last durable sequence number.
uint64_t log_file_durable(const struct log_file *file);
// First sequence of the segment that holds this one, or that will hold it.
uint64_t log_file_segment_of(const struct log_file *file, uint64_t sequence);
const char *log_file_folder(const struct log_file *file);
int log_file_folder_open(const struct log_file *file); // its descriptor; stays the file's
// The sequence number that the next entry gets; the first is 1.
uint64_t log_file_next(const struct log_file *file);
// Adds an entry to the batch; it is in no file yet.
vlt_result log_file_add(struct log_file *file, const struct audit_event *event,
                        uint64_t *ret_sequence) VLT_MUST_USE;
// Hands the batch over; false when it is empty. None may be under way, and
// log_file_end must follow. What is added meanwhile is the next batch.
bool log_file_begin(struct log_file *file, struct log_write *write);
// The same behind `done`, which has been run and log_file_end has not seen yet: so
// the disk need not wait for the loop. False also where only log_file_begin will
// do: `done` failed or began a new segment, its segment has no room for the batch,
// or LOG_FILE_WRITES are under way. Touches nothing but `done` and what log_file_add
// does, so another thread may call it, under a lock that both and log_file_end have.
bool log_file_follow(struct log_file *file, const struct log_write *done,
                     struct log_write *ret_next);
// In the order in which they were handed over.
// On failure (disk full, read-only, the file was removed or replaced) nothing of
// the batch is in the file, nor of what was handed over or added since: the
// sequence numbers are free again, and the caller must refuse every event of these.
vlt_result log_file_end(struct log_file *file, struct log_write *write) VLT_MUST_USE;
// All three at once. None may be under way.
vlt_result log_file_sync(struct log_file *file, struct fault *fault) VLT_MUST_USE;
// The spare (spare.h) is on the disk. The next write uses it unless its segment
// has room of its own.
void log_file_set_spare(struct log_file *file);
bool log_file_has_spare(const struct log_file *file);
// Appends whole lines from sequence `first` on to `out`, at most `count` and as
// many as fit; only durable entries. UINT64_MAX as first: the last `count`.
// Keeps lines of `tenant` only unless it is empty. *ret_next: where to go on. It
// looks at LOG_FILE_LOOK_MAX entries and no more, so as not to keep others
// waiting: with a tenant there can be fewer lines than asked for, and more later.
#define LOG_FILE_LOOK_MAX 65536
vlt_result log_file_read(struct log_file *file, uint64_t first, uint32_t count,
                         struct bytes tenant, struct buf *out, uint64_t *ret_next) VLT_MUST_USE;

#endif
