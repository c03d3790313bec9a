// SPDX-License-Identifier: Apache-2.0
// What goes out: frames are gathered for one turn of the loop and sent together.
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "vaultd/ipc/channel_internal.h"
#include "vaultd/log/log.h"

static uint8_t nothing[1];
static struct wire_writer nowhere; // what is written for a peer that is gone

static struct wire_writer *discard(void) {
    wire_writer_init(&nowhere, nothing, 0);
    return &nowhere;
}

// ---- Sending ----

void unsent_free(struct unsent *unsent) {
    if (unsent->descriptor >= 0)
        close(unsent->descriptor);
    secret_free(unsent->secret);
    free(unsent);
}

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

static bool unsent_fill(struct unsent *unsent, const struct iovec *parts, size_t count,
                        bool is_secret) {
    uint8_t *at = unsent->frame;
    if (is_secret) {
        unsent->secret = secret_new(unsent->size);
        if (!unsent->secret)
            return false;
        at = secret_borrow_room(unsent->secret);
    }
    for (size_t i = 0; i < count; at += parts[i++].iov_len)
        memcpy(at, parts[i].iov_base, parts[i].iov_len);
    if (is_secret)
        secret_release_sized(unsent->secret, unsent->size);
    return true;
}

// Keeps one datagram for which the socket had no room.
static bool queue_datagram(struct channel *channel, const struct iovec *parts, size_t count,
                           size_t frame_count, int descriptor) {
    bool is_secret = channel->out_secret != NULL;
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += parts[i].iov_len;
    struct unsent *unsent = calloc(1, sizeof *unsent + (is_secret ? 0 : size));
    if (!unsent)
        return false;
    unsent->descriptor = descriptor;
    unsent->size = size;
    unsent->frame_count = frame_count;
    if (!unsent_fill(unsent, parts, count, is_secret)) {
        free(unsent);
        return false;
    }
    *channel->unsent_last = unsent;
    channel->unsent_last = &unsent->next;
    channel->unsent_count += frame_count;
    event_add(channel->writable, NULL);
    return true;
}

// For a peer that would otherwise go on without something it had to hear. The
// read side ends the channel and says why: whoever is sending now may not expect
// to lose a peer meanwhile.
static void cut_off(struct channel *channel, const char *why) {
    channel->cut_off_why = why;
    shutdown(channel->fd, SHUT_RDWR);
}

// ---- Batches ----

const uint8_t channel_bundle_head[FRAME_HEAD_BYTES] = {0, 0, FRAME_BUNDLE, 0, 0, 0, 0};

struct datagram { // of the batch: one frame without its size, or head and frames
    struct iovec parts[2];
    size_t part_count, frame_count;
};

// The next frames of the batch that fit into one datagram; they lie one behind the
// other.
static struct datagram datagram_of(const struct channel *channel, size_t from) {
    const struct iovec *first = &channel->batch[from];
    size_t count = 1, size = first->iov_len;
    while (from + count < channel->batch_count &&
           FRAME_HEAD_BYTES + size + first[count].iov_len <= CHANNEL_FRAME_MAX)
        size += first[count++].iov_len;
    if (count == 1)
        return (struct datagram){
            {{(uint8_t *)first->iov_base + FRAME_SIZE_BYTES, size - FRAME_SIZE_BYTES}}, 1, 1};
    return (struct datagram){
        {{(void *)(uintptr_t)channel_bundle_head, FRAME_HEAD_BYTES}, {first->iov_base, size}},
        2,
        count};
}

// Keeps what the socket has no room for, in order.
static void keep_datagrams(struct channel *channel, const struct datagram *datagrams,
                           size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct datagram *datagram = &datagrams[i];
        // Without memory the frames are lost; their calls end when the peer is replaced.
        if (channel->unsent_count >= CHANNEL_PENDING_MAX ||
            !queue_datagram(channel, datagram->parts, datagram->part_count, datagram->frame_count,
                            -1))
            cut_off(channel, "no room for what it does not take");
    }
}

// How many of them need no more of our care.
static size_t send_datagrams(struct channel *channel, struct datagram *datagrams, size_t count) {
    struct mmsghdr messages[BATCH_FRAMES];
    int sent;
    memset(messages, 0, count * sizeof *messages);
    for (size_t i = 0; i < count; i++) {
        messages[i].msg_hdr.msg_iov = datagrams[i].parts;
        messages[i].msg_hdr.msg_iovlen = datagrams[i].part_count;
    }
    do
        sent = sendmmsg(channel->fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return (size_t)sent;
    // Dead: the read side will say so, and ends every call.
    return errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN ? count : 0;
}

void channel_flush(struct channel *channel) {
    struct datagram datagrams[BATCH_FRAMES];
    size_t count = 0, sent = 0;
    if (channel->batch_count == 0)
        return;
    for (size_t from = 0; from < channel->batch_count; from += datagrams[count++].frame_count)
        datagrams[count] = datagram_of(channel, from);
    if (!channel->unsent_first)
        sent = send_datagrams(channel, datagrams, count);
    keep_datagrams(channel, datagrams + sent, count - sent);
    if (channel->out_secret) // what was sent may have held a secret
        secret_cleanse(channel->out, channel->batch_size);
    channel->batch_count = channel->batch_size = 0;
}

void channel_on_flush(evutil_socket_t fd, short what, void *context) { channel_flush(context); }

// The frame that was just written joins the batch.
static bool deliver(struct channel *channel) {
    if (channel->unsent_count + channel->batch_count >= CHANNEL_PENDING_MAX) {
        if (channel->out_secret)
            secret_cleanse(channel->writer.at, channel->writer.size);
        return false;
    }
    struct wire_writer size;
    wire_writer_init(&size, channel->writer.at - FRAME_SIZE_BYTES, FRAME_SIZE_BYTES);
    wire_put_u32(&size, (uint32_t)channel->writer.size);
    struct iovec frame = {size.at, FRAME_SIZE_BYTES + channel->writer.size};
    channel->batch[channel->batch_count++] = frame;
    channel->batch_size += frame.iov_len;
    if (channel->batch_count == BATCH_FRAMES)
        channel_flush(channel);
    else if (channel->batch_count == 1)
        event_active(channel->flush, EV_TIMEOUT, 0);
    return true;
}

// A frame with a descriptor goes alone, behind everything said before it.
static void deliver_descriptor(struct channel *channel, int descriptor) {
    const struct wire_writer frame = channel->writer;
    const struct iovec part = {frame.at, frame.size};
    channel_flush(channel);
    if (!channel->unsent_first && send_frame(channel->fd, frame.at, frame.size, descriptor) >= 0)
        close(descriptor);
    else if (!queue_datagram(channel, &part, 1, 1, descriptor))
        close(descriptor);
}

static const uint8_t *unsent_frame(const struct unsent *unsent) {
    return unsent->secret ? secret_borrow(unsent->secret) : unsent->frame;
}

void channel_on_writable(evutil_socket_t fd, short what, void *context) {
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
        channel->unsent_count -= unsent->frame_count;
        unsent_free(unsent);
    }
    event_del(channel->writable);
}

static struct wire_writer *begin(struct channel *channel, unsigned message, enum frame_kind kind,
                                 uint32_t call) {
    struct wire_writer *w = &channel->writer;
    if (OUT_BYTES - channel->batch_size < FRAME_SIZE_BYTES + CHANNEL_FRAME_MAX)
        channel_flush(channel);
    wire_writer_init(w, channel->out + channel->batch_size + FRAME_SIZE_BYTES, CHANNEL_FRAME_MAX);
    wire_put_u16(w, (uint16_t)message);
    wire_put_u8(w, (uint8_t)kind);
    wire_put_u32(w, call);
    return w;
}

// The next call's number is that of a free slot: one that takes long must not
// hold up those that come after it.
static void find_slot(struct channel *channel) {
    if (channel->pending_count < CHANNEL_PENDING_MAX)
        while (channel->pending[channel->next_call % CHANNEL_PENDING_MAX].done)
            channel->next_call++;
}

struct wire_writer *channel_begin_ask(struct channel *channel, unsigned message) {
    if (!channel || channel->is_closed)
        return discard();
    find_slot(channel);
    return begin(channel, message, FRAME_ASK, channel->next_call);
}

static vlt_result send_ask(struct channel *channel, const struct pending *ask) {
    if (!channel || channel->is_closed)
        return vlt_fail(VLT_UNAVAILABLE, channel_nobody);
    struct pending *slot = &channel->pending[channel->next_call % CHANNEL_PENDING_MAX];
    if (channel->writer.failed)
        return vlt_fail(VLT_LIMIT, "a field is longer than the message allows");
    if (channel_is_silent(channel, ask->message))
        return vlt_fail(VLT_UNAVAILABLE, CHANNEL_PEER_SILENT);
    if (slot->done)
        return vlt_fail(VLT_UNAVAILABLE, channel_crowded);
    if (!deliver(channel))
        return vlt_fail(VLT_UNAVAILABLE, channel_clogged);
    *slot = *ask;
    slot->call = channel->next_call++;
    slot->asked_ms = log_shows(LOG_LEVEL_DEBUG) ? (uint32_t)clock_elapsed_ms() : 0;
    channel->pending_count++;
    return vlt_ok();
}

void channel_send_ask(struct channel *channel, unsigned message, void (*done)(void),
                      void *context) {
    const struct pending ask = {.message = (uint16_t)message, .done = done, .context = context};
    vlt_result result = send_ask(channel, &ask);
    if (!vlt_is_ok(result))
        channel_finish(channel, &ask, result, bytes_of(NULL, 0));
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
    else if (!deliver(channel))
        cut_off(channel, "does not take what it is told");
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

