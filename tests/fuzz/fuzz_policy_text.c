// SPDX-License-Identifier: Apache-2.0
// Aims at policy_set_parse, policy_vocabulary_check and policy_set_link.
#include <stdint.h>
#include <stdlib.h>

#include "libvault/policy/policy.h"
#include "libvault/policy/policy_vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct policy_document document = {BYTES_LITERAL("fuzz"), bytes_of(bytes, size)};
    struct policy_uid uid = policy_uid_of("User", BYTES_LITERAL("u"));
    struct policy_set *set = NULL;
    struct fault fault = {0};
    vlt_result result = policy_set_parse(&document, 1, POLICY_IDS_NAMED, &fault, &set);
    if (!vlt_is_ok(result)) {
        // A refusal always says where.
        if (fault.line == 0 || fault.column == 0 || !fault.text[0])
            abort();
        return 0;
    }
    (void)!vlt_is_ok(policy_vocabulary_check(set, &fault));
    size_t count = policy_set_count(set);
    for (size_t i = 0; i < count && i < 20; i++) {
        struct bytes id = policy_set_view(set, i).id;
        char name[16] = "link-";
        name[5] = (char)('a' + i);
        (void)!vlt_is_ok(policy_set_link(set, id, bytes_of_text(name), &uid, NULL, NULL));
        (void)!vlt_is_ok(policy_set_link(set, id, bytes_of_text(name), &uid, &uid, NULL));
    }
    policy_set_free(set);
    return 0;
}
