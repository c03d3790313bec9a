// SPDX-License-Identifier: Apache-2.0
// Aims at the evaluator: any policies that parse, over one rich request. The
// answer with an index, without one and from policy_explain must agree.
#include <stdint.h>
#include <stdlib.h>

#include "libvault/policy/policy_decide.h"
#include "libvault/policy/policy_entity_json.h"
#include "libvault/policy/policy_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const char entities[] =
    "[{\"uid\":{\"type\":\"User\",\"id\":\"u\"},\"attrs\":{\"n\":7,\"s\":\"text\",\"set\":[1,2],"
    "\"rec\":{\"a\":{\"b\":true}},"
    "\"ent\":{\"__entity\":{\"type\":\"Doc\",\"id\":\"d\"}}},\"parents\":[{\"type\":\"Group\","
    "\"id\":\"g\"}],\"tags\":{\"t\":\"v\"}},"
    "{\"uid\":{\"type\":\"Doc\",\"id\":\"d\"},\"attrs\":{\"ip\":{\"__extn\":{\"fn\":\"ip\",\"arg\":"
    "\"10.0.0.1\"}}},\"parents\":[]}]";
static const char context[] = "{\"n\":-1,\"s\":\"a*b\",\"flag\":true,\"dt\":{\"__extn\":{\"fn\":"
                              "\"datetime\",\"arg\":\"2024-01-01\"}},"
                              "\"dur\":{\"__extn\":{\"fn\":\"duration\",\"arg\":\"1h\"}},\"dec\":{"
                              "\"__extn\":{\"fn\":\"decimal\",\"arg\":\"1.5\"}}}";

static void build(struct policy_request *request) {
    policy_request_reset(request);
    policy_request_ask(request, policy_uid_of("User", BYTES_LITERAL("u")),
                       policy_uid_of("Action", BYTES_LITERAL("a")),
                       policy_uid_of("Doc", BYTES_LITERAL("d")));
    if (!vlt_is_ok(policy_request_load_entities(request, bytes_of_text(entities), NULL)) ||
        !vlt_is_ok(policy_request_load_context(request, bytes_of_text(context), NULL)))
        abort();
}

static bool count_satisfied(void *counted, const struct policy_outcome *outcome) {
    size_t *counts = counted;
    if (outcome->stage == POLICY_STAGE_SATISFIED)
        counts[outcome->policy.is_forbid]++;
    counts[2] += outcome->stage == POLICY_STAGE_ERRORED;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static struct policy_request *request;
    struct policy_document document = {BYTES_LITERAL("fuzz"), bytes_of(bytes, size)};
    struct policy_set *set = NULL;
    struct policy_answer walked, indexed;
    size_t counts[3] = {0};
    if (!request && !(request = policy_request_new(POLICY_REQUEST_MAX_BYTES)))
        abort();
    if (!vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NUMBERED, NULL, &set)))
        return 0;
    build(request);
    struct policy_decision decision = policy_decide(set, request);
    walked = decision.answer;
    if (vlt_is_ok(decision.result)) {
        if (decision.is_allowed && !walked.is_allowed)
            abort();
        // However small the set is, give it an index.
        if (!set->index && !vlt_is_ok(policy_index_new(set, &set->index)))
            abort();
        vlt_result result = policy_authorize(set, request, &indexed);
        if (vlt_is_ok(result) && (indexed.is_allowed != walked.is_allowed ||
                                  indexed.reason_count != walked.reason_count ||
                                  indexed.error_count != walked.error_count))
            abort();
        result = policy_explain(set, request, count_satisfied, counts);
        if (vlt_is_ok(result) && (counts[2] != walked.error_count ||
                                  walked.is_allowed != (counts[0] > 0 && counts[1] == 0)))
            abort();
    }
    policy_set_free(set);
    return 0;
}
