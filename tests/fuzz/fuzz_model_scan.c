// SPDX-License-Identifier: Apache-2.0
// The scanner against the strict parser: what the scanner accepts, the parser
// accepts with the same model and the same limit of tokens, and the cut into
// pieces changes nothing.
#include <math.h>
#include <stdlib.h>

#include "forward/core/model_scan.h"
#include "libvault/base/jsontext.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

#define MEMBER(use, parent, member) {(use), BYTES_LITERAL(parent), BYTES_LITERAL(member)}

static const struct profile_limit limit = {
    .member_count = 6,
    .members = {MEMBER(PROFILE_LIMIT_MOST, "", "max_tokens"),
                MEMBER(PROFILE_LIMIT_MOST, "generationConfig", "maxOutputTokens"),
                MEMBER(PROFILE_LIMIT_MOST, "generation_config", "max_output_tokens"),
                MEMBER(PROFILE_LIMIT_TIMES, "", "n"),
                MEMBER(PROFILE_LIMIT_TIMES, "generationConfig", "candidateCount"),
                MEMBER(PROFILE_LIMIT_SINGLE, "", "prompt")}};

static vlt_result scan(struct model_scan *s, struct bytes body, size_t step) {
    model_scan_init(s, "model", true);
    model_scan_count(s, &limit);
    for (size_t i = 0; i < body.size; i += step) {
        size_t piece = body.size - i < step ? body.size - i : step;
        vlt_result result = model_scan_feed(s, bytes_of(body.at + i, piece));
        if (!vlt_is_ok(result))
            return result;
    }
    return model_scan_end(s);
}

// The product as the tree has it; 0 where something may mean "no limit".
static uint64_t tokens_of(const json_t *root) {
    uint64_t most = 0, times = 1;
    for (size_t i = 0; i < limit.member_count; i++) {
        const struct profile_limit_member *member = &limit.members[i];
        const json_t *object = member->parent.size
                                   ? json_object_get(root, (const char *)member->parent.at)
                                   : root;
        const json_t *value = json_object_get(object, (const char *)member->member.at);
        const json_int_t read = json_integer_value(value); // below zero is no limit, too
        const uint64_t number = read > 0 ? (uint64_t)read : 0;
        if (!value || (member->use == PROFILE_LIMIT_SINGLE && !json_is_array(value)))
            continue;
        bool is_below_zero = json_is_real(value) && signbit(json_real_value(value));
        bool may_be = json_is_integer(value) || json_is_null(value) ||
                      (is_below_zero && member->use == PROFILE_LIMIT_MOST);
        if (member->use != PROFILE_LIMIT_SINGLE && !may_be)
            abort(); // must have been refused
        if (member->use == PROFILE_LIMIT_TIMES)
            times = number > times ? number : times;
        else if (number == 0)
            return 0;
        else
            most = number > most ? number : most;
    }
    return most > LIMIT_SCAN_MAX / times ? LIMIT_SCAN_MAX : most * times;
}

static void compare(const struct model_scan *s, struct bytes body) {
    static const struct jsontext_limits limits = {.max_bytes = 1 << 20,
                                                  .max_depth = MODEL_SCAN_DEPTH,
                                                  .allow_duplicates = true,
                                                  .allow_nul = true};
    json_t *root = NULL;
    // Lone surrogates and huge numbers are the parser's to refuse: no
    // difference in structure.
    if (!vlt_is_ok(jsontext_parse(body, &limits, NULL, &root)))
        return;
    const json_t *model = json_object_get(root, "model");
    struct bytes found = model_scan_model(s);
    if (!model ? found.size != 0
               : !bytes_equal(found, bytes_of(json_string_value(model), json_string_length(model))))
        abort();
    if (model_scan_max_tokens(s) != tokens_of(root))
        abort();
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct model_scan whole, bytewise;
    struct bytes body = bytes_of(at, size);
    vlt_result a = scan(&whole, body, size + 1), b = scan(&bytewise, body, 1);
    if (a.class != b.class || model_scan_max_tokens(&whole) != model_scan_max_tokens(&bytewise) ||
        !bytes_equal(model_scan_tool(&whole), model_scan_tool(&bytewise)))
        abort();
    if (vlt_is_ok(a))
        compare(&whole, body);
    return 0;
}
