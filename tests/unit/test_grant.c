// SPDX-License-Identifier: Apache-2.0
// What a redeem was granted on, as a text that comes back.
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "tests/unit/check.h"
#include "vaultd/redeemer/grant.h"

static const struct token_claims claims = {.tenant = {(const uint8_t *)"acme", 4},
                                           .id = {(const uint8_t *)"jti-1", 5},
                                           .principal = {(const uint8_t *)"https://i|alice", 15},
                                           .client = {(const uint8_t *)"cli", 3},
                                           .actors = {{{(const uint8_t *)"https://i|bot", 13}, 2}},
                                           .actor_count = 1,
                                           .details = {{.credential = {(const uint8_t *)"a", 1}},
                                                       {.credential = {(const uint8_t *)"b", 1}}},
                                           .detail_count = 2,
                                           .issued_at = 1000};

static char *text_new(void) {
    return grant_text_new(&claims, "kid-1", "b", 77);
}

static void grant_accepts_its_own_text(void **state) {
    char *text = text_new();
    uint8_t room[1024];
    struct grant grant;
    assert_non_null(text);
    assert_true(vlt_is_ok(grant_parse(bytes_of_text(text), room, &grant)));
    assert_true(bytes_equal_text(grant.tenant, "acme") && bytes_equal_text(grant.id, "jti-1"));
    assert_true(bytes_equal_text(grant.principal, "https://i|alice"));
    assert_true(bytes_equal_text(grant.client, "cli"));
    assert_int_equal(grant.actor_count, 1);
    assert_true(bytes_equal_text(grant.actors[0], "https://i|bot"));
    assert_true(bytes_equal_text(grant.kid, "kid-1"));
    assert_true(bytes_equal_text(grant.credential, "b"));
    assert_int_equal(grant.created_at, 77);
    assert_int_equal(grant.credential_count, 2);
    assert_true(bytes_equal_text(grant.credentials[0], "a"));
    assert_int_equal(grant.issued_at, 1000);
    free(text);
}

static void grant_accepts_the_longest_names(void **state) {
    static uint8_t x[TOKEN_PRINCIPAL_MAX];
    struct token_claims longest = {.actor_count = TOKEN_ACTORS_MAX,
                                   .detail_count = TOKEN_DETAILS_MAX};
    memset(x, 'x', sizeof x);
    longest.principal = bytes_of(x, TOKEN_PRINCIPAL_MAX);
    longest.tenant = longest.id = bytes_of(x, TOKEN_NAME_MAX);
    longest.client = bytes_of(x, TOKEN_CLIENT_MAX);
    for (size_t i = 0; i < TOKEN_ACTORS_MAX; i++)
        longest.actors[i].principal = longest.principal;
    for (size_t i = 0; i < TOKEN_DETAILS_MAX; i++)
        longest.details[i].credential = longest.tenant;
    char kid[TOKEN_KID_SIZE] = "", name[TOKEN_NAME_MAX + 1] = "";
    memset(kid, 'x', sizeof kid - 1);
    memset(name, 'x', sizeof name - 1);
    char *text = grant_text_new(&longest, kid, name, UINT64_MAX);
    uint8_t room[GRANT_TEXT_MAX];
    struct grant grant;
    assert_non_null(text);
    assert_true(vlt_is_ok(grant_parse(bytes_of_text(text), room, &grant)));
    assert_int_equal(grant.actors[TOKEN_ACTORS_MAX - 1].size, TOKEN_PRINCIPAL_MAX);
    free(text);
}

static void grant_rejects_and_survives_everything_else(void **state) {
    char *text = text_new();
    uint8_t wire[1024];
    size_t size = 0;
    assert_true(vlt_is_ok(b64u_decode(bytes_of_text(text), wire, sizeof wire, &size)));
    for (size_t at = 0; at < size; at++)
        for (unsigned change = 0; change < 10; change++) {
            uint8_t changed[1025];
            char again[2048];
            struct grant grant;
            size_t left = change == 8 ? at : change == 9 ? size + 1 : size;
            memcpy(changed, wire, size);
            changed[size] = 0;
            if (change < 8)
                changed[at] ^= (uint8_t)(1u << change);
            b64u_encode_text(bytes_of(changed, left), again);
            uint8_t *room = malloc(strlen(again) + 1);
            bool accepted = vlt_is_ok(grant_parse(bytes_of_text(again), room, &grant));
            assert_false(accepted && (change >= 8 || at == 0)); // cut, longer, another version
            if (accepted)
                assert_true(grant.actor_count <= TOKEN_ACTORS_MAX && grant.tenant.size > 0);
            free(room);
        }
    static const char *const bad[] = {"", "A", "!!!!", "AQ==", "AQ"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct grant grant;
        assert_false(vlt_is_ok(grant_parse(bytes_of_text(bad[i]), wire, &grant)));
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grant_accepts_its_own_text),
        cmocka_unit_test(grant_accepts_the_longest_names),
        cmocka_unit_test(grant_rejects_and_survives_everything_else)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
