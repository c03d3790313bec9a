// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "tests/unit/check.h"
#include "vaultd/ipc/channel.h"
#include "vaultd/ipc/reasons.h"

// Two ends of one channel on one loop: a redeemer that asks a keeper.
struct pair {
    struct event_base *base;
    struct channel *near, *far; // redeemer's end, keeper's end
    int near_fd, far_fd;
    struct ipc_call *held, *held_before;
    unsigned asked, answered, far_closed, told_fd;
    uint64_t last_sequence;
    bool is_open, answer_now;
    vlt_result last;
    char last_value[64];
};

static void keeper_asked(struct ipc_call *call, unsigned message, struct bytes frame,
                         void *context) {
    struct pair *pair = context;
    struct ask_open ask;
    pair->asked++;
    assert_int_equal(message, IPC_ASK_open);
    if (!vlt_is_ok(ask_open_decode(frame, &ask))) {
        ipc_call_refuse(call, "does not decode");
        return;
    }
    if (!pair->answer_now) {
        pair->held_before = pair->held;
        pair->held = call;
        return;
    }
    struct answer_open answer = {.value = ask.credential, .version = 7};
    reply_open(call, vlt_ok(), &answer);
}
static void keeper_closed(struct channel *channel, const char *why, void *context) {
    ((struct pair *)context)->far_closed++;
}
static bool keeper_permits(unsigned states, void *context) {
    return ((struct pair *)context)->is_open && states & S_OPEN;
}
static const struct channel_events keeper_events = {
    .asked = keeper_asked, .closed = keeper_closed, .permits = keeper_permits};
static const struct channel_events redeemer_events = {.closed = NULL};

static void opened(vlt_result result, const struct answer_open *answer, void *context) {
    struct pair *pair = context;
    pair->answered++;
    pair->last = result;
    pair->last_sequence = answer ? answer->sequence : 0;
    if (answer)
        assert_true(bytes_to_text(answer->value, pair->last_value, sizeof pair->last_value));
}

static void pair_open(struct pair *pair) {
    int fds[2];
    *pair = (struct pair){.is_open = true, .answer_now = true, .base = event_base_new()};
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    pair->near_fd = fds[0];
    pair->far_fd = fds[1];
    pair->near = channel_new(pair->base, fds[0], IPC_REDEEMER, IPC_KEEPER, &redeemer_events, pair);
    pair->far = channel_new(pair->base, fds[1], IPC_KEEPER, IPC_REDEEMER, &keeper_events, pair);
    assert_non_null(pair->near);
    assert_non_null(pair->far);
}
static void pair_close(struct pair *pair) {
    channel_free(pair->near);
    channel_free(pair->far);
    event_base_free(pair->base);
}
static void turn(struct pair *pair) {
    for (int i = 0; i < 20; i++)
        event_base_loop(pair->base, EVLOOP_NONBLOCK);
}
static const struct ask_open sample = {.credential = {(const uint8_t *)"openai", 6}};

static void channel_accepts_pipelined_calls(void **state) {
    struct pair pair;
    pair_open(&pair);
    for (int i = 0; i < 100; i++)
        ask_open(pair.near, &sample, opened, &pair);
    turn(&pair);
    assert_int_equal(pair.answered, 100);
    assert_true(vlt_is_ok(pair.last));
    assert_string_equal(pair.last_value, "openai");
    pair_close(&pair);
}

static void channel_survives_more_than_the_socket_holds(void **state) {
    struct pair pair;
    pair_open(&pair);
    static uint8_t big[8000];
    struct ask_open ask = {.token = bytes_of(big, sizeof big), .credential = sample.credential};
    for (int i = 0; i < 1000; i++)
        ask_open(pair.near, &ask, opened, &pair);
    assert_true(channel_has_unsent(pair.near));
    for (int i = 0; i < 200 && pair.answered < 1000; i++)
        turn(&pair);
    assert_int_equal(pair.answered, 1000);
    pair_close(&pair);
}

static void channel_rejects_when_sealed(void **state) {
    struct pair pair;
    pair_open(&pair);
    pair.is_open = false;
    ask_open(pair.near, &sample, opened, &pair);
    turn(&pair);
    assert_int_equal(pair.asked, 0);
    assert_int_equal(pair.last.class, VLT_UNAVAILABLE);
    assert_string_equal(pair.last.reason, "the vault is sealed or not ready");
    assert_true(channel_was_unheard(pair.last));
    pair_close(&pair);
}

// Both a success that says nothing (which is none) and a failure that says something.
static void channel_accepts_what_a_refusal_says(void **state) {
    struct pair pair;
    pair_open(&pair);
    pair.answer_now = false;
    ask_open(pair.near, &sample, opened, &pair);
    turn(&pair);
    const struct answer_open refused = {.sequence = 4711};
    reply_open(pair.held, vlt_fail(VLT_DENIED, "no"), &refused);
    turn(&pair);
    assert_int_equal(pair.last.class, VLT_DENIED);
    assert_string_equal(pair.last.reason, "no");
    assert_int_equal(pair.last_sequence, 4711);
    for (int i = 0; i < 2; i++) {
        ask_open(pair.near, &sample, opened, &pair);
        turn(&pair);
        reply_failure(pair.held, i ? vlt_ok() : vlt_fail(VLT_NOT_FOUND, "none"));
        turn(&pair);
        assert_int_equal(pair.last.class, i ? VLT_MALFORMED : VLT_NOT_FOUND);
        assert_int_equal(pair.last_sequence, 0);
    }
    assert_int_equal(pair.answered, 3);
    pair_close(&pair);
}

static void channel_rejects_a_message_of_another_role(void **state) {
    struct pair pair;
    pair_open(&pair);
    struct ask_init ask = {0}; // only the admin role may
    ask_init(pair.near, &ask, NULL, NULL);
    turn(&pair);
    assert_int_equal(pair.far_closed, 1);
    assert_int_equal(pair.asked, 0);
    pair_close(&pair);
}

static void channel_rejects_malformed_frames(void **state) {
    uint8_t good[64] = {0, IPC_ASK_open, 1, 0, 0, 0, 1, 0, 0, 0, 5};
    for (size_t size = 1; size <= sizeof good; size++) {
        struct pair pair;
        pair_open(&pair);
        assert_int_equal(send(pair.near_fd, good, size, 0), (ssize_t)size);
        turn(&pair);
        assert_int_equal(pair.far_closed, 1);
        pair_close(&pair);
    }
}

// Bundles: whole ones are taken, and each other form closes the channel.
static void channel_accepts_a_bundle_and_rejects_pieces_of_one(void **state) {
    struct wire_writer w, good;
    uint8_t room[1024], bundle[2048] = {0, 0, 4, 0, 0, 0, 0};
    wire_writer_init(&good, room, sizeof room);
    wire_put_u16(&good, IPC_ASK_open);
    wire_put_u8(&good, 1);
    wire_put_u32(&good, 7);
    ask_open_encode(&good, &sample);
    wire_writer_init(&w, bundle, sizeof bundle);
    w.size = 7;
    for (int i = 0; i < 2; i++)
        wire_put_bytes(&w, bytes_of(room, good.size));
    assert_false(w.failed);
    for (size_t size = 7; size <= w.size + 1; size++) {
        struct pair pair;
        pair_open(&pair);
        pair.answer_now = false;
        assert_int_equal(send(pair.near_fd, bundle, size, 0), (ssize_t)size);
        turn(&pair);
        bool is_whole = size == w.size || size == 7 + 4 + good.size;
        assert_int_equal(pair.far_closed, !is_whole);
        assert_int_equal(pair.asked, size >= w.size ? 2 : size >= 7 + 4 + good.size ? 1 : 0);
        pair_close(&pair);
        for (unsigned i = 0; i < pair.asked;
             i++) // a call outlives its channel until it is answered
            reply_failure(i ? pair.held_before : pair.held, vlt_fail(VLT_DENIED, "late"));
    }
    bundle[10] = 7; // a bundle of bundles
    memcpy(bundle + 11, bundle, 7);
    struct pair pair;
    pair_open(&pair);
    assert_int_equal(send(pair.near_fd, bundle, 18, 0), 18);
    turn(&pair);
    assert_int_equal(pair.far_closed, 1);
    pair_close(&pair);
}

// Small and large frames in one turn: those that fit go together, in order.
static void channel_survives_frames_of_all_sizes_in_one_turn(void **state) {
    struct pair pair;
    static uint8_t big[IPC_TOKEN_MAX];
    pair_open(&pair);
    for (size_t i = 0; i < 400; i++) {
        struct ask_open ask = {.token = bytes_of(big, i * 7919 % sizeof big),
                               .credential = sample.credential};
        ask_open(pair.near, &ask, opened, &pair);
    }
    for (int i = 0; i < 200 && pair.answered < 400; i++)
        turn(&pair);
    assert_int_equal(pair.answered, 400);
    assert_int_equal(pair.far_closed, 0);
    pair_close(&pair);
}

static void channel_rejects_an_answer_nobody_asked_for(void **state) {
    struct pair pair;
    pair_open(&pair);
    const uint8_t frame[] = {0, IPC_ASK_open, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0};
    assert_int_equal(send(pair.near_fd, frame, sizeof frame, 0), (ssize_t)sizeof frame);
    turn(&pair);
    assert_int_equal(pair.far_closed, 1);
    pair_close(&pair);
}

static void channel_survives_a_peer_that_dies(void **state) {
    struct pair pair;
    pair_open(&pair);
    pair.answer_now = false;
    ask_open(pair.near, &sample, opened, &pair);
    turn(&pair);
    assert_non_null(pair.held);
    channel_free(pair.far);
    pair.far = NULL;
    reply_failure(pair.held, vlt_fail(VLT_DENIED, "too late")); // must not touch the dead channel
    turn(&pair);
    assert_int_equal(pair.answered, 1);
    assert_int_equal(pair.last.class, VLT_UNAVAILABLE);
    assert_string_equal(pair.last.reason, REASON_UNANSWERED); // it may have been done
    assert_true(channel_was_unheard(pair.last));
    ask_open(pair.near, &sample, opened, &pair);
    assert_int_equal(pair.answered, 2);
    ask_open(NULL, &sample, opened, &pair);
    assert_int_equal(pair.answered, 3);
    pair_close(&pair);
}

static void ask_rejects_a_field_that_is_too_long(void **state) {
    struct pair pair;
    pair_open(&pair);
    static uint8_t big[IPC_TOKEN_MAX + 1];
    struct ask_open ask = {.token = bytes_of(big, sizeof big)};
    ask_open(pair.near, &ask, opened, &pair);
    assert_int_equal(pair.last.class, VLT_LIMIT);
    pair_close(&pair);
}

static int passed_fd = -1;
static void told(struct channel *channel, unsigned message, struct bytes frame, int descriptor,
                 void *context) {
    passed_fd = descriptor;
}
static void tell_passes_a_descriptor(void **state) {
    const struct channel_events events = {.told = told};
    struct event_base *base = event_base_new();
    int fds[2], pipe_fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    assert_int_equal(pipe(pipe_fds), 0);
    struct channel *near = channel_new(base, fds[0], IPC_SUPERVISOR, IPC_BROKER, &events, NULL);
    struct channel *far = channel_new(base, fds[1], IPC_BROKER, IPC_SUPERVISOR, &events, NULL);
    struct tell_listener tell = {.name = BYTES_LITERAL("tls")};
    tell_listener(near, &tell, pipe_fds[1]);
    event_base_loop(base, EVLOOP_ONCE);
    assert_true(passed_fd >= 0);
    assert_int_equal(write(passed_fd, "x", 1), 1);
    char c;
    assert_int_equal(read(pipe_fds[0], &c, 1), 1);
    close(passed_fd);
    close(pipe_fds[0]);
    channel_free(near);
    channel_free(far);
    event_base_free(base);
}

static unsigned open_descriptors(void) {
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

// A frame of a peer with more descriptors than any message has.
static void channel_rejects_two_descriptors_and_keeps_none(void **state) {
    struct pair pair;
    pair_open(&pair);
    unsigned before = open_descriptors();
    uint8_t frame[] = {0, IPC_TELL_generation, 3, 0, 0, 0, 0};
    struct iovec part = {frame, sizeof frame};
    union {
        char room[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    const int two[] = {0, 1};
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof two);
    memcpy(CMSG_DATA(head), two, sizeof two);
    assert_int_equal(sendmsg(pair.near_fd, &message, 0), sizeof frame);
    turn(&pair);
    assert_int_equal(pair.far_closed, 1);
    assert_int_equal(open_descriptors(), before);
    pair_close(&pair);
}

// A call that takes long must not keep those after it from being made.
static void channel_survives_a_call_that_takes_long(void **state) {
    struct pair pair;
    pair_open(&pair);
    pair.answer_now = false;
    ask_open(pair.near, &sample, opened, &pair);
    turn(&pair);
    struct ipc_call *slow = pair.held;
    assert_non_null(slow);
    pair.answer_now = true;
    for (unsigned i = 0; i < 2 * CHANNEL_PENDING_MAX; i++) {
        ask_open(pair.near, &sample, opened, &pair);
        if (i % 256 == 255)
            turn(&pair);
        assert_true(vlt_is_ok(pair.last));
    }
    assert_int_equal(pair.answered, 2 * CHANNEL_PENDING_MAX);
    reply_failure(slow, vlt_fail(VLT_DENIED, "late"));
    turn(&pair);
    assert_int_equal(pair.last.class, VLT_DENIED);
    assert_int_equal(channel_pending(pair.near), 0);
    pair_close(&pair);
}

// Calls that a keeper leaves unanswered.
struct unanswered {
    struct ipc_call *calls[64];
    size_t count;
};
static void keeper_hangs(struct ipc_call *call, unsigned message, struct bytes frame,
                         void *context) {
    struct unanswered *unanswered = context;
    unanswered->calls[unanswered->count++] = call;
}

// For how long the loop runs.
static void pass_ms(struct event_base *base, unsigned ms) {
    const struct timeval time = {ms / 1000, ms % 1000 * 1000};
    event_base_loopexit(base, &time);
    event_base_dispatch(base);
}

// The number of answers must come; the bound only ends a test that hangs.
static void pass_until(const struct pair *pair, unsigned answered) {
    int64_t end_ms = clock_elapsed_ms() + 60000;
    while (pair->answered < answered && clock_elapsed_ms() < end_ms)
        pass_ms(pair->base, 50);
    assert_int_equal(pair->answered, answered);
}

static void channel_survives_a_peer_that_hangs(void **state) {
    static const struct channel_events hanging = {.asked = keeper_hangs};
    struct unanswered unanswered = {.count = 0};
    struct pair pair = {.base = event_base_new()};
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    pair.near = channel_new(pair.base, fds[0], IPC_REDEEMER, IPC_KEEPER, &redeemer_events, &pair);
    pair.far = channel_new(pair.base, fds[1], IPC_KEEPER, IPC_REDEEMER, &hanging, &unanswered);
    assert_true(vlt_is_ok(channel_set_patience(pair.near, pair.base, 1)));
    int64_t asked_ms = clock_elapsed_ms();
    ask_open(pair.near, &sample, opened, &pair);
    pass_until(&pair, 1);
    assert_true(clock_elapsed_ms() - asked_ms > 600); // it has its time
    assert_int_equal(pair.last.class, VLT_UNAVAILABLE);
    assert_ptr_equal(pair.last.reason, CHANNEL_PEER_SILENT);
    assert_int_equal(channel_pending(pair.near), 0);
    for (int i = 0; i < 20; i++) // one that was lost does not end others
        ask_open(pair.near, &sample, opened, &pair);
    assert_int_equal(pair.answered, 1);
    pass_until(&pair, 21);
    ask_open(pair.near, &sample, opened, &pair); // now nothing is asked any more
    assert_int_equal(pair.answered, 22);
    assert_int_equal(unanswered.count, 21);
    // It was slow and not dead: late answers are dropped, and then all is as before.
    for (size_t i = 0; i < unanswered.count; i++)
        reply_failure(unanswered.calls[i], vlt_fail(VLT_DENIED, "late"));
    unanswered.count = 0;
    turn(&pair);
    assert_int_equal(pair.answered, 22);
    ask_open(pair.near, &sample, opened, &pair);
    turn(&pair);
    assert_int_equal(unanswered.count, 1);
    reply_failure(unanswered.calls[0], vlt_fail(VLT_DENIED, "in time"));
    turn(&pair);
    assert_int_equal(pair.answered, 23);
    assert_int_equal(pair.last.class, VLT_DENIED);
    pair_close(&pair);
}

// Whoever was told that its call was given up is not told again when the peer dies.
static void channel_survives_the_death_of_a_peer_that_hung(void **state) {
    static const struct channel_events hanging = {.asked = keeper_hangs};
    struct unanswered unanswered = {.count = 0};
    struct pair pair = {.base = event_base_new()};
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    pair.near = channel_new(pair.base, fds[0], IPC_REDEEMER, IPC_KEEPER, &redeemer_events, &pair);
    pair.far = channel_new(pair.base, fds[1], IPC_KEEPER, IPC_REDEEMER, &hanging, &unanswered);
    assert_true(vlt_is_ok(channel_set_patience(pair.near, pair.base, 0)));
    ask_open(pair.near, &sample, opened, &pair);
    pass_until(&pair, 1);
    ask_open(pair.near, &sample, opened, &pair);
    turn(&pair);
    channel_free(pair.far);
    for (size_t i = 0; i < unanswered.count; i++)
        reply_failure(unanswered.calls[i], vlt_ok());
    turn(&pair);
    assert_int_equal(pair.answered, 2);
    channel_free(pair.near);
    event_base_free(pair.base);
}

static const char *closed_why = "";
static void note_why(struct channel *channel, const char *why, void *context) { closed_why = why; }

// What a peer is told ends its caches: one that does not listen is cut off, as an
// offender, rather than left to go on with them.
static void tell_rejects_a_peer_that_does_not_listen(void **state) {
    const struct tell_generation tell = {.revision = 1};
    const struct channel_events events = {.closed = note_why};
    struct event_base *base = event_base_new();
    int fds[2];
    char frame[64];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    struct channel *near = channel_new(base, fds[0], IPC_KEEPER, IPC_REDEEMER, &events, NULL);
    for (unsigned i = 0; i < 2 * CHANNEL_PENDING_MAX; i++)
        tell_generation(near, &tell, -1);
    while (recv(fds[1], frame, sizeof frame, MSG_DONTWAIT) > 0)
        event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(recv(fds[1], frame, sizeof frame, MSG_DONTWAIT), 0); // closed
    assert_string_equal(closed_why, "does not take what it is told");
    close(fds[1]);
    channel_free(near);
    event_base_free(base);
}

static void table_accepts_only_frames_that_fit(void **state) {
    for (unsigned i = 1; i < IPC_MESSAGE_COUNT; i++) {
        const struct ipc_message_row *row = ipc_message_row(i);
        assert_non_null(row->name);
        assert_true(row->ask_max_bytes + 16 <= CHANNEL_FRAME_MAX);
        assert_true(row->answer_max_bytes + 512 <= CHANNEL_FRAME_MAX);
        assert_true(row->from && row->to && row->states);
    }
    assert_null(ipc_message_row(0));
    assert_null(ipc_message_row(IPC_MESSAGE_COUNT));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channel_accepts_pipelined_calls),
        cmocka_unit_test(channel_survives_more_than_the_socket_holds),
        cmocka_unit_test(channel_rejects_when_sealed),
        cmocka_unit_test(channel_accepts_what_a_refusal_says),
        cmocka_unit_test(channel_rejects_a_message_of_another_role),
        cmocka_unit_test(channel_rejects_malformed_frames),
        cmocka_unit_test(channel_accepts_a_bundle_and_rejects_pieces_of_one),
        cmocka_unit_test(channel_survives_frames_of_all_sizes_in_one_turn),
        cmocka_unit_test(channel_rejects_an_answer_nobody_asked_for),
        cmocka_unit_test(channel_survives_a_peer_that_dies),
        cmocka_unit_test(ask_rejects_a_field_that_is_too_long),
        cmocka_unit_test(tell_passes_a_descriptor),
        cmocka_unit_test(tell_rejects_a_peer_that_does_not_listen),
        cmocka_unit_test(channel_rejects_two_descriptors_and_keeps_none),
        cmocka_unit_test(channel_survives_a_call_that_takes_long),
        cmocka_unit_test(channel_survives_a_peer_that_hangs),
        cmocka_unit_test(channel_survives_the_death_of_a_peer_that_hung),
        cmocka_unit_test(table_accepts_only_frames_that_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
