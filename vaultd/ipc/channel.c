// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "vaultd/ipc/channel_internal.h"
#include "vaultd/ipc/reasons.h"
#include "vaultd/log/log.h"

#define FRAMES_EACH_TURN 256 // then other events of the loop have their turn

const char CHANNEL_PEER_GONE[] = "closed";
const char channel_nobody[] = "that process is not running";
const char CHANNEL_NOT_NOW[] = "the vault is sealed or not ready";
const char channel_crowded[] = "too many calls are in flight";
const char channel_clogged[] = "too many messages wait for that process";

// By their texts: what the peer's end of the channel says comes as a text.
bool channel_was_unheard(vlt_result result) {
    const char *const reasons[] = {channel_nobody, CHANNEL_NOT_NOW, channel_crowded,
                                   channel_clogged, CHANNEL_PEER_SILENT, REASON_UNANSWERED};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (result.class == VLT_UNAVAILABLE && strcmp(result.reason, reasons[i]) == 0)
            return true;
    return false;
}

// ---- The end of a call ----

static void log_call(const struct channel *channel, const struct pending *ended,
                     vlt_result result) {
    uint32_t took_ms = ended->asked_ms ? (uint32_t)clock_elapsed_ms() - ended->asked_ms : 0;
    log_debug("ask_%s to %s: %s in %u ms%s%s", ipc_message_row(ended->message)->name,
              channel ? ipc_role_name(channel->peer) : "nobody", vlt_class_name(result.class),
              took_ms, result.reason[0] ? ": " : "", result.reason);
}

void channel_finish(const struct channel *channel, const struct pending *ended, vlt_result result,
                    struct bytes frame) {
    if (log_shows(LOG_LEVEL_DEBUG))
        log_call(channel, ended, result);
    ipc_dispatch_answer(ended->message, result, frame, ended->done, ended->context);
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

static void channel_destroy(struct channel *channel) {
    if (channel->readable)
        event_free(channel->readable);
    if (channel->writable)
        event_free(channel->writable);
    if (channel->flush)
        event_free(channel->flush);
    if (channel->second)
        event_free(channel->second);
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
    if (!channel) {
        close(fd);
        return NULL;
    }
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
    channel->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, channel_on_writable, channel);
    channel->flush = event_new(base, -1, 0, channel_on_flush, channel);
    if (!channel->in || !channel->out || !channel->pending || !channel->readable ||
        !channel->writable || !channel->flush || event_add(channel->readable, NULL) != 0) {
        channel_destroy(channel);
        return NULL;
    }
    return channel;
}

// Ends everything that waits, in a fixed order, and tells nobody else.
static void channel_end(struct channel *channel) {
    if (channel->is_closed)
        return;
    channel_flush(channel); // a last answer, when it is we who end
    channel->is_closed = true;
    event_del(channel->readable);
    event_del(channel->writable);
    event_del(channel->flush);
    if (channel->second)
        event_del(channel->second);
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
        if (ended.done && !ended.is_given_up)
            channel_finish(channel, &ended, vlt_fail(VLT_UNAVAILABLE, REASON_UNANSWERED),
                           bytes_of(NULL, 0));
    }
    channel->pending_count = channel->given_up_count = 0;
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

void channel_close(struct channel *channel, const char *why) {
    if (channel->is_closed)
        return;
    channel_end(channel);
    if (!channel->is_doomed && channel->events->closed)
        channel->events->closed(channel, why, channel->context);
}

enum ipc_role channel_peer(const struct channel *channel) { return channel->peer; }
size_t channel_pending(const struct channel *channel) {
    return channel->pending_count - channel->given_up_count;
}
bool channel_has_unsent(const struct channel *channel) {
    return channel->unsent_first != NULL || channel->batch_count > 0;
}
struct channel *ipc_call_channel(const struct ipc_call *call) { return call->channel; }
unsigned ipc_call_message(const struct ipc_call *call) { return call->message; }

// ---- Receiving ----

static void receive_ask(struct channel *channel, const struct ipc_message_row *row,
                        unsigned message, uint32_t number, struct bytes fields) {
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
        reply_failure(call, vlt_fail(VLT_UNAVAILABLE, CHANNEL_NOT_NOW));
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
    if (ended.is_given_up) {
        channel->given_up_count--;
        return NULL;
    }
    vlt_result result = class == VLT_CLASS_OK ? vlt_ok() : vlt_fail(class, reason_intern(reason));
    channel_finish(channel, &ended, result, bytes_from(rest, r.next));
    return NULL;
}

static bool sides_fit(const struct channel *channel, const struct ipc_message_row *row,
                      bool is_ask) {
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

// Frames of a bundle come without a descriptor. Returns why it is refused, or NULL.
static const char *receive_bundle(struct channel *channel, struct bytes datagram, int *ret_count) {
    struct wire_reader r;
    int none = -1;
    wire_reader_init(&r, bytes_from(datagram, FRAME_HEAD_BYTES));
    do {
        struct bytes frame = wire_get_bytes(&r, CHANNEL_FRAME_MAX);
        const char *why = r.failed ? "a bundle that is cut off" : receive(channel, frame, &none);
        if (why)
            return why;
        ++*ret_count;
    } while (r.next < r.size && !channel->is_closed);
    return NULL;
}

static const char *receive_datagram(struct channel *channel, struct bytes datagram, int *descriptor,
                                    int *ret_count) {
    if (bytes_begin_with(datagram, bytes_of(channel_bundle_head, FRAME_HEAD_BYTES)))
        return receive_bundle(channel, datagram, ret_count);
    ++*ret_count;
    return receive(channel, datagram, descriptor);
}

// Size of the next datagram; 0: none now; -1: the peer is gone.
static ssize_t read_datagram(struct channel *channel, int *ret_descriptor) {
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {channel->in, CHANNEL_FRAME_MAX};
    // CMSG_LEN, not the room, which its padding makes large enough for a second
    // descriptor: the kernel would open that one here and nobody would close it.
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t size = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_descriptor, CMSG_DATA(head), sizeof(int));
    bool is_cut = message.msg_flags & (MSG_TRUNC | MSG_CTRUNC);
    return size == 0 || is_cut ? -1 : size;
}

void channel_end_turn(struct channel *channel) {
    channel->is_busy = false;
    if (channel->is_doomed)
        channel_destroy(channel);
}

static void on_readable(evutil_socket_t fd, short what, void *context) {
    struct channel *channel = context;
    channel->is_busy = true;
    for (int count = 0; count < FRAMES_EACH_TURN && !channel->is_closed;) {
        int descriptor = -1;
        ssize_t size = read_datagram(channel, &descriptor);
        if (size == 0)
            break;
        const char *gone = channel->cut_off_why ? channel->cut_off_why : CHANNEL_PEER_GONE;
        const char *why = size < 0 ? gone
                                   : receive_datagram(channel, bytes_of(channel->in, (size_t)size),
                                                      &descriptor, &count);
        if (descriptor >= 0)
            close(descriptor); // nobody took it
        if (channel->in_secret && size > 0)
            secret_cleanse(channel->in, (size_t)size);
        if (why)
            channel_close(channel, why);
    }
    channel_end_turn(channel);
}
