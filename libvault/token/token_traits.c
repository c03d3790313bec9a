// SPDX-License-Identifier: Apache-2.0
#include "libvault/token/token_traits.h"

#include "libvault/token/claims.h"
#include "libvault/token/token_text.h"

bool token_tag_name_is_valid(struct bytes name) {
    for (size_t i = 0; i < name.size; i++) {
        if (name.at[i] <= ' ' || name.at[i] > '~')
            return false;
    }
    return name.size > 0 && name.size <= TOKEN_TAG_NAME_MAX;
}

static int compare_names(struct bytes a, struct bytes b) {
    size_t shared = a.size < b.size ? a.size : b.size;
    for (size_t i = 0; i < shared; i++) {
        if (a.at[i] != b.at[i])
            return a.at[i] < b.at[i] ? -1 : 1;
    }
    return a.size == b.size ? 0 : a.size < b.size ? -1 : 1;
}

bool token_traits_add_tag(struct token_traits *traits, struct bytes name, struct bytes value) {
    size_t at = traits->tag_count;
    for (size_t i = 0; i < traits->tag_count; i++) {
        int order = compare_names(traits->tags[i].name, name);
        if (order == 0)
            return false;
        if (order > 0 && at == traits->tag_count)
            at = i;
    }
    if (traits->tag_count == TOKEN_TAGS_MAX)
        return false;
    memmove(&traits->tags[at + 1], &traits->tags[at],
            (traits->tag_count - at) * sizeof *traits->tags);
    traits->tags[at] = (struct token_tag){name, value};
    traits->tag_count++;
    return true;
}

void token_traits_put(struct wire_writer *w, const struct token_traits *traits) {
    wire_put_bytes(w, traits->acr);
    wire_put_u8(w, (uint8_t)traits->amr.count);
    for (size_t i = 0; i < traits->amr.count; i++)
        wire_put_bytes(w, traits->amr.items[i]);
    wire_put_u8(w, (uint8_t)traits->tag_count);
    for (size_t i = 0; i < traits->tag_count; i++) {
        wire_put_bytes(w, traits->tags[i].name);
        wire_put_bytes(w, traits->tags[i].value);
    }
    wire_put_u8(w, traits->compliant);
    wire_put_u8(w, traits->managed);
}

void token_traits_get(struct wire_reader *r, struct token_traits *ret_traits) {
    struct token_traits traits = {0};
    traits.acr = wire_get_bytes(r, TOKEN_CLIENT_MAX);
    traits.amr.count = wire_get_u8(r);
    if (traits.amr.count > TOKEN_LIST_MAX)
        r->failed = true;
    for (size_t i = 0; i < traits.amr.count && !r->failed; i++)
        traits.amr.items[i] = wire_get_bytes(r, TOKEN_NAME_MAX);
    traits.tag_count = wire_get_u8(r);
    if (traits.tag_count > TOKEN_TAGS_MAX)
        r->failed = true;
    for (size_t i = 0; i < traits.tag_count && !r->failed; i++) {
        traits.tags[i].name = wire_get_bytes(r, TOKEN_TAG_NAME_MAX);
        traits.tags[i].value = wire_get_bytes(r, TOKEN_TAG_VALUE_MAX);
    }
    traits.compliant = wire_get_u8(r);
    traits.managed = wire_get_u8(r);
    if (!r->failed)
        *ret_traits = traits;
}

static bool tags_are_sound(const struct token_traits *traits) {
    for (size_t i = 0; i < traits->tag_count; i++) {
        const struct token_tag *tag = &traits->tags[i];
        if (!token_tag_name_is_valid(tag->name) ||
            !token_text_fits(tag->value, TOKEN_TAG_VALUE_MAX) ||
            (i && compare_names(traits->tags[i - 1].name, tag->name) >= 0))
            return false;
    }
    return true;
}

vlt_result token_traits_check(const struct token_traits *traits) {
    if (traits->amr.count > TOKEN_LIST_MAX || traits->tag_count > TOKEN_TAGS_MAX)
        return vlt_fail(VLT_LIMIT, "too many values in a claim");
    if (!token_text_fits(traits->acr, TOKEN_CLIENT_MAX) ||
        !token_texts_fit(traits->amr.items, traits->amr.count, TOKEN_NAME_MAX))
        return vlt_fail(VLT_MALFORMED, "a claim is empty, too long or not UTF-8");
    if (!tags_are_sound(traits))
        return vlt_fail(VLT_MALFORMED, "tags are out of order, too long or not text");
    if (traits->compliant > TOKEN_POSTURE_YES || traits->managed > TOKEN_POSTURE_YES)
        return vlt_fail(VLT_MALFORMED, "an unknown posture of a device");
    return vlt_ok();
}
