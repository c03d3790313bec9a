// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_decide.h"

#include "libvault/policy/policy_authorize.h"

const char *policy_cause_name(enum policy_cause cause) {
    static const char *const names[] = {"allowed", "no_permit", "forbidden", "forbid_errored",
                                        "not_evaluated"};
    return names[cause];
}

static bool forbid_errored(const struct policy_answer *answer) {
    for (size_t i = 0; i < answer->error_count; i++)
        if (answer->errors[i].is_forbid)
            return true;
    return false;
}

static enum policy_cause find_cause(const struct policy_answer *answer) {
    // A forbid that is satisfied says more than one that could not be evaluated.
    if (!answer->is_allowed && answer->reason_count > 0)
        return POLICY_FORBIDDEN;
    if (forbid_errored(answer))
        return POLICY_FORBID_ERRORED;
    return answer->is_allowed ? POLICY_ALLOWED : POLICY_NO_PERMIT;
}

struct policy_decision policy_decide(const struct policy_set *set, struct policy_request *request) {
    struct policy_decision decision = {.cause = POLICY_NOT_EVALUATED};
    decision.result = policy_authorize(set, request, &decision.answer);
    if (vlt_is_ok(decision.result))
        decision.cause = find_cause(&decision.answer);
    decision.is_allowed = decision.cause == POLICY_ALLOWED;
    return decision;
}

static void put_reasons(const struct policy_answer *answer, struct buf *out) {
    for (size_t i = 0; i < answer->reason_count; i++) {
        buf_put_text(out, i ? ", " : " by ");
        buf_put(out, answer->reasons[i]);
    }
}

static void put_errors(const struct policy_answer *answer, bool only_forbids, struct buf *out) {
    for (size_t i = 0; i < answer->error_count; i++) {
        if (only_forbids && !answer->errors[i].is_forbid)
            continue;
        buf_put_text(out, answer->errors[i].is_forbid ? "; forbid " : "; permit ");
        buf_put(out, answer->errors[i].id);
        buf_put_text(out, " errored: ");
        buf_put(out, answer->errors[i].message);
    }
}

void policy_decision_text(const struct policy_decision *decision, struct buf *out) {
    const struct policy_answer *answer = &decision->answer;
    switch (decision->cause) {
    case POLICY_ALLOWED:
        buf_put_text(out, "allowed");
        put_reasons(answer, out);
        break;
    case POLICY_NO_PERMIT:
        buf_put_text(out, "denied: no permit matched");
        put_errors(answer, false, out);
        break;
    case POLICY_FORBIDDEN:
        buf_put_text(out, "denied: forbidden");
        put_reasons(answer, out);
        break;
    case POLICY_FORBID_ERRORED:
        buf_put_text(out, "denied: a forbid could not be evaluated");
        put_errors(answer, true, out);
        break;
    case POLICY_NOT_EVALUATED:
        buf_put_text(out, "denied: not evaluated, ");
        buf_put_text(out, decision->result.reason);
        break;
    }
}
