// SPDX-License-Identifier: Apache-2.0
#include "forward/core/answer.h"

#include "forward/core/json_cursor.h"

static bool is_name_byte(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

static bool is_name(struct bytes name) {
    for (size_t i = 0; i < name.size; i++)
        if (!is_name_byte(name.at[i]))
            return false;
    return name.size > 0;
}

// RFC 9110 section 5.5, visible ASCII and spaces only.
static bool is_value(struct bytes value) {
    for (size_t i = 0; i < value.size; i++)
        if (value.at[i] < 0x20 || value.at[i] > 0x7e)
            return false;
    return true;
}

// Empty, or a text without escapes (RFC 4648 section 5).
static bool is_grant(struct bytes text) {
    return text.size <= ANSWER_GRANT_MAX && (text.size == 0 || is_name(text));
}

static bool names(struct bytes member, const char *name) {
    return bytes_equal_text(member, name);
}

static void inject_item(struct json_cursor *c, struct answer *answer) {
    struct answer_inject item = {0};
    struct bytes member, in = {0};
    uint64_t secret_from = 0, secret_to = 0;
    json_object_begin(c);
    while (json_member_next(c, &member)) {
        if (names(member, "in"))
            in = json_text(c);
        else if (names(member, "name"))
            item.name = json_text(c);
        else if (names(member, "value"))
            item.value = json_text(c);
        else if (names(member, "secret_from"))
            secret_from = json_number(c);
        else if (names(member, "secret_to"))
            secret_to = json_number(c);
        else
            json_skip(c);
    }
    if (secret_from > secret_to || secret_to > item.value.size) {
        c->failed = true;
        return;
    }
    if (secret_to > secret_from)
        item.secret = bytes_of(item.value.at + secret_from, (size_t)(secret_to - secret_from));
    item.in_query = names(in, "query");
    if (answer->inject_count == ANSWER_INJECT_MAX || (!item.in_query && !names(in, "header")) ||
        !is_name(item.name) || !item.value.size || !is_value(item.value))
        c->failed = true;
    else
        answer->inject[answer->inject_count++] = item;
}

static void remove_item(struct json_cursor *c, struct answer *answer) {
    struct bytes name = json_text(c);
    if (answer->remove_count == ANSWER_REMOVE_MAX || !is_name(name))
        c->failed = true;
    else
        answer->remove[answer->remove_count++] = name;
}

static void answer_member(struct json_cursor *c, struct bytes member, struct answer *answer) {
    if (names(member, "inject")) {
        json_array_begin(c);
        while (json_item_next(c))
            inject_item(c, answer);
    } else if (names(member, "remove")) {
        json_array_begin(c);
        while (json_item_next(c))
            remove_item(c, answer);
    } else if (names(member, "upstream")) {
        answer->upstream = json_text(c);
    } else if (names(member, "credential")) {
        answer->credential = json_text(c);
    } else if (names(member, "txn")) {
        answer->txn = json_text(c);
    } else if (names(member, "cache_s")) {
        answer->cache_s = json_number(c);
    } else if (names(member, "epoch")) {
        answer->epoch = json_number(c);
    } else if (names(member, "standing")) {
        answer->standing = json_number(c);
    } else if (names(member, "grant")) {
        answer->grant = json_text(c);
    } else if (names(member, "max_tokens_from")) {
        answer->max_tokens_from = json_number(c);
    } else if (names(member, "max_tokens_to")) {
        answer->max_tokens_to = json_number(c);
    } else if (names(member, "model_required")) {
        answer->model_required = json_boolean(c);
    } else {
        json_skip(c);
    }
}

vlt_result answer_parse(uint8_t *at, size_t size, struct answer *ret_answer) {
    struct json_cursor c;
    struct answer answer = {.max_tokens_to = UINT64_MAX};
    struct bytes member;
    json_cursor_init(&c, at, size);
    json_object_begin(&c);
    while (json_member_next(&c, &member))
        answer_member(&c, member, &answer);
    if (!json_cursor_is_done(&c))
        return vlt_fail(VLT_MALFORMED, "the redeemer's answer is not what was agreed");
    if (answer.inject_count == 0 || !is_value(answer.upstream) || !is_value(answer.credential) ||
        !is_value(answer.txn) || !is_grant(answer.grant))
        return vlt_fail(VLT_MALFORMED, "the redeemer's answer is incomplete");
    *ret_answer = answer;
    return vlt_ok();
}

static void denial_error(struct json_cursor *c, struct denial *denial) {
    struct bytes member;
    json_object_begin(c);
    while (json_member_next(c, &member)) {
        if (names(member, "type"))
            denial->type = json_text(c);
        else if (names(member, "code"))
            denial->code = json_text(c);
        else if (names(member, "message"))
            denial->message = json_text(c);
        else
            json_skip(c);
    }
}

static void denial_headers(struct json_cursor *c, struct denial *denial) {
    struct bytes name, value;
    json_object_begin(c);
    while (json_member_next(c, &name)) {
        value = json_text(c);
        if (denial->header_count == ANSWER_HEADERS_MAX || !is_name(name) || !is_value(value)) {
            c->failed = true;
            return;
        }
        denial->headers[denial->header_count].name = name;
        denial->headers[denial->header_count++].value = value;
    }
}

vlt_result denial_parse(uint8_t *at, size_t size, unsigned status, struct denial *ret_denial) {
    struct json_cursor c;
    struct denial denial = {.status = status};
    struct bytes member;
    json_cursor_init(&c, at, size);
    json_object_begin(&c);
    while (json_member_next(&c, &member)) {
        if (names(member, "error"))
            denial_error(&c, &denial);
        else if (names(member, "headers"))
            denial_headers(&c, &denial);
        else
            json_skip(&c);
    }
    if (!json_cursor_is_done(&c) || !denial.type.size || !denial.message.size || status < 400 ||
        status > 599)
        return vlt_fail(VLT_MALFORMED, "the redeemer's refusal is not what was agreed");
    *ret_denial = denial;
    return vlt_ok();
}
