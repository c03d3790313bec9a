// SPDX-License-Identifier: Apache-2.0
#include "vaultd/ipc/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvault/secret/secret.h"
#include "vaultd/ipc/reasons.h"

enum frame_kind { FRAME_ASK = 1, FRAME_ANSWER, FRAME_TELL };
#define FRAME_HEAD_BYTES 7   // u16 message, u8 kind, u32 call
#define FRAMES_EACH_TURN 256 // then other events of the loop have their turn
#define BATCH_FRAMES 32      // frames that one system call sends
#define OUT_BYTES (CHANNEL_FRAME_MAX + 65536)

struct pending { // our call that waits for an answer
    unsigned message;
    uint32_t call;
    void (*done)(void); // NULL: free slot
    void *context;
};

struct unsent { // a frame for which the socket had no room
    struct unsent *next;
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
    // Frames that are ready: what is said in one turn of the loop goes out in one
    // call, so the peer wakes up once for all of it.
    size_t batch_size, batch_count; // bytes, frames
    struct iovec batch[BATCH_FRAMES];
    struct pending *pending; // ring of CHANNEL_PENDING_MAX, indexed by call number
    size_t pending_count;
    uint32_t next_call;
    struct unsent *unsent_first, **unsent_last;
    size_t unsent_count;
    struct ipc_call *calls;
    bool is_busy, is_doomed, is_closed;
};

const char CHANNEL_PEER_GONE[] = "closed";
static const char no_channel[] = "that process is not running";
static uint8_t nothing[1];
static struct wire_writer nowhere; // what is written for a peer that is gone

static struct wire_writer *discard(void) {
    wire_writer_init(&nowhere, nothing, 0);
    return &nowhere;
}

// ---- Life ----

static uint8_t *frame_memory(size_t size, struct secret **ret_secret) {
    if (secret_heap_kind() == SECRET_MEMORY_NONE)
        return malloc(size);
    *ret_secret = secret_new(size);
    return *ret_secret ? secret_borrow_room(*ret_secret) : NULL;
}

static void frame_memory_free(uint8_t *at, struct secret *secret) {
    if (secret) {
        secret_release_sized(secret, secret_capacity(secret));
        secret_free(secret);
    } else {
        free(at);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *context);
static void on_writable(evutil_socket_t fd, short what, void *context);
static void on_flush(evutil_socket_t fd, short what, void *context);
static void flush_batch(struct channel *channel);

static void channel_destroy(struct channel *channel) {
    if (channel->readable)
        event_free(channel->readable);
    if (channel->writable)
        event_free(channel->writable);
    if (channel->flush)
        event_free(channel->flush);
    frame_memory_free(channel->in, channel->in_secret);
    frame_memory_free(channel->out, channel->out_secret);
    free(channel->pending);
    if (channel->fd >= 0)
        close(channel->fd);
    free(channel);
}

struct channel *channel_new(struct event_base *base, int fd, enum ipc_role self, enum ipc_role peer,
                            const struct channel_events *events, void *context) {
    struct channel *channel = calloc(1, sizeof *channel);
    if (!channel)
        return NULL;
    channel->fd = fd;
    channel->self = self;
    channel->peer = peer;
    channel->events = events;
    channel->context = context;
    channel->unsent_last = &channel->unsent_first;
    channel->in = frame_memory(CHANNEL_FRAME_MAX, &channel->in_secret);
    channel->out = frame_memory(OUT_BYTES, &channel->out_secret);
    channel->pending = calloc(CHANNEL_PENDING_MAX, sizeof *channel->pending);
    evutil_make_socket_nonblocking(fd);
    channel->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, channel);
    channel->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, channel);
    channel->flush = event_new(base, -1, 0, on_flush, channel);
    if (!channel->in || !channel->out || !channel->pending || !channel->readable ||
        !channel->writable || !channel->flush || event_add(channel->readable, NULL) != 0) {
        channel_destroy(channel);
        return NULL;
    }
    return channel;
}

static void unsent_free(struct unsent *unsent) {
    if (unsent->descriptor >= 0)
        close(unsent->descriptor);
    secret_free(unsent->secret);
    free(unsent);
}

// Ends everything that waits, in a fixed order, and tells nobody else.
static void channel_end(struct channel *channel) {
    if (channel->is_closed)
        return;
    flush_batch(channel); // a last answer, when it is we who end
    channel->is_closed = true;
    event_del(channel->readable);
    event_del(channel->writable);
    event_del(channel->flush);
    for (struct unsent *unsent = channel->unsent_first, *next; unsent; unsent = next) {
        next = unsent->next;
        unsent_free(unsent);
    }
    channel->unsent_first = NULL;
    for (struct ipc_call *call = channel->calls; call; call = call->next)
        call->channel = NULL;
    channel->calls = NULL;
    for (size_t i = 0; i < CHANNEL_PENDING_MAX; i++) {
        struct pending ended = channel->pending[i];
        channel->pending[i] = (struct pending){0};
        if (ended.done)
            ipc_dispatch_answer(ended.message, vlt_fail(VLT_UNAVAILABLE, no_channel),
                                bytes_of(NULL, 0), ended.done, ended.context);
    }
    channel->pending_count = 0;
}

void channel_free(struct channel *channel) {
    if (!channel || channel->is_doomed)
        return;
    bool was_busy = channel->is_busy;
    channel->is_doomed = true; // a `done` that frees us again finds it under way
    channel_end(channel);
    if (!was_busy)
        channel_destroy(channel);
}

static void channel_close(struct channel *channel, const char *why) {
    if (channel->is_closed)
        return;
    channel_end(channel);
    if (!channel->is_doomed && channel->events->closed)
        channel->events->closed(channel, why, channel->context);
}

enum ipc_role channel_peer(const struct channel *channel) { return channel->peer; }
size_t channel_pending(const struct channel *channel) { return channel->pending_count; }
bool channel_has_unsent(const struct channel *channel) {
    return channel->unsent_first != NULL || channel->batch_count > 0;
}
struct channel *ipc_call_channel(const struct ipc_call *call) { return call->channel; }

// ---- Sending ----

static ssize_t send_frame(int fd, const uint8_t *frame, size_t size, int descriptor) {
    struct iovec part = {(void *)(uintptr_t)frame, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    if (descriptor >= 0) {
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &descriptor, sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent;
}

static bool queue_frame(struct channel *channel, const uint8_t *frame, size_t size, int descriptor) {
    bool is_secret = channel->out_secret != NULL;
    struct unsent *unsent = calloc(1, sizeof *unsent + (is_secret ? 0 : size));
    if (!unsent)
        return false;
    unsent->descriptor = descriptor;
    unsent->size = size;
    if (is_secret) {
        unsent->secret = secret_new(size);
        if (!unsent->secret || !vlt_is_ok(secret_set(unsent->secret, frame, size))) {
            secret_free(unsent->secret);
            free(unsent);
            return false;
        }
    } else {
        memcpy(unsent->frame, frame, size);
    }
    *channel->unsent_last = unsent;
    channel->unsent_last = &unsent->next;
    channel->unsent_count++;
    event_add(channel->writable, NULL);
    return true;
}

// Keeps what the socket has no room for, in order.
static void keep_batch(struct channel *channel, size_t from) {
    for (size_t i = from; i < channel->batch_count; i++) {
        // Without memory the frame is lost; its call ends when the peer is replaced.
        if (channel->unsent_count >= CHANNEL_PENDING_MAX ||
            !queue_frame(channel, channel->batch[i].iov_base, channel->batch[i].iov_len, -1))
            shutdown(channel->fd, SHUT_RDWR);
    }
}

static void flush_batch(struct channel *channel) {
    struct mmsghdr messages[BATCH_FRAMES];
    int sent = 0;
    if (channel->batch_count == 0)
        return;
    memset(messages, 0, channel->batch_count * sizeof *messages);
    for (size_t i = 0; i < channel->batch_count; i++) {
        messages[i].msg_hdr.msg_iov = &channel->batch[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    if (!channel->unsent_first) {
        do
            sent = sendmmsg(channel->fd, messages, (unsigned)channel->batch_count, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        // Dead: the read side will say so, and ends every call.
        bool is_dead = sent < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN);
        sent = is_dead ? (int)channel->batch_count : sent < 0 ? 0 : sent;
    }
    keep_batch(channel, (size_t)sent);
    if (channel->out_secret) // what was sent may have held a secret
        secret_cleanse(channel->out, channel->batch_size);
    channel->batch_count = channel->batch_size = 0;
}

static void on_flush(evutil_socket_t fd, short what, void *context) { flush_batch(context); }

// The frame that was just written joins the batch.
static bool deliver(struct channel *channel) {
    if (channel->unsent_count + channel->batch_count >= CHANNEL_PENDING_MAX) {
        if (channel->out_secret)
            secret_cleanse(channel->writer.at, channel->writer.size);
        return false;
    }
    channel->batch[channel->batch_count++] = (struct iovec){channel->writer.at, channel->writer.size};
    channel->batch_size += channel->writer.size;
    if (channel->batch_count == BATCH_FRAMES)
        flush_batch(channel);
    else if (channel->batch_count == 1)
        event_active(channel->flush, EV_TIMEOUT, 0);
    return true;
}

// A frame with a descriptor goes alone, behind everything said before it.
static void deliver_descriptor(struct channel *channel, int descriptor) {
    const struct wire_writer frame = channel->writer;
    flush_batch(channel);
    if (!channel->unsent_first && send_frame(channel->fd, frame.at, frame.size, descriptor) >= 0)
        close(descriptor);
    else if (!queue_frame(channel, frame.at, frame.size, descriptor))
        close(descriptor);
}

static const uint8_t *unsent_frame(const struct unsent *unsent) {
    return unsent->secret ? secret_borrow(unsent->secret) : unsent->frame;
}

static void on_writable(evutil_socket_t fd, short what, void *context) {
    struct channel *channel = context;
    while (channel->unsent_first) {
        struct unsent *unsent = channel->unsent_first;
        ssize_t sent = send_frame(fd, unsent_frame(unsent), unsent->size, unsent->descriptor);
        if (unsent->secret)
            secret_release(unsent->secret);
        if (sent < 0)
            return; // no room yet, or dead: the read side will say so
        channel->unsent_first = unsent->next;
        if (!channel->unsent_first)
            channel->unsent_last = &channel->unsent_first;
        channel->unsent_count--;
        unsent_free(unsent);
    }
    event_del(channel->writable);
}

static struct wire_writer *begin(struct channel *channel, unsigned message, enum frame_kind kind,
                                 uint32_t call) {
    struct wire_writer *w = &channel->writer;
    if (OUT_BYTES - channel->batch_size < CHANNEL_FRAME_MAX)
        flush_batch(channel);
    wire_writer_init(w, channel->out + channel->batch_size, CHANNEL_FRAME_MAX);
    wire_put_u16(w, (uint16_t)message);
    wire_put_u8(w, (uint8_t)kind);
    wire_put_u32(w, call);
    return w;
}

struct wire_writer *channel_begin_ask(struct channel *channel, unsigned message) {
    return channel && !channel->is_closed ? begin(channel, message, FRAME_ASK, channel->next_call)
                                          : discard();
}

static vlt_result send_ask(struct channel *channel, unsigned message, void (*done)(void),
                           void *context) {
    if (!channel || channel->is_closed)
        return vlt_fail(VLT_UNAVAILABLE, no_channel);
    struct pending *slot = &channel->pending[channel->next_call % CHANNEL_PENDING_MAX];
    if (channel->writer.failed)
        return vlt_fail(VLT_LIMIT, "a field is longer than the message allows");
    if (slot->done)
        return vlt_fail(VLT_UNAVAILABLE, "too many calls are in flight");
    if (!deliver(channel))
        return vlt_fail(VLT_UNAVAILABLE, "too many messages wait for that process");
    *slot = (struct pending){message, channel->next_call++, done, context};
    channel->pending_count++;
    return vlt_ok();
}

void channel_send_ask(struct channel *channel, unsigned message, void (*done)(void),
                      void *context) {
    vlt_result result = send_ask(channel, message, done, context);
    if (!vlt_is_ok(result))
        ipc_dispatch_answer(message, result, bytes_of(NULL, 0), done, context);
}

struct wire_writer *channel_begin_tell(struct channel *channel, unsigned message) {
    return channel && !channel->is_closed ? begin(channel, message, FRAME_TELL, 0) : discard();
}

void channel_send_tell(struct channel *channel, int descriptor) {
    if (!channel || channel->is_closed || channel->writer.failed) {
        if (descriptor >= 0)
            close(descriptor);
        return;
    }
    if (descriptor >= 0)
        deliver_descriptor(channel, descriptor);
    else
        (void)deliver(channel);
}

// ---- Answering ----

static void begin_answer(struct ipc_call *call, vlt_result result) {
    struct wire_writer *w = begin(call->channel, call->message, FRAME_ANSWER, call->call);
    wire_put_u8(w, (uint8_t)result.class);
    wire_put_text(w, vlt_is_ok(result) ? "" : result.reason);
}

struct wire_writer *channel_begin_reply(struct ipc_call *call, vlt_result result) {
    if (!call->channel)
        return discard();
    begin_answer(call, result);
    return &call->channel->writer;
}

static void call_free(struct ipc_call *call) {
    if (call->channel) {
        *call->link = call->next;
        if (call->next)
            call->next->link = call->link;
    }
    free(call);
}

void channel_send_reply(struct ipc_call *call) {
    struct channel *channel = call->channel;
    if (channel) {
        if (channel->writer.failed)
            begin_answer(call, vlt_fail(VLT_LIMIT, "the answer is longer than the message allows"));
        bool is_kept = deliver(channel);
        call_free(call);
        // A peer that takes no answers is of no use; it will be replaced.
        if (!is_kept)
            channel_close(channel, "does not take its answers");
        return;
    }
    call_free(call);
}

void reply_failure(struct ipc_call *call, vlt_result result) {
    channel_begin_reply(call, result);
    channel_send_reply(call);
}

void ipc_call_refuse(struct ipc_call *call, const char *why) {
    struct channel *channel = call->channel;
    call_free(call);
    if (channel)
        channel_close(channel, why);
}

// ---- Receiving ----

static void receive_ask(struct channel *channel, const struct ipc_message_row *row, unsigned message,
                        uint32_t number, struct bytes fields) {
    struct ipc_call *call = calloc(1, sizeof *call);
    if (!call) {
        channel_close(channel, "out of memory");
        return;
    }
    *call = (struct ipc_call){channel->calls, &channel->calls, channel, message, number};
    if (channel->calls)
        channel->calls->link = &call->next;
    channel->calls = call;
    if (channel->events->permits && !channel->events->permits(row->states, channel->context))
        reply_failure(call, vlt_fail(VLT_UNAVAILABLE, "the vault is sealed or not ready"));
    else
        channel->events->asked(call, message, fields, channel->context);
}

static const char *receive_answer(struct channel *channel, unsigned message, uint32_t number,
                                  struct bytes rest) {
    struct pending *slot = &channel->pending[number % CHANNEL_PENDING_MAX];
    if (!slot->done || slot->call != number || slot->message != message)
        return "an answer to a question that was not asked";
    struct wire_reader r;
    wire_reader_init(&r, rest);
    enum vlt_class class = (enum vlt_class)wire_get_u8(&r);
    struct bytes reason = wire_get_bytes(&r, REASON_MAX_BYTES * 2);
    if (r.failed || class >= VLT_CLASS_COUNT)
        return "an answer without a result";
    struct pending ended = *slot;
    *slot = (struct pending){0};
    channel->pending_count--;
    vlt_result result = class == VLT_CLASS_OK ? vlt_ok() : vlt_fail(class, reason_intern(reason));
    ipc_dispatch_answer(message, result, bytes_from(rest, r.next), ended.done, ended.context);
    return NULL;
}

static bool sides_fit(const struct channel *channel, const struct ipc_message_row *row, bool is_ask) {
    return row && row->is_ask == is_ask && row->from & 1u << channel->peer &&
           row->to & 1u << channel->self;
}

// Returns why the frame is refused, or NULL.
static const char *receive(struct channel *channel, struct bytes frame, int *descriptor) {
    struct wire_reader r;
    wire_reader_init(&r, frame);
    unsigned message = wire_get_u16(&r);
    uint8_t kind = wire_get_u8(&r);
    uint32_t number = wire_get_u32(&r);
    const struct ipc_message_row *row = ipc_message_row(message);
    struct bytes fields = bytes_from(frame, r.next);
    if (r.failed || !row)
        return "not a message";
    if (kind == FRAME_ANSWER)
        return receive_answer(channel, message, number, fields);
    if ((kind != FRAME_ASK && kind != FRAME_TELL) || !sides_fit(channel, row, kind == FRAME_ASK))
        return "a message that this peer may not send";
    if (fields.size > row->ask_max_bytes)
        return "a message that is too large";
    if (kind == FRAME_ASK && channel->events->asked) {
        receive_ask(channel, row, message, number, fields);
    } else if (kind == FRAME_TELL && channel->events->told) {
        int passed = *descriptor;
        *descriptor = -1;
        channel->events->told(channel, message, fields, passed, channel->context);
    }
    return NULL;
}

// Size of the next frame; 0: none now; -1: the peer is gone.
static ssize_t read_frame(struct channel *channel, int *ret_descriptor) {
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {channel->in, CHANNEL_FRAME_MAX};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    ssize_t size = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (size == 0 || message.msg_flags & MSG_TRUNC)
        return -1;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_descriptor, CMSG_DATA(head), sizeof(int));
    return size;
}

static void on_readable(evutil_socket_t fd, short what, void *context) {
    struct channel *channel = context;
    channel->is_busy = true;
    for (int i = 0; i < FRAMES_EACH_TURN && !channel->is_closed; i++) {
        int descriptor = -1;
        ssize_t size = read_frame(channel, &descriptor);
        if (size == 0)
            break;
        const char *why = size < 0 ? CHANNEL_PEER_GONE
                                   : receive(channel, bytes_of(channel->in, (size_t)size), &descriptor);
        if (descriptor >= 0)
            close(descriptor); // nobody took it
        if (channel->in_secret && size > 0)
            secret_cleanse(channel->in, (size_t)size);
        if (why)
            channel_close(channel, why);
    }
    channel->is_busy = false;
    if (channel->is_doomed)
        channel_destroy(channel);
}
