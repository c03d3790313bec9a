// SPDX-License-Identifier: Apache-2.0
// Makes the code of every message from its list of fields.
#include "vaultd/ipc/messages.h"

#include "vaultd/ipc/channel.h"

// ---- Encoders and decoders ----

static void put_bounded(struct wire_writer *w, struct bytes bytes, size_t max_bytes) {
    if (bytes.size > max_bytes)
        w->failed = true;
    wire_put_bytes(w, bytes);
}

static void get_fixed(struct wire_reader *r, uint8_t *at, size_t size) {
    struct bytes got = wire_get_raw(r, size);
    if (got.size == size)
        memcpy(at, got.at, size);
}

#define PUT_U8(name, max) wire_put_u8(w, message->name);
#define PUT_U32(name, max) wire_put_u32(w, message->name);
#define PUT_U64(name, max) wire_put_u64(w, message->name);
#define PUT_BYTES(name, max) put_bounded(w, message->name, (max));
#define PUT_FIXED(name, max) wire_put_raw(w, bytes_of(message->name, (max)));
#define PUT(kind, name, max) PUT_##kind(name, max)

#define GET_U8(name, max) got.name = wire_get_u8(&r);
#define GET_U32(name, max) got.name = wire_get_u32(&r);
#define GET_U64(name, max) got.name = wire_get_u64(&r);
#define GET_BYTES(name, max) got.name = wire_get_bytes(&r, (max));
#define GET_FIXED(name, max) get_fixed(&r, got.name, (max));
#define GET(kind, name, max) GET_##kind(name, max)

#define DEFINE_CODEC(prefix, name, FIELDS)                                                         \
    void prefix##_##name##_encode(struct wire_writer *w, const struct prefix##_##name *message) {  \
        (void)w;                                                                                   \
        (void)message;                                                                             \
        FIELDS(PUT)                                                                                \
    }                                                                                              \
    vlt_result prefix##_##name##_decode(struct bytes frame, struct prefix##_##name *ret_message) { \
        struct prefix##_##name got = {0};                                                          \
        struct wire_reader r;                                                                      \
        wire_reader_init(&r, frame);                                                               \
        FIELDS(GET)                                                                                \
        VLT_TRY(wire_reader_end(&r));                                                              \
        *ret_message = got;                                                                        \
        return vlt_ok();                                                                           \
    }

IPC_STRUCTS(DEFINE_CODEC)

// ---- The table ----

#define SIZE_U8(name, max) +1
#define SIZE_U32(name, max) +4
#define SIZE_U64(name, max) +8
#define SIZE_BYTES(name, max) +4 + (max)
#define SIZE_FIXED(name, max) +(max)
#define SIZE(kind, name, max) SIZE_##kind(name, max)

#define DEFINE_SIZE(prefix, name, FIELDS) prefix##_##name##_max_bytes = 0 FIELDS(SIZE),
enum message_size { IPC_STRUCTS(DEFINE_SIZE) };

#define ROW_ASK(name, from, to, states)                                                            \
    [IPC_ASK_##name] = {#name, true, (from), (to), (states), ask_##name##_max_bytes,               \
                        answer_##name##_max_bytes},
#define ROW_TELL(name, from, to)                                                                   \
    [IPC_TELL_##name] = {#name, false, (from), (to), S_ANY, tell_##name##_max_bytes, 0},
static const struct ipc_message_row rows[IPC_MESSAGE_COUNT] = {IPC_MESSAGES(ROW_ASK, ROW_TELL)};

const struct ipc_message_row *ipc_message_row(unsigned message) {
    return message > IPC_NONE && message < IPC_MESSAGE_COUNT ? &rows[message] : NULL;
}

const char *ipc_role_name(enum ipc_role role) {
    static const char *const names[IPC_ROLE_COUNT] = {"supervisor", "broker", "admin",
                                                      "redeemer",   "keeper", "auditor", "shipper",
                                                      "rotator"};
    return (unsigned)role < IPC_ROLE_COUNT ? names[role] : "unknown";
}

const char *keeper_state_name(enum keeper_state state) {
    static const char *const names[] = {"starting", "uninitialised", "sealed", "unsealed"};
    return (unsigned)state < sizeof names / sizeof *names ? names[state] : "unknown";
}

// ---- Both halves of each call ----

#define DEFINE_ASK(name, from, to, states)                                                         \
    void ask_##name(struct channel *channel, const struct ask_##name *ask,                         \
                    answer_##name##_fn *done, void *context) {                                     \
        ask_##name##_encode(channel_begin_ask(channel, IPC_ASK_##name), ask);                      \
        channel_send_ask(channel, IPC_ASK_##name, (void (*)(void))done, context);                  \
    }                                                                                              \
    void reply_##name(struct ipc_call *call, vlt_result result,                                    \
                      const struct answer_##name *answer) {                                        \
        struct wire_writer *w = channel_begin_reply(call, result);                                 \
        if (answer)                                                                                \
            answer_##name##_encode(w, answer);                                                     \
        channel_send_reply(call);                                                                  \
    }                                                                                              \
    static void dispatch_##name(vlt_result result, struct bytes frame, void (*done)(void),         \
                                void *context) {                                                   \
        struct answer_##name answer = {0};                                                         \
        vlt_result decoded = vlt_is_ok(result) || frame.size                                       \
                                 ? answer_##name##_decode(frame, &answer)                          \
                                 : result;                                                         \
        if (vlt_is_ok(result))                                                                     \
            result = decoded;                                                                      \
        ((answer_##name##_fn *)done)(result, vlt_is_ok(decoded) ? &answer : NULL, context);        \
    }
#define DEFINE_TELL(name, from, to)                                                                \
    void tell_##name(struct channel *channel, const struct tell_##name *tell, int descriptor) {    \
        tell_##name##_encode(channel_begin_tell(channel, IPC_TELL_##name), tell);                  \
        channel_send_tell(channel, descriptor);                                                    \
    }
IPC_MESSAGES(DEFINE_ASK, DEFINE_TELL)

#define CASE_ASK(name, from, to, states)                                                           \
    case IPC_ASK_##name:                                                                           \
        dispatch_##name(result, frame, done, context);                                             \
        break;
#define CASE_TELL(name, from, to)
void ipc_dispatch_answer(unsigned message, vlt_result result, struct bytes frame,
                         void (*done)(void), void *context) {
    switch (message) { IPC_MESSAGES(CASE_ASK, CASE_TELL) default : break; }
}
