// SPDX-License-Identifier: Apache-2.0
// Aims at policy_json_parse, policy_request_load_entities and _context, and the
// hierarchy behind policy_authorize.
#include <stdint.h>
#include <stdlib.h>

#include "libvault/policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const char policies[] = "permit(principal in Group::\"g\", action, resource) when { "
                               "principal has a.b && context has a };"
                               "permit(principal, action in Action::\"g\", resource in A::\"a\") "
                               "when { principal.a == context };"
                               "forbid(principal, action, resource) when { [principal.a, "
                               "context.a].contains(resource.getTag(\"a\")) };";

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static struct policy_set *set;
    static struct policy_request *request;
    struct policy_document document = {BYTES_LITERAL("fuzz"), bytes_of_text(policies)};
    struct policy_answer answer;
    struct fault fault = {0};
    if (!request && (!vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NAMED, NULL, &set)) ||
                     !(request = policy_request_new(POLICY_REQUEST_MAX_BYTES))))
        abort();
    policy_request_reset(request);
    policy_request_ask(request, policy_uid_of("A", BYTES_LITERAL("a")),
                       policy_uid_of("Action", BYTES_LITERAL("a")),
                       policy_uid_of("A", BYTES_LITERAL("b")));
    bool loaded = vlt_is_ok(policy_request_load_entities(request, bytes_of(bytes, size), &fault));
    vlt_result result = policy_authorize(set, request, &answer);
    // What could not be loaded must not be evaluated.
    if (!loaded && (vlt_is_ok(result) || !fault.text[0]))
        abort();
    policy_request_reset(request);
    (void)!vlt_is_ok(policy_request_load_context(request, bytes_of(bytes, size), &fault));
    return 0;
}
