// SPDX-License-Identifier: Apache-2.0
// POST /v1/standing: which of the grants that a forwarder holds open have ended?
// Asked after the watch said that something was taken back. Needs the store only,
// so that a sealed vault answers too. What has ended is recorded; the answer does
// not wait for that, because nothing is released by it.
#include <stdlib.h>

#include "libvault/audit/event.h"
#include "libvault/base/jsontext.h"
#include "libvault/http/http_media.h"
#include "vaultd/log/log.h"
#include "vaultd/redeemer/redeem.h"
#include "vaultd/redeemer/standing.h"

static const struct jsontext_limits limits = {.max_bytes = STANDING_BODY_MAX, .max_depth = 4};

struct asking {
    struct redeemer *redeemer;
    const struct record_forwarder *forwarder;
    struct buf answer;
    size_t ended_count;
};

static const char operation[] = "forwarder.standing"; // of a question that is refused

static void on_recorded(vlt_result result, const struct answer_record *answer, void *context) {
    if (!vlt_is_ok(result))
        log_warning("the end of a request is not in the audit log: %s", result.reason);
}

static void record(const struct asking *asking, const struct grant *grant, const char *request_id,
                   const char *why) {
    uint8_t room[8192];
    struct wire_writer w;
    struct audit_event event = {.kind = AUDIT_REDEEM,
                                .outcome = AUDIT_DENY,
                                .operation = BYTES_LITERAL("request.end"),
                                .tenant = grant->tenant,
                                .principal = grant->principal,
                                .client = grant->client,
                                .token_id = grant->id,
                                .credential = grant->credential,
                                .reason = bytes_of_text(why),
                                .forwarder = bytes_of_text(asking->forwarder->name),
                                .correlation = bytes_of_text(request_id)};
    if (grant->actor_count)
        event.actor = grant->actors[0];
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &event);
    struct ask_record ask = {.event = bytes_of(room, w.size)};
    ask_record(asking->redeemer->auditor, &ask, on_recorded, NULL);
}

static void put_ended(struct asking *asking, size_t index, const char *why) {
    if (asking->ended_count++)
        buf_put_byte(&asking->answer, ',');
    buf_put_text(&asking->answer, "{\"index\":");
    buf_put_number(&asking->answer, index);
    buf_put_text(&asking->answer, ",\"reason\":");
    jsontext_put_string(&asking->answer, bytes_of_text(why));
    buf_put_byte(&asking->answer, '}');
}

static const char unknown_grant[] = "the grant is not known";

// A grant that can not be read, of another version perhaps, can not be said to stand.
static vlt_result check_one(struct asking *asking, size_t index, const json_t *item) {
    uint8_t room[GRANT_TEXT_MAX];
    struct grant grant;
    const char *why = NULL;
    const char *text = json_string_value(json_object_get(item, "grant"));
    const char *request_id = json_string_value(json_object_get(item, "request_id"));
    if (strlen(text) > sizeof room || !vlt_is_ok(grant_parse(bytes_of_text(text), room, &grant))) {
        static const struct grant nothing;
        record(asking, &nothing, request_id ? request_id : "", unknown_grant);
        put_ended(asking, index, unknown_grant);
        return vlt_ok();
    }
    VLT_TRY(standing_check(asking->redeemer, asking->forwarder, &grant, &why));
    if (why) {
        record(asking, &grant, request_id ? request_id : "", why);
        put_ended(asking, index, why);
    }
    return vlt_ok();
}

static vlt_result check_all(struct asking *asking, const json_t *grants) {
    buf_put_text(&asking->answer, "{\"standing\":");
    buf_put_number(&asking->answer, asking->redeemer->standing);
    buf_put_text(&asking->answer, ",\"ended\":[");
    for (size_t i = 0; i < json_array_size(grants); i++)
        VLT_TRY(check_one(asking, i, json_array_get(grants, i)));
    buf_put_text(&asking->answer, "]}");
    return buf_failed(&asking->answer) ? vlt_fail(VLT_UNAVAILABLE, "out of memory") : vlt_ok();
}

static void answer(struct redeemer *redeemer, struct http_exchange *x, const json_t *grants) {
    struct asking asking = {.redeemer = redeemer};
    vlt_result result = forwarder_find(&redeemer->forwarders, redeemer->store,
                                       http_exchange_peer(x), &asking.forwarder);
    if (result.class == VLT_DENIED) {
        // To the forwarder: everything has ended.
        redeem_refuse_question(redeemer, x, operation, &redeem_refusal_denied, result.reason, NULL);
        return;
    }
    buf_init(&asking.answer, STANDING_BODY_MAX);
    if (vlt_is_ok(result))
        result = check_all(&asking, grants);
    if (vlt_is_ok(result)) {
        http_exchange_reply_typed(x, 200, HTTP_JSON_MEDIA, buf_bytes(&asking.answer));
    } else {
        log_warning("open requests can not be looked at: %s", result.reason);
        redeem_refuse_question(redeemer, x, operation, &redeem_refusal_unavailable, result.reason,
                               NULL);
    }
    buf_done(&asking.answer);
}

static bool is_item(const json_t *item) {
    static const char *const members[] = {"grant", "request_id", NULL};
    const json_t *request_id = json_object_get(item, "request_id");
    return json_is_object(item) && vlt_is_ok(jsontext_only_members(item, members, NULL)) &&
           json_is_string(json_object_get(item, "grant")) &&
           (!request_id || json_is_string(request_id));
}

static bool is_question(const json_t *root) {
    static const char *const members[] = {"grants", NULL};
    const json_t *grants = json_object_get(root, "grants");
    if (!json_is_array(grants) || json_array_size(grants) > STANDING_GRANTS_MAX ||
        !vlt_is_ok(jsontext_only_members(root, members, NULL)))
        return false;
    for (size_t i = 0; i < json_array_size(grants); i++)
        if (!is_item(json_array_get(grants, i)))
            return false;
    return true;
}

void op_standing(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    struct redeemer *redeemer = ctx;
    const struct http_request *request = http_exchange_request(x);
    struct bytes media;
    json_t *root = NULL;
    bool is_json = http_header_find(&request->fields, "content-type", &media) == 1 &&
                   http_media_is(media, HTTP_JSON_MEDIA);
    if (!is_json || !vlt_is_ok(jsontext_parse(request->body, &limits, NULL, &root)) ||
        !is_question(root)) {
        redeem_refuse_question(
            redeemer, x, operation, NULL, "not a list of grants",
            "the body must be {\"grants\":[{\"grant\":…,\"request_id\":…}]}, at most 128 of them");
    } else if (!vlt_is_ok(redeemer_snapshot(redeemer))) {
        redeem_refuse_question(redeemer, x, operation, &redeem_refusal_unavailable,
                               "there is no store yet", NULL);
    } else {
        answer(redeemer, x, json_object_get(root, "grants"));
        store_snapshot_end(redeemer->store);
    }
    json_decref(root);
}
