// SPDX-License-Identifier: Apache-2.0
// When and how the log is published: once a second, if there is something new,
// a thread cuts the journal into tiles, the keeper signs their root, and the
// checkpoint is written. Decisions never wait for it.
//
//   IDLE ─tick─▶ TILES ─▶ SIGNING ─▶ CHECKPOINT ─▶ IDLE
//                  ▲         │
//                  └─────────┘ the keeper signed another size last: prove from there
//
// Any failure goes back to IDLE and is tried again with the next tick. After a
// checkpoint, and where there is nothing new, the thread looks after old files
// (patrol.h).
// Used by the auditor's loop.
#ifndef VLT_AUDITOR_PUBLICATION_H
#define VLT_AUDITOR_PUBLICATION_H

#include <event2/event.h>

#include "vaultd/auditor/log_file.h"
#include "vaultd/ipc/channel.h"

struct publication;
struct worker;
// Proves first that journal and tiles give the root of the last checkpoint, writes its partial
// tiles again where they are missing, and proves that the log says what was pruned;
// VLT_CONFLICT when they do not. The file must outlive the publication.
vlt_result publication_new(struct log_file *file, const char *origin, struct fault *fault,
                           struct publication **ret_publication) VLT_MUST_USE;
void publication_free(struct publication *publication); // waits for the thread; NULL is fine
// Starts the thread, in the sandbox.
vlt_result publication_start(struct publication *publication, struct event_base *base) VLT_MUST_USE;
// Its thread: what is submitted there runs before or after what it writes, never meanwhile.
struct worker *publication_worker(const struct publication *publication);
// `published` is called whenever a checkpoint is on the disk.
void publication_set_listener(struct publication *publication, void (*published)(void *context),
                              void *context);
// What is durable is wanted in a checkpoint now, or as soon as what is under way has ended.
void publication_hurry(struct publication *publication);
void publication_set_keeper(struct publication *publication, struct channel *keeper); // NULL: gone
// Not NULL: the log is not what was signed before, or files of it are not (as long as
// they are not), and nothing may be added to it.
const char *publication_refusal(const struct publication *publication);
// Files of the log were not what they should be and are again: what it was, for the
// record, until it is said that it is there. NULL: nothing of the kind.
const char *publication_mended(const struct publication *publication);
void publication_mended_recorded(struct publication *publication);
// Small public files, or at the start partial tiles, were missing or altered and were written
// again: which, and what stood there, for the record, until it is said that it is there; then
// there may be more. NULL: nothing of the kind.
const char *publication_repaired(const struct publication *publication);
void publication_repaired_recorded(struct publication *publication);
// Entries that the vault itself has pruned, as the file `pruned` says from now on. Only on
// its thread: whatever else the file says then was written behind the vault's back.
void publication_pruned(struct publication *publication, uint64_t until);
// Why no checkpoint can be signed now, as far as it is known; "" when one can.
const char *publication_unsigned(const struct publication *publication);
// Why the last round failed, "" when it did not: entries are recorded, and are
// published later.
const char *publication_delay(const struct publication *publication);

#endif
