// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/log_state.h"

#include "libvault/base/jsontext.h"

static const char *problem_of(const struct log_state *state) {
    if (state->stopped)
        return state->stopped;
    if (state->is_slow)
        return "the disk is slow, and decisions wait for it";
    return state->unpublished;
}

void log_state_put(const struct log_state *state, struct buf *out) {
    const char *problem = problem_of(state);
    buf_put_format(out, "{\"records\":%s,\"entries\":%llu,\"published\":%llu,\"sync_ms\":%lld",
                   state->stopped ? "false" : "true", (unsigned long long)state->entries,
                   (unsigned long long)state->published, (long long)state->sync_ms);
    if (problem && problem[0]) {
        struct bytes text = bytes_of_text(problem);
        buf_put_text(out, ",\"problem\":");
        jsontext_put_string(out, bytes_is_utf8(text, NULL) ? text : BYTES_LITERAL("see the log"));
    }
    buf_put_byte(out, '}');
}
