// SPDX-License-Identifier: Apache-2.0
// Asking the broker of broker_fixture.h for a token, as its clients do: proof, agent,
// what it is for. Included by test_broker*.c only.
#ifndef VLT_TESTS_UNIT_BROKER_ASK_H
#define VLT_TESTS_UNIT_BROKER_ASK_H

#include "tests/unit/broker_fixture.h"

#define DETAILS "[{\"type\":\"credential_use\",\"credential\":\"openai\",\"models\":[\"gpt-*\"]}]"
#define PUBLIC "[{\"type\":\"credential_use\",\"credential\":\"public\"}]"
#define TYPE(name) "urn:ietf:params:oauth:token-type:" name
#define GRANT "grant_type=urn:ietf:params:oauth:grant-type:token-exchange"

// ---- Requests ----

static inline char *agent_token(void) {
    char payload[512];
    int64_t now = clock_now_s();
    snprintf(payload, sizeof payload,
             "{\"iss\":\"https://agents.example\",\"aud\":\"vault\",\"sub\":\"bot\",\"iat\":%lld,"
             "\"exp\":%lld,\"client_id\":\"bot-app\"}",
             (long long)now, (long long)now + 600);
    return idp_sign(world.agents, NULL, payload);
}

static inline void put_escaped(struct buf *out, const char *text) {
    for (; *text; text++)
        buf_put_format(out, "%%%02X", (unsigned char)*text);
}

// A proof for this path, with the nonce of the broker.
static inline void put_proof(struct buf *headers, const char *path) {
    char nonce[DPOP_NONCE_TEXT_SIZE], payload[512], jti[24];
    struct buf header, proof;
    json_t *jwk = NULL;
    assert_true(vlt_is_ok(dpop_nonce_text(world.broker.nonces, clock_now_s(), nonce)));
    assert_true(vlt_is_ok(random_text(12, jti)));
    assert_true(vlt_is_ok(jwk_export(world.client, NULL, NULL, &jwk)));
    char *key = json_dumps(jwk, JSON_COMPACT);
    buf_init(&header, 1024);
    buf_init(&proof, 4096);
    buf_put_format(&header, "{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\",\"jwk\":%s}", key);
    snprintf(payload, sizeof payload,
             "{\"jti\":\"%s\",\"htm\":\"POST\",\"htu\":\"" BASE_URL
             "%s\",\"iat\":%lld,\"nonce\":\"%s\"}",
             jti, path, (long long)clock_now_s(), nonce);
    assert_true(vlt_is_ok(
        jws_sign(world.client, buf_bytes(&header), bytes_of_text(payload), &proof)));
    buf_put_format(headers, "DPoP: %s\r\n", buf_text(&proof));
    free(key);
    json_decref(jwk);
    buf_done(&header);
    buf_done(&proof);
}

struct ask {
    const char *path;    // default /oauth2/token
    const char *subject; // claims behind iss, aud, iat, exp
    const char *details;
    const char *more;    // form parameters
    bool with_agent, with_proof;
    int64_t subject_s; // how long the subject token lives; default 3600
};

static inline void ask_token(const struct ask *ask, struct answer *answer) {
    struct buf form, headers;
    const char *path = ask->path ? ask->path : "/oauth2/token";
    char *subject = user_token_for(ask->subject_s ? ask->subject_s : 3600,
                                   ask->subject ? ask->subject : ALICE),
         *agent = agent_token();
    buf_init(&form, 65536);
    buf_init(&headers, 8192);
    buf_put_format(&form, GRANT "&subject_token_type=" TYPE("jwt") "&subject_token=%s", subject);
    if (ask->with_agent)
        buf_put_format(&form, "&actor_token_type=" TYPE("jwt") "&actor_token=%s", agent);
    if (ask->details) {
        buf_put_text(&form, "&authorization_details=");
        put_escaped(&form, ask->details);
    }
    buf_put_text(&form, ask->more ? ask->more : "");
    if (ask->with_proof)
        put_proof(&headers, path);
    const char *text = buf_text(&headers);
    post_form(path, text ? text : "", buf_text(&form), answer);
    buf_done(&form);
    buf_done(&headers);
    free(subject);
    free(agent);
}

static inline void assert_error(const struct answer *answer, unsigned status, const char *code) {
    if (answer->status != status || strcmp(json_text(answer, "error"), code) != 0)
        fail_msg("expected %u %s: %s\n%s\nevent %s", status, code, answer->head, answer->body,
                 world.last_event);
    assert_non_null(strstr(answer->head, "no-store"));
}

#endif
