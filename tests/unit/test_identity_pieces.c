// SPDX-License-Identifier: Apache-2.0
// libvault/identity: the small parsers below a subject token.
#include "tests/unit/identity_fixture.h"

#include "libvault/identity/cache_control.h"
#include "libvault/identity/jwks_document.h"
#include "libvault/identity/spiffe_id.h"

static void test_spiffe_id_rejects_other_spellings(void **state) {
    static const char *const bad[] = {
        "",                       "spiffe://td",          "spiffe://td/",      "spiffe:///a",
        "spiffe://TD/a",          "spiffe://td/a/",       "spiffe://td//a",    "spiffe://td/./a",
        "spiffe://td/..",         "spiffe://td:80/a",     "spiffe://u@td/a",   "spiffe://td/a?x",
        "spiffe://td/a#x",        "spiffe://td/%61",      "https://td/a",      "spiffe://td/a b",
        "SPIFFE://td/a"};
    struct bytes domain = BYTES_LITERAL("untouched");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (spiffe_id_split(bytes_of_text(bad[i]), &domain))
            fail_msg("accepted %s", bad[i]);
    assert_true(bytes_equal_text(domain, "untouched"));
    assert_true(spiffe_id_split(BYTES_LITERAL("spiffe://a.b_c-1/X/y.z"), &domain));
    assert_true(bytes_equal_text(domain, "spiffe://a.b_c-1"));
}

static void test_claim_path_accepts_names_with_slashes(void **state) {
    json_t *claims = json_loads("{\"a/b\":{\"c\":1},\"a\":{\"b\":{\"d\":2},\"x\":3},"
                                "\"https://sts.example/\":{\"account\":\"42\"}}", 0, NULL);
    assert_int_equal(json_integer_value(subject_claim_at(claims, "a/b/c")), 1);
    assert_int_equal(json_integer_value(subject_claim_at(claims, "a/b/d")), 2);
    assert_int_equal(json_integer_value(subject_claim_at(claims, "a/x")), 3);
    assert_string_equal(
        json_string_value(subject_claim_at(claims, "https://sts.example//account")), "42");
    assert_null(subject_claim_at(claims, "a/y"));
    assert_null(subject_claim_at(claims, "a/x/y"));
    assert_null(subject_claim_at(claims, ""));
    json_decref(claims);
}

static int64_t max_age(const char *line) {
    int64_t seconds = -1;
    cache_control_read(bytes_of_text(line), &seconds);
    return seconds;
}

static void test_cache_control_accepts_what_matters(void **state) {
    assert_int_equal(max_age("Cache-Control: public, max-age=3600\r\n"), 3600);
    assert_int_equal(max_age("cache-control:MAX-AGE=60"), 60);
    assert_int_equal(max_age("Cache-Control: no-store\r\n"), 0);
    assert_int_equal(max_age("Cache-Control: max-age=x\r\n"), -1);
    assert_int_equal(max_age("Cache-Control: max-age=\r\n"), -1);
    assert_int_equal(max_age("Expires: 0\r\n"), -1);
    assert_true(max_age("Cache-Control: max-age=99999999999999999999999") >= INT32_MAX);
}

static void test_discovery_rejects_other_issuer_and_host(void **state) {
    static const char *const bad[] = {
        "", "[]", "{}", "{\"issuer\":\"https://idp\"}",
        "{\"issuer\":\"https://idp/\",\"jwks_uri\":\"https://idp/k\"}",
        "{\"issuer\":\"https://idp\",\"jwks_uri\":\"http://idp/k\"}",
        "{\"issuer\":\"https://idp\",\"jwks_uri\":\"https://idp.evil/k\"}",
        "{\"issuer\":\"https://idp\",\"jwks_uri\":\"https://idp:444/k\"}",
        "{\"issuer\":\"https://idp\",\"jwks_uri\":\"https://idp@evil/k\"}",
        "{\"issuer\":\"https://idp\",\"jwks_uri\":\"https://idp\\\\@evil/k\"}",
        "{\"issuer\":\"https://idp\",\"jwks_uri\":\"https://idp\"}",
        "{\"issuer\":\"https://idp\",\"jwks_uri\":\"https://idp/k\\r\\n\"}",
        "{\"issuer\":\"https://idp\",\"jwks_uri\":1}", "{\"keys\":{}}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"a\"}]}"};
    struct jwks_document document;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fault fault = {0};
        vlt_result result = jwks_document_read(bytes_of_text(bad[i]), "https://idp",
                                               "https://idp/.well-known/x", &fault, &document);
        if (vlt_is_ok(result))
            fail_msg("accepted %s", bad[i]);
    }
    assert_true(vlt_is_ok(jwks_document_read(
        BYTES_LITERAL("{\"issuer\":\"https://idp\",\"jwks_uri\":\"https://IDP/k\"}"), "https://idp",
        "https://idp/.well-known/x", NULL, &document)));
    assert_string_equal(document.jwks_uri, "https://IDP/k");
}

// An administrator who trusts that host has to know which URL to configure.
static void test_discovery_rejects_another_host_by_its_name(void **state) {
    static const char google[] =
        "{\"issuer\":\"https://idp\",\"jwks_uri\":\"https://keys.example/v3\"}";
    static const char steering[] =
        "{\"issuer\":\"https://idp\",\"jwks_uri\":\"https://keys.example/\\u001b[2J\"}";
    struct jwks_document document;
    struct fault fault = {0};
    assert_int_equal(jwks_document_read(bytes_of_text(google), "https://idp", "https://idp/x",
                                        &fault, &document).class, VLT_DENIED);
    assert_non_null(strstr(fault.text, "discovery_url: https://keys.example/v3"));
    assert_int_equal(jwks_document_read(bytes_of_text(steering), "https://idp", "https://idp/x",
                                        &fault, &document).class, VLT_DENIED);
    assert_null(strstr(fault.text, "keys.example"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spiffe_id_rejects_other_spellings),
        cmocka_unit_test(test_claim_path_accepts_names_with_slashes),
        cmocka_unit_test(test_cache_control_accepts_what_matters),
        cmocka_unit_test(test_discovery_rejects_other_issuer_and_host),
        cmocka_unit_test(test_discovery_rejects_another_host_by_its_name),
    };
    return cmocka_run_group_tests_name("pieces of identity", tests, NULL, NULL);
}
