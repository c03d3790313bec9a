// SPDX-License-Identifier: Apache-2.0
// The end of an exchange: a refusal, recorded before it leaves; or the token that
// the keeper signed and recorded.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"
#include "vaultd/broker/exchange.h"
#include "vaultd/ipc/reasons.h"

const struct oauth_error oauth_invalid_request = {400, "invalid_request",
                                                  "A parameter is missing, malformed or repeated."};
const struct oauth_error oauth_unsupported_grant = {400, "unsupported_grant_type",
                                                    "Only token exchange (RFC 8693) is offered."};
const struct oauth_error oauth_invalid_target = {400, "invalid_target",
                                                 "Tokens are issued for this vault only."};
const struct oauth_error oauth_invalid_scope = {400, "invalid_scope",
                                                "Scopes are not used; send authorization_details."};
const struct oauth_error oauth_invalid_details = {
    400, "invalid_authorization_details",
    "authorization_details must be 1 to 4 objects of type credential_use."};
const struct oauth_error oauth_invalid_proof = {400, "invalid_dpop_proof",
                                                "The DPoP proof is not valid for this request."};
const struct oauth_error oauth_use_nonce = {
    400, "use_dpop_nonce", "The DPoP proof must hold the nonce of the DPoP-Nonce header."};
const struct oauth_error oauth_denied = {
    400, "invalid_request", "The token presented is not accepted, or does not permit this."};
const struct oauth_error oauth_unavailable = {503, "temporarily_unavailable",
                                              "The vault can not decide at the moment."};

// ---- Event ----

struct joined {
    char *room;
    size_t used, capacity;
};

// Whole texts only; what does not fit is left out.
static void join(struct joined *list, struct bytes text, char separator) {
    size_t gap = list->used ? 1 : 0;
    if (list->used + gap + text.size > list->capacity)
        return;
    if (gap)
        list->room[list->used++] = separator;
    memcpy(list->room + list->used, text.at, text.size);
    list->used += text.size;
}

static struct bytes credentials_text(const struct exchange *e, char *room, size_t capacity) {
    struct joined list = {room, 0, capacity};
    for (size_t i = 0; i < e->details.count; i++)
        join(&list, e->details.items[i].credential, ' ');
    return bytes_of(room, list.used);
}

// What was known of the principal, for whoever asks later what it may reach.
static struct bytes groups_text(const struct subject *subject, char *room, size_t capacity) {
    struct joined list = {room, 0, capacity};
    for (size_t i = 0; i < subject->group_count; i++)
        join(&list, subject->groups[i], '\n');
    return bytes_of(room, list.used);
}

static void put_event(const struct exchange *e, enum audit_outcome outcome, const char *reason,
                      struct wire_writer *w) {
    char credentials[256], groups[1024];
    struct audit_event event = {.kind = AUDIT_ISSUE,
                                .outcome = (uint8_t)outcome,
                                .tenant = bytes_of_text(e->tenant_name),
                                .operation = BYTES_LITERAL("token.issue"),
                                .reason = bytes_of_text(reason),
                                .credential = credentials_text(e, credentials, sizeof credentials),
                                .policy_set = bytes_of_text(e->active.hash_text),
                                .policies = bytes_of_text(e->policies),
                                .source = bytes_of_text(http_exchange_peer(e->x)->address),
                                .correlation = bytes_of_text(e->correlation)};
    if (e->subject) {
        event.principal = e->subject->principal;
        event.groups = groups_text(e->subject, groups, sizeof groups);
        event.client = exchange_client(e);
    }
    if (e->actor_count)
        event.actor = e->actors[0].principal;
    audit_event_put(w, &event);
}

// ---- Refusal ----

struct refused {
    struct exchange *exchange;
    const struct oauth_error *error;
};

// `sequence`: the entry of the audit log that this decision is; 0: none.
static void reply_error(const struct broker *broker, struct http_exchange *x,
                        const char *request_id, const struct oauth_error *error,
                        uint64_t sequence) {
    char nonce[DPOP_NONCE_TEXT_SIZE], digits[20];
    struct http_header headers[3] = {request_id_header(request_id)};
    size_t count = request_id[0] ? 1 : 0;
    if (sequence)
        headers[count++] = HTTP_HEADER("vault-audit-entry", bytes_of_number(sequence, digits));
    if (error == &oauth_use_nonce &&
        vlt_is_ok(dpop_nonce_text(broker->nonces, clock_now_s(), nonce)))
        headers[count++] = HTTP_HEADER("dpop-nonce", bytes_of_text(nonce));
    else if (error == &oauth_unavailable)
        headers[count++] = HTTP_HEADER("retry-after", BYTES_LITERAL("1"));
    http_exchange_reply_oauth_error(x, error->status, error->code, error->description, headers,
                                    count);
}

static void end_with_error(struct exchange *e, const struct oauth_error *error,
                           uint64_t sequence) {
    reply_error(e->broker, e->x, e->correlation, error, sequence);
    exchange_free(e);
}

static void on_recorded(vlt_result result, const struct answer_record *answer, void *context) {
    struct refused *refused = context;
    if (vlt_is_ok(result))
        end_with_error(refused->exchange, refused->error, answer->sequence);
    else
        end_with_error(refused->exchange, &oauth_unavailable, 0);
    free(refused);
}

void exchange_refuse(struct exchange *e, const struct oauth_error *error, const char *reason) {
    uint8_t room[8192];
    struct wire_writer w;
    // A nonce that is missing is no decision: the client asks again at once.
    struct refused *refused = error == &oauth_use_nonce ? NULL : malloc(sizeof *refused);
    if (!refused) {
        end_with_error(e, error == &oauth_use_nonce ? error : &oauth_unavailable, 0);
        return;
    }
    *refused = (struct refused){e, error};
    wire_writer_init(&w, room, sizeof room);
    put_event(e, error == &oauth_unavailable ? AUDIT_ERROR : AUDIT_DENY, reason, &w);
    struct ask_record ask = {.event = bytes_of(room, w.size)};
    ask_record(e->broker->auditor, &ask, on_recorded, refused);
}

// ---- Token ----

// What the answer needs. The exchange itself is gone while the keeper signs: hundreds
// may wait, and what each of them held would have left the processor's caches before it
// is used or freed.
struct awaited {
    struct broker *broker;
    struct http_exchange *x;
    enum token_binding binding;
    bool is_jwt;        // said to be one, as the client asked
    struct buf details; // that are granted, in JSON
    char request_id[REQUEST_ID_SIZE];
    size_t event_bytes;
    uint8_t event[]; // for when the keeper does not hear of it
};

static struct awaited *awaited_new(const struct exchange *e, struct bytes event) {
    struct awaited *awaited = malloc(sizeof *awaited + event.size);
    if (!awaited)
        return NULL;
    *awaited = (struct awaited){
        .broker = e->broker,
        .x = e->x,
        .binding = e->binding,
        .is_jwt = bytes_equal_text(oauth_form_get(&e->form, "requested_token_type"),
                                   "urn:ietf:params:oauth:token-type:jwt"),
        .event_bytes = event.size};
    memcpy(awaited->request_id, e->correlation, sizeof awaited->request_id);
    memcpy(awaited->event, event.at, event.size);
    buf_init(&awaited->details, 16384);
    token_details_put_json(e->details.items, e->details.count, &awaited->details);
    return awaited;
}

static void awaited_free(struct awaited *awaited) {
    buf_done(&awaited->details);
    free(awaited);
}

static void put_answer(const struct awaited *a, const struct answer_sign *answer, struct buf *out) {
    int64_t left = (int64_t)answer->expires_at - clock_now_s();
    buf_put_text(out, "{\"access_token\":");
    jsontext_put_string(out, answer->token);
    buf_put_text(out, ",\"authorization_details\":");
    buf_put(out, buf_bytes(&a->details));
    buf_put_text(out, ",\"expires_in\":");
    buf_put_number(out, left > 0 ? (uint64_t)left : 0);
    buf_put_text(out, ",\"issued_token_type\":\"urn:ietf:params:oauth:token-type:");
    buf_put_text(out, a->is_jwt ? "jwt\",\"token_type\":" : "access_token\",\"token_type\":");
    buf_put_text(out, a->binding == TOKEN_BOUND_DPOP ? "\"DPoP\"}" : "\"Bearer\"}");
}

static void reply_token(const struct awaited *a, const struct answer_sign *answer) {
    char nonce[DPOP_NONCE_TEXT_SIZE];
    struct buf body;
    char digits[20]; // of the receipt: which entry of the audit log this is
    struct http_header headers[5] = {
        HTTP_HEADER("content-type", BYTES_LITERAL(HTTP_JSON_MEDIA)),
        HTTP_HEADER("cache-control", BYTES_LITERAL("no-store")),
        HTTP_HEADER("vault-audit-entry", bytes_of_number(answer->sequence, digits)),
        request_id_header(a->request_id)};
    size_t count = a->request_id[0] ? 4 : 3;
    if (a->binding == TOKEN_BOUND_DPOP &&
        vlt_is_ok(dpop_nonce_text(a->broker->nonces, clock_now_s(), nonce)))
        headers[count++] = HTTP_HEADER("dpop-nonce", bytes_of_text(nonce));
    buf_init(&body, 32768);
    put_answer(a, answer, &body);
    if (buf_failed(&body) || buf_failed(&a->details))
        http_exchange_reply_oauth_error(a->x, 503, oauth_unavailable.code,
                                        oauth_unavailable.description, NULL, 0);
    else
        http_exchange_reply(a->x, 200, headers, count, buf_bytes(&body));
    buf_done(&body);
}

static const struct oauth_error *error_of(vlt_result result, enum token_binding binding) {
    if (result.class == VLT_UNAVAILABLE || result.class == VLT_BUG)
        return &oauth_unavailable;
    if (strcmp(result.reason, REASON_PROOF_REPLAYED) == 0 ||
        strcmp(result.reason, REASON_PROOF_OLD) == 0)
        return &oauth_invalid_proof;
    if (result.class == VLT_LIMIT && binding == TOKEN_BOUND_DPOP)
        return &oauth_use_nonce; // no room to remember the proof: try again
    return &oauth_denied;        // the keeper has recorded why
}

// The vault is sealed or the keeper is away: nobody but us can say so in the log.
static void refuse_unheard(const struct awaited *awaited, vlt_result why) {
    struct audit_event event;
    struct refusal refusal = {
        .broker = awaited->broker, .x = awaited->x, .names_entry = true};
    memcpy(refusal.request_id, awaited->request_id, sizeof refusal.request_id);
    refusal_set_unavailable(&refusal);
    if (!vlt_is_ok(audit_event_get(bytes_of(awaited->event, awaited->event_bytes), &event)))
        event = (struct audit_event){.kind = AUDIT_ISSUE,
                                     .operation = BYTES_LITERAL("token.issue")};
    refusal_run(&refusal, &event, why.reason);
}

static void on_signed(vlt_result result, const struct answer_sign *answer, void *context) {
    struct awaited *awaited = context;
    if (vlt_is_ok(result))
        reply_token(awaited, answer);
    else if (channel_was_unheard(result))
        refuse_unheard(awaited, result);
    else
        reply_error(awaited->broker, awaited->x, awaited->request_id,
                    error_of(result, awaited->binding), answer ? answer->sequence : 0);
    awaited_free(awaited);
}

struct bytes exchange_client(const struct exchange *e) {
    const struct subject *presenter = e->actor ? e->actor : e->subject;
    struct bytes client = presenter->client.size ? presenter->client : presenter->principal;
    return client.size <= TOKEN_CLIENT_MAX ? client : presenter->issuer_name;
}

static void fill_claims(const struct exchange *e, struct token_claims *claims) {
    const struct subject *subject = e->subject;
    *claims = (struct token_claims){.audience = bytes_of_text(e->issuer),
                                    .tenant = bytes_of_text(e->tenant_name),
                                    .principal = subject->principal,
                                    .principal_kind = subject->kind,
                                    .client = exchange_client(e),
                                    .actor_count = e->actor_count,
                                    .auth_time = subject->auth_time,
                                    .traits = subject->traits,
                                    .correlation = bytes_of_text(e->correlation),
                                    .policy_set = bytes_of_text(e->active.hash_text),
                                    .group_count = subject->group_count,
                                    .binding = (uint8_t)e->binding,
                                    .detail_count = e->details.count};
    memcpy(claims->actors, e->actors, sizeof claims->actors);
    memcpy(claims->groups, subject->groups, sizeof claims->groups);
    memcpy(claims->details, e->details.items, sizeof claims->details);
    if (e->binding != TOKEN_BEARER)
        memcpy(claims->thumbprint, e->thumbprint, sizeof claims->thumbprint);
    if (e->actor) {
        memcpy(claims->actor_groups, e->actor->groups, sizeof claims->actor_groups);
        claims->actor_group_count = e->actor->group_count;
        claims->actor_traits = e->actor->traits;
    }
}

void exchange_sign(struct exchange *e) {
    static uint8_t claims_room[12288],
        event_room[8192]; // one loop, one thread: zeroed once, not each time
    struct token_claims claims;
    struct wire_writer claims_writer, event_writer;
    fill_claims(e, &claims);
    wire_writer_init(&claims_writer, claims_room, sizeof claims_room);
    token_claims_put(&claims_writer, &claims);
    wire_writer_init(&event_writer, event_room, sizeof event_room);
    put_event(e, AUDIT_ALLOW, "", &event_writer);
    // The keeper closes the channel of a broker that sends claims it cannot read.
    if (claims_writer.failed || event_writer.failed || !vlt_is_ok(token_claims_check(&claims))) {
        exchange_refuse(e, &oauth_denied, "the claims are too long for a token");
        return;
    }
    struct awaited *awaited = awaited_new(e, bytes_of(event_room, event_writer.size));
    if (!awaited) {
        exchange_refuse(e, &oauth_unavailable, "out of memory");
        return;
    }
    struct ask_sign ask = {.tenant = e->tenant.number,
                           .claims = bytes_of(claims_room, claims_writer.size),
                           .lifetime_s = e->lifetime_s,
                           .proof_until = e->proof_until,
                           .event = bytes_of(event_room, event_writer.size)};
    memcpy(ask.proof_id, e->proof_id, sizeof ask.proof_id);
    exchange_free(e);
    ask_sign(awaited->broker->keeper, &ask, on_signed, awaited);
}
