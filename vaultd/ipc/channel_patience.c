// SPDX-License-Identifier: Apache-2.0
// Calls to a peer that hangs are given up.
#include "vaultd/ipc/channel_internal.h"

// So many unanswered calls of one message: the peer hangs. A single one that a peer lost
// must not end all others.
#define GIVEN_UP_MAX 16

const char CHANNEL_PEER_SILENT[] = "that process does not answer";

static void give_up(struct channel *channel, struct pending *slot) {
    const struct pending ended = *slot;
    slot->is_given_up = true; // its place stays taken: the answer may come after all
    channel->given_up_count++;
    channel_finish(channel, &ended, vlt_fail(VLT_UNAVAILABLE, CHANNEL_PEER_SILENT),
                   bytes_of(NULL, 0));
}

static void on_second(evutil_socket_t fd, short what, void *context) {
    struct channel *channel = context;
    channel->is_busy = true; // a `done` may free it
    for (size_t i = 0; i < CHANNEL_PENDING_MAX && !channel->is_closed; i++) {
        struct pending *slot = &channel->pending[i];
        if (slot->done && !slot->is_given_up && slot->age_s++ >= channel->patience_s)
            give_up(channel, slot);
    }
    channel_end_turn(channel);
}

bool channel_is_silent(const struct channel *channel, unsigned message) {
    size_t count = 0;
    for (size_t i = 0; channel->given_up_count >= GIVEN_UP_MAX && i < CHANNEL_PENDING_MAX; i++) {
        const struct pending *slot = &channel->pending[i];
        count += slot->is_given_up && slot->message == message;
    }
    return count >= GIVEN_UP_MAX;
}

vlt_result channel_set_patience(struct channel *channel, struct event_base *base,
                                unsigned seconds) {
    const struct timeval second = {1, 0};
    channel->patience_s = seconds;
    channel->second = event_new(base, -1, EV_PERSIST, on_second, channel);
    return channel->second && event_add(channel->second, &second) == 0
               ? vlt_ok()
               : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}
