// SPDX-License-Identifier: Apache-2.0
// Who is it, and who acts for them: subject token, actor token, `act` and
// `may_act` (RFC 8693 section 4).
#include <stdio.h>

#include "libvault/base/clock.h"
#include "libvault/base/b64u.h"
#include "libvault/secret/secret.h"
#include "vaultd/broker/exchange.h"

static enum subject_token_type type_of(struct bytes type) {
    if (bytes_equal_text(type, "urn:ietf:params:oauth:token-type:id_token"))
        return SUBJECT_ID_TOKEN;
    return bytes_equal_text(type, "urn:ietf:params:oauth:token-type:access_token")
               ? SUBJECT_ACCESS_TOKEN
               : SUBJECT_JWT;
}

static const struct oauth_error *verify(struct exchange *e, const char *token, const char *type,
                                        struct subject **ret_subject, struct jwks_entry **ret_await,
                                        const char **ret_reason) {
    const struct subject_expectation expected = {.book = e->broker->book,
                                                 .cache = e->broker->subjects,
                                                 .headers = e->broker->headers,
                                                 .store = e->broker->store,
                                                 .tenant = e->tenant.number,
                                                 .now_s = clock_now_s(),
                                                 .type = type_of(oauth_form_get(&e->form, type))};
    subject_free(*ret_subject);
    *ret_subject = NULL;
    vlt_result result =
        subject_verify(oauth_form_get(&e->form, token), &expected, ret_subject, ret_await);
    *ret_reason = result.reason;
    if (vlt_is_ok(result) || *ret_await)
        return NULL;
    return result.class == VLT_UNAVAILABLE ? &oauth_unavailable : &oauth_denied;
}

// ---- Actors ----

static struct bytes text_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? bytes_of(json_string_value(value), json_string_length(value))
                                 : bytes_of(NULL, 0);
}

// Who acted already, as the subject token's issuer says: outermost first.
static bool add_act(struct exchange *e, const json_t *act) {
    for (; act; act = json_object_get(act, "act")) {
        struct bytes issuer = text_of(act, "iss"), subject = text_of(act, "sub");
        if (e->actor_count == TOKEN_ACTORS_MAX || subject.size == 0)
            return false;
        if (issuer.size == 0)
            issuer = e->subject->issuer;
        char *text = e->actor_texts[e->actor_count];
        int size = snprintf(text, sizeof e->actor_texts[0], "%.*s|%.*s", (int)issuer.size,
                            (const char *)issuer.at, (int)subject.size, (const char *)subject.at);
        if (size < 0 || size >= (int)sizeof e->actor_texts[0])
            return false;
        bool is_user = bytes_equal_text(text_of(act, "sub_profile"), "user");
        e->actors[e->actor_count++] =
            (struct token_actor){bytes_of_text(text), is_user ? TOKEN_USER : TOKEN_AGENT};
    }
    return true;
}

// Every member of may_act that is there must be the actor's (RFC 8693 section 4.4).
static bool may_act(const struct subject *subject, const struct subject *actor) {
    const json_t *rule = subject->may_act;
    const char *name;
    json_t *value;
    if (!rule)
        return true;
    if (!text_of(rule, "sub").size)
        return false; // names nobody
    // A name without its issuer is one of the same issuer: at another one it is
    // whoever took it there.
    if (!json_object_get(rule, "iss") && !bytes_equal(subject->issuer, actor->issuer))
        return false;
    json_object_foreach((json_t *)(uintptr_t)rule, name, value)
        if (!json_equal(value, json_object_get(actor->claims, name)))
            return false;
    return true;
}

static const struct oauth_error *gather_actors(struct exchange *e, const char **ret_reason) {
    e->actor_count = 0;
    if (e->actor) {
        *ret_reason = "may_act of the subject token names another actor";
        if (!may_act(e->subject, e->actor))
            return &oauth_denied;
        // Whoever acts behind it is asked about as the actor, or not at all.
        *ret_reason = "act of the actor token: somebody else acts, who must bring their own token";
        if (e->actor->act)
            return &oauth_denied;
        e->actors[e->actor_count++] = (struct token_actor){e->actor->principal, e->actor->kind};
    }
    *ret_reason = "act of the subject token is malformed or too deep";
    return add_act(e, e->subject->act) ? NULL : &oauth_denied;
}

// A subject token that is bound to a key is of use to the holder of that key only.
static const struct oauth_error *
check_holder(const struct exchange *e, const struct subject *subject, const char **ret_reason) {
    char thumbprint[B64U_SIZE(32) + 1];
    if (!subject || subject->key_thumbprint.size == 0)
        return NULL;
    b64u_encode_text(bytes_of(e->thumbprint, 32), thumbprint);
    *ret_reason = "the token presented is bound to another key";
    return e->binding == TOKEN_BOUND_DPOP &&
                   secret_equal(bytes_of_text(thumbprint), subject->key_thumbprint)
               ? NULL
               : &oauth_denied;
}

const struct oauth_error *exchange_identify(struct exchange *e, struct jwks_entry **ret_await,
                                            const char **ret_reason) {
    const struct oauth_error *error =
        verify(e, "subject_token", "subject_token_type", &e->subject, ret_await, ret_reason);
    if (error || *ret_await)
        return error;
    if (oauth_form_get(&e->form, "actor_token").size) {
        error = verify(e, "actor_token", "actor_token_type", &e->actor, ret_await, ret_reason);
        if (error || *ret_await)
            return error;
    }
    error = check_holder(e, e->subject, ret_reason);
    if (!error)
        error = check_holder(e, e->actor, ret_reason);
    return error ? error : gather_actors(e, ret_reason);
}
