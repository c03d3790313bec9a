// SPDX-License-Identifier: Apache-2.0
// A channel from inside: what channel.c (life, receiving) and channel_send.c
// (batches, asks, tells, answers) share. Nobody else includes it.
#ifndef VLT_IPC_CHANNEL_INTERNAL_H
#define VLT_IPC_CHANNEL_INTERNAL_H

#include <sys/socket.h>

#include "libvault/secret/secret.h"
#include "vaultd/ipc/channel.h"

enum frame_kind { FRAME_ASK = 1, FRAME_ANSWER, FRAME_TELL, FRAME_BUNDLE };
#define FRAME_HEAD_BYTES 7   // u16 message, u8 kind, u32 call
#define FRAME_SIZE_BYTES 4   // before each frame of a bundle
#define BATCH_FRAMES 32      // frames that one system call sends
#define OUT_BYTES (CHANNEL_FRAME_MAX + 65536)

struct pending { // our call that waits for an answer
    void (*done)(void); // NULL: free slot
    void *context;
    uint32_t call, asked_ms; // low bits of clock_elapsed_ms; 0 where the log does not show it
    unsigned age_s;
    uint16_t message;
    bool is_given_up; // `done` was called; the answer is still to come
};

struct unsent { // a frame for which the socket had no room
    struct unsent *next;
    size_t frame_count;
    int descriptor;
    struct secret *secret; // holds the frame when the process has a secret heap
    size_t size;
    uint8_t frame[];
};

struct ipc_call { // a peer's call that waits for our answer
    struct ipc_call *next, **link;
    struct channel *channel; // NULL once that peer is gone
    unsigned message;
    uint32_t call;
};

struct channel {
    int fd;
    enum ipc_role self, peer;
    const struct channel_events *events;
    void *context;
    struct event *readable, *writable, *flush;
    struct secret *in_secret, *out_secret; // NULL: in and out are ordinary memory
    uint8_t *in, *out;
    struct wire_writer writer; // the frame that is being written, behind the batch
    // Frames that are ready, each behind its size: what is said in one turn of the
    // loop goes out in one call, so the peer wakes up once for all of it.
    size_t batch_size, batch_count; // bytes, frames
    struct iovec batch[BATCH_FRAMES];
    struct pending *pending; // ring of CHANNEL_PENDING_MAX, indexed by call number
    size_t pending_count, given_up_count;
    struct event *second; // NULL: calls are never given up
    unsigned patience_s;
    uint32_t next_call;
    struct unsent *unsent_first, **unsent_last;
    size_t unsent_count;
    struct ipc_call *calls;
    const char *cut_off_why; // static; NULL: it is not
    bool is_busy, is_doomed, is_closed;
};


// Head of a bundle: several frames in one datagram, because each datagram costs
// the kernel more than its bytes do.
extern const uint8_t channel_bundle_head[FRAME_HEAD_BYTES];
extern const char channel_nobody[]; // the reason when that process is not running
extern const char channel_crowded[], channel_clogged[]; // no room for a call, for a frame

// channel_send.c
void channel_flush(struct channel *channel); // sends the batch, keeps what does not fit
void channel_on_flush(evutil_socket_t fd, short what, void *context);
void channel_on_writable(evutil_socket_t fd, short what, void *context);
void unsent_free(struct unsent *unsent);
// channel_patience.c
bool channel_is_silent(const struct channel *channel, unsigned message);
// channel.c
// Calls `done` of a call, which has left its slot. The channel may be NULL.
void channel_finish(const struct channel *channel, const struct pending *ended, vlt_result result,
                    struct bytes frame);
void channel_close(struct channel *channel, const char *why); // ends it and tells the owner
void channel_end_turn(struct channel *channel); // is_busy ends; it may be freed by this

#endif
