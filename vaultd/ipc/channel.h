// SPDX-License-Identifier: Apache-2.0
// One AF_UNIX SOCK_SEQPACKET channel to one peer, on a libevent loop.
//
// A frame is: u16 message, u8 kind (ask, answer, tell), u32 call, fields. A
// datagram is one frame, or a bundle: u16 0, u8 4, u32 0, then u32 size and frame
// for each. Calls are asynchronous and pipelined. A frame that is malformed, too large, or not
// in the table for that peer closes the channel (`closed` is called): the
// supervisor replaces the peer, we live on. Frames are read into and sent from
// the secret heap when the process has one.
//
// Used by every role, from its loop's thread only.
#ifndef VLT_IPC_CHANNEL_H
#define VLT_IPC_CHANNEL_H

#include <event2/event.h>

#include "vaultd/ipc/messages.h"

extern const char CHANNEL_PEER_GONE[];   // the other end is closed
extern const char CHANNEL_NOT_NOW[];     // the peer's state does not permit the call
extern const char CHANNEL_PEER_SILENT[]; // a call was given up: see channel_set_patience

// A call ended with this result without an answer: the peer is away, hangs, has no room,
// its state does not permit the call, or it ended before it answered (REASON_UNANSWERED;
// then it may have decided, and recorded that). Whoever asked is the only one who can say
// so in the audit log; whatever a keeper answers, it has recorded.
bool channel_was_unheard(vlt_result result);

#define CHANNEL_FRAME_MAX 131072
#define CHANNEL_PENDING_MAX 8192 // calls in flight, and frames that wait for room

struct channel_events {
    // A peer's call, already checked against the table (sender, size). The
    // receiver decodes with ask_NAME_decode and answers with reply_NAME, now or
    // later. NULL: this process answers nothing.
    void (*asked)(struct ipc_call *call, unsigned message, struct bytes frame, void *context);
    // A message without answer. The receiver owns the descriptor (-1: none).
    void (*told)(struct channel *channel, unsigned message, struct bytes frame, int descriptor,
                 void *context);
    // Gone: every pending `done` was called with VLT_UNAVAILABLE. The channel may
    // be freed from here. `why` is static: CHANNEL_PEER_GONE, or what the peer did
    // wrong.
    void (*closed)(struct channel *channel, const char *why, void *context);
    // State gate: false answers VLT_UNAVAILABLE "sealed". NULL: always open.
    bool (*permits)(unsigned states, void *context);
};

// Takes the descriptor, also on failure (NULL: out of memory). Events must
// outlive the channel.
struct channel *channel_new(struct event_base *base, int fd, enum ipc_role self, enum ipc_role peer,
                            const struct channel_events *events, void *context);
void channel_free(struct channel *channel); // pending calls end with VLT_UNAVAILABLE; NULL is fine
// From now on a call that has no answer after so many seconds ends with VLT_UNAVAILABLE,
// CHANNEL_PEER_SILENT. When that happened to several of one message, further ones end at
// once, until answers come after all: what a peer that hangs is asked must not pile up.
// Late answers are dropped.
vlt_result channel_set_patience(struct channel *channel, struct event_base *base,
                                unsigned seconds) VLT_MUST_USE;
enum ipc_role channel_peer(const struct channel *channel);
size_t channel_pending(const struct channel *channel);
bool channel_has_unsent(const struct channel *channel);
struct channel *ipc_call_channel(const struct ipc_call *call); // NULL once that peer is gone
unsigned ipc_call_message(const struct ipc_call *call);        // IPC_ASK_…

// Answers any ask with a failure, whatever its type.
void reply_failure(struct ipc_call *call, vlt_result result);
// Closes a channel whose peer sent something that does not decode.
void ipc_call_refuse(struct ipc_call *call, const char *why);

// For messages.c: what the generated functions are made of. A NULL channel (that
// peer is gone) is fine: the call ends with VLT_UNAVAILABLE.
struct wire_writer *channel_begin_ask(struct channel *channel, unsigned message);
void channel_send_ask(struct channel *channel, unsigned message, void (*done)(void), void *context);
struct wire_writer *channel_begin_tell(struct channel *channel, unsigned message);
void channel_send_tell(struct channel *channel, int descriptor);
struct wire_writer *channel_begin_reply(struct ipc_call *call, vlt_result result);
void channel_send_reply(struct ipc_call *call);
// Decodes an answer of `message` (a failure may have an empty frame) and calls done.
void ipc_dispatch_answer(unsigned message, vlt_result result, struct bytes frame,
                         void (*done)(void), void *context);

#endif
