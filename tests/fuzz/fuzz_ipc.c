// SPDX-License-Identifier: Apache-2.0
// Every message between our processes: a compromised role may send any bytes. The
// first byte chooses the message. What decodes must encode to the same bytes.
#include <stdlib.h>
#include <string.h>

#include "vaultd/ipc/messages.h"

#define FRAME_MAX (1u << 20)

#define TRY(prefix, name)                                                                          \
    static void try_##prefix##_##name(struct bytes frame, uint8_t *room) {                         \
        struct prefix##_##name message;                                                            \
        struct wire_writer w;                                                                      \
        if (!vlt_is_ok(prefix##_##name##_decode(frame, &message)))                                 \
            return;                                                                                \
        wire_writer_init(&w, room, FRAME_MAX);                                                     \
        prefix##_##name##_encode(&w, &message);                                                    \
        if (w.failed || w.size != frame.size || memcmp(room, frame.at, frame.size) != 0)           \
            abort();                                                                               \
    }
#define TRY_ASK(name, from, to, states) TRY(ask, name) TRY(answer, name)
#define TRY_TELL(name, from, to) TRY(tell, name)
IPC_MESSAGES(TRY_ASK, TRY_TELL)

typedef void try_fn(struct bytes frame, uint8_t *room);
#define ROW_ASK(name, from, to, states) try_ask_##name, try_answer_##name,
#define ROW_TELL(name, from, to) try_tell_##name,
static try_fn *const tries[] = {IPC_MESSAGES(ROW_ASK, ROW_TELL)};

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    static uint8_t room[FRAME_MAX];
    if (size < 1 || size > FRAME_MAX)
        return 0;
    tries[input[0] % (sizeof tries / sizeof *tries)](bytes_of(input + 1, size - 1), room);
    return 0;
}
