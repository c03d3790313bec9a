// SPDX-License-Identifier: Apache-2.0
// Our half of the differential test: one JSON line in, one JSON line out.
// In:  {"policies": "text", "links": [{"templateId", "newId", "values": {"?principal": uid}}],
//       "entities": […], "requests": [{"principal", "action", "resource", "context"}]}
// Out: {"parsed": bool, "entities": bool, "answers": [null | {"decision", "reason", "errors"}]}
// `entities` and `answers` are left out when there was nothing to answer.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/jsontext.h"
#include "libvault/policy/policy.h"
#include "libvault/policy/policy_entity_json.h"

#define LINE_MAX_BYTES (64u * 1024 * 1024)

static vlt_result link_one(struct policy_set *set, const struct policy_json *json) {
    const struct policy_json *values = policy_json_get(json, "values");
    const struct policy_json *slots[] = {policy_json_get(values, "?principal"),
                                         policy_json_get(values, "?resource")};
    struct policy_uid uids[2];
    struct bytes template_id, new_id;
    if (!policy_json_get_text(json, "templateId", &template_id) ||
        !policy_json_get_text(json, "newId", &new_id))
        return vlt_fail(VLT_MALFORMED, "a link without ids");
    for (int i = 0; i < 2; i++)
        if (slots[i])
            VLT_TRY(policy_entity_json_uid(slots[i], NULL, &uids[i]));
    return policy_set_link(set, template_id, new_id, slots[0] ? &uids[0] : NULL,
                           slots[1] ? &uids[1] : NULL, NULL);
}

static vlt_result build_set(const struct policy_json *line, struct policy_set **ret_set) {
    struct policy_document document = {.name = BYTES_LITERAL("policies")};
    const struct policy_json *links = policy_json_get(line, "links");
    struct policy_set *set;
    if (!policy_json_get_text(line, "policies", &document.text))
        return vlt_fail(VLT_MALFORMED, "no policies");
    VLT_TRY(policy_set_parse(&document, 1, POLICY_IDS_NUMBERED, NULL, &set));
    vlt_result result = vlt_ok();
    for (size_t i = 0; links && i < links->count && vlt_is_ok(result); i++)
        result = link_one(set, &links->items[i]);
    if (vlt_is_ok(result))
        result = policy_set_index(set);
    if (!vlt_is_ok(result)) {
        policy_set_free(set);
        return result;
    }
    *ret_set = set;
    return vlt_ok();
}

static vlt_result ask(const struct policy_set *set, struct policy_request *request,
                      const struct policy_json *json, struct policy_answer *ret_answer) {
    static const char *const names[] = {"principal", "action", "resource"};
    const struct policy_json *context = policy_json_get(json, "context");
    struct policy_uid uids[3];
    for (int i = 0; i < 3; i++) {
        const struct policy_json *uid = policy_json_get(json, names[i]);
        if (!uid)
            return vlt_fail(VLT_MALFORMED, "a request without a party");
        VLT_TRY(policy_entity_json_uid(uid, NULL, &uids[i]));
    }
    policy_request_ask(request, uids[0], uids[1], uids[2]);
    policy_request_context_clear(request);
    if (context)
        VLT_TRY(policy_entity_json_record(policy_request_context(request), context, NULL));
    return policy_authorize(set, request, ret_answer);
}

static void put_answer(const struct policy_answer *answer, struct buf *out) {
    buf_put_text(out, answer->is_allowed ? "{\"decision\":\"allow\",\"reason\":["
                                         : "{\"decision\":\"deny\",\"reason\":[");
    for (size_t i = 0; i < answer->reason_count; i++) {
        buf_put_text(out, i ? "," : "");
        jsontext_put_string(out, answer->reasons[i]);
    }
    buf_put_text(out, "],\"errors\":[");
    for (size_t i = 0; i < answer->error_count; i++) {
        buf_put_text(out, i ? "," : "");
        jsontext_put_string(out, answer->errors[i].id);
    }
    buf_put_text(out, "]}");
}

static void answer_requests(const struct policy_set *set, const struct policy_json *line,
                            struct policy_request *request, struct buf *out) {
    const struct policy_json *entities = policy_json_get(line, "entities");
    const struct policy_json *requests = policy_json_get(line, "requests");
    bool loaded = entities && vlt_is_ok(policy_entity_json_all(request, entities, NULL));
    struct buf answers;
    buf_init(&answers, LINE_MAX_BYTES);
    for (size_t i = 0; requests && loaded && i < requests->count; i++) {
        struct policy_answer answer;
        vlt_result result = ask(set, request, &requests->items[i], &answer);
        buf_put_text(&answers, i ? "," : "");
        // A cycle shows only now; to the other side it is a fault of the entities.
        if (!vlt_is_ok(result))
            buf_put_text(&answers, "null");
        else
            put_answer(&answer, &answers);
        loaded = loaded && (vlt_is_ok(result) || vlt_is_ok(request->failure));
    }
    buf_put_format(out, ",\"entities\":%s", loaded ? "true" : "false");
    if (loaded && requests) {
        buf_put_text(out, ",\"answers\":[");
        buf_put(out, buf_bytes(&answers));
        buf_put_text(out, "]");
    }
    buf_done(&answers);
}

static void answer_line(struct bytes text, struct buf *out) {
    struct policy_request *request = policy_request_new(LINE_MAX_BYTES);
    const struct policy_json *line;
    struct policy_set *set = NULL;
    if (!request ||
        !vlt_is_ok(policy_json_parse(policy_request_arena(request), text, NULL, &line))) {
        buf_put_text(out, "{\"unreadable\":true}");
    } else if (!vlt_is_ok(build_set(line, &set))) {
        buf_put_text(out, "{\"parsed\":false}");
    } else {
        buf_put_text(out, "{\"parsed\":true");
        if (policy_json_get(line, "entities"))
            answer_requests(set, line, request, out);
        buf_put_text(out, "}");
    }
    policy_set_free(set);
    policy_request_free(request);
}

int main(void) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    struct buf out;
    buf_init(&out, LINE_MAX_BYTES);
    while ((size = getline(&line, &capacity, stdin)) > 0) {
        buf_clear(&out);
        answer_line(bytes_of(line, (size_t)size), &out);
        if (buf_failed(&out))
            return 1;
        fwrite(out.at, 1, out.size, stdout);
        putchar('\n');
        fflush(stdout);
    }
    buf_done(&out);
    free(line);
    return 0;
}
