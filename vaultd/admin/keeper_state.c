// SPDX-License-Identifier: Apache-2.0
#include "vaultd/admin/keeper_state.h"

#include <stdlib.h>

const char keeper_silent[] =
    "the keeper has not answered for 3 s: it hangs, or waits for a slow disk. Look at the log of "
    "vaultd, which replaces a process that answers nothing (hang_s in vaultd.conf); if it does "
    "not, look at the disk and restart vaultd";

struct question {
    struct admin_work *work; // NULL: was told that the keeper is silent
    answer_status_fn *done;
    struct event *late;
};

static void conclude(struct question *question, vlt_result result,
                     const struct answer_status *answer) {
    struct admin_work *work = question->work;
    question->work = NULL;
    if (work)
        question->done(result, answer, work);
}

static void on_answer(vlt_result result, const struct answer_status *answer, void *context) {
    struct question *question = context;
    conclude(question, result, answer);
    event_free(question->late);
    free(question);
}

// The question lives on: the channel still holds it.
static void on_late(evutil_socket_t fd, short what, void *context) {
    conclude(context, vlt_fail(VLT_UNAVAILABLE, keeper_silent), NULL);
}

void keeper_state_ask(struct admin_work *work, answer_status_fn *done) {
    const struct timeval within = {KEEPER_STATE_MS / 1000, KEEPER_STATE_MS % 1000 * 1000};
    const struct ask_status ask = {0};
    struct admin *admin = work->admin;
    struct question *question = calloc(1, sizeof *question);
    if (question)
        *question = (struct question){work, done, evtimer_new(admin->base, on_late, question)};
    if (!question || !question->late || event_add(question->late, &within) != 0) {
        if (question && question->late)
            event_free(question->late);
        free(question);
        done(vlt_fail(VLT_UNAVAILABLE, "the admin role is out of memory: try again"), NULL, work);
        return;
    }
    ask_status(admin->keeper, &ask, on_answer, question);
}
