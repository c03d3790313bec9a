// SPDX-License-Identifier: Apache-2.0
// libvault/identity: which subject tokens are taken, whose they are, and which
// are refused (RFC 8725, OpenID Connect Core 3.1.3.7, SPIFFE JWT-SVID).
#include "tests/unit/identity_fixture.h"

#include "libvault/identity/subject_cache.h"

#define NOW 1800000000
#define HEAD "{\"iss\":\"" IDP "\",\"aud\":\"vault\",\"sub\":\"alice\""
#define GOOD HEAD ",\"iat\":1799999990,\"exp\":1800000300"

static char folder[64];
static struct event_base *base;
static struct store *store;
static struct jwks_cache *cache;
static struct issuer_book *book;
static struct jwk *es256, *rs256, *eddsa, *svid;
static struct subject_expectation expected;

static json_t *issuer_record(const char *name, const char *issuer, json_t *jwks) {
    return json_pack("{s:s, s:s, s:o, s:[s], s:[s,s,s], s:s, s:[s],"
                     " s:[{s:s,s:s},{s:s,s:s,s:s}], s:[{s:s},{s:s,s:s},{s:s}], s:{s:s,s:s}}",
                     "name", name, "issuer", issuer, "jwks", jwks, "audiences", "vault",
                     "algorithms", "ES256", "RS256", "EdDSA", "kind", "user", "token_types",
                     "at+jwt", "groups", "claim", "groups", "value", "*", "claim", "role/level",
                     "value", "9", "group", "seniors", "tags", "claim", "repository", "claim",
                     "k8s/namespace", "tag", "Namespace", "claim", "run", "device", "compliant",
                     "device/compliant", "managed", "mdm");
}

static int open_all(void **state) {
    struct fault fault = {0};
    assert_true(vlt_is_ok(secret_heap_open(1u << 20, NULL)));
    idp_folder(folder);
    base = event_base_new();
    es256 = idp_key_p256("e");
    svid = idp_key_p256("s");
    rs256 = idp_key(EVP_RSA_gen(2048), "r");
    EVP_PKEY *pkey = NULL;
    assert_true(vlt_is_ok(pkey_generate(PKEY_ED25519, &pkey)));
    eddsa = idp_key(pkey, "d");
    assert_true(vlt_is_ok(store_open(folder, STORE_CREATE, &fault, &store)));
    struct jwk *const keys[] = {es256, rs256, eddsa};
    idp_commit(store, TENANT, STORE_ISSUER, "idp", issuer_record("idp", IDP, idp_jwks(keys, 3)));
    json_t *bundle = idp_jwks(&svid, 1);
    json_object_set_new(json_array_get(json_object_get(bundle, "keys"), 0), "use",
                        json_string("jwt-svid"));
    json_object_set_new(bundle, "spiffe_sequence", json_integer(1));
    idp_commit(store, TENANT, STORE_ISSUER, "mesh",
               issuer_record("mesh", "spiffe://mesh.example", bundle));
    assert_true(vlt_is_ok(jwks_cache_new(base, BYTES_LITERAL("unused"), NULL, &cache)));
    book = issuer_book_new(cache);
    expected = (struct subject_expectation){
        .book = book, .store = store, .tenant = TENANT, .now_s = NOW};
    return 0;
}

static int close_all(void **state) {
    issuer_book_free(book);
    jwks_cache_free(cache);
    store_close(store);
    jwk_free(es256);
    jwk_free(rs256);
    jwk_free(eddsa);
    jwk_free(svid);
    event_base_free(base);
    idp_folder_remove(folder);
    return 0;
}

static vlt_result verify_text(const char *token, struct subject **ret_subject) {
    struct jwks_entry *await = NULL;
    assert_true(vlt_is_ok(store_snapshot_begin(store)));
    vlt_result result = subject_verify(bytes_of_text(token), &expected, ret_subject, &await);
    store_snapshot_end(store);
    assert_null(await);
    return result;
}

static vlt_result verify(struct jwk *key, const char *typ, const char *payload) {
    struct subject *subject = NULL;
    char *token = idp_sign(key, typ, payload);
    vlt_result result = verify_text(token, &subject);
    subject_free(subject);
    free(token);
    return result;
}

// ---- Taken ----

static void test_subject_accepts_and_maps_claims(void **state) {
    struct subject *s = NULL;
    char *token = idp_sign(es256, "JWT",
                           GOOD ",\"azp\":\"app\",\"acr\":\"mfa\",\"amr\":[\"pwd\",\"otp\"],"
                                "\"auth_time\":1799999000,\"groups\":[\"eng\",\"ops\",\"eng\"],"
                                "\"role\":{\"level\":9},\"may_act\":{\"sub\":\"bot\"}}");
    assert_string_equal(verify_text(token, &s).reason, "");
    assert_true(bytes_equal_text(s->principal, IDP "|alice"));
    assert_true(bytes_equal_text(s->issuer, IDP));
    assert_true(bytes_equal_text(s->subject, "alice"));
    assert_true(bytes_equal_text(s->issuer_name, "idp"));
    assert_true(bytes_equal_text(s->client, "app"));
    assert_true(bytes_equal_text(s->traits.acr, "mfa"));
    assert_int_equal(s->traits.amr.count, 2);
    assert_int_equal(s->group_count, 3); // eng, ops, and seniors by rule
    assert_true(bytes_equal_text(s->groups[2], "seniors"));
    assert_int_equal(s->expires_at, NOW + 300);
    assert_int_equal(s->auth_time, 1799999000);
    assert_non_null(s->may_act);
    assert_int_equal(s->key_thumbprint.size, 0);
    subject_free(s);
    free(token);
}

static bool tag_is(const struct token_tag *tag, const char *name, const char *value) {
    return bytes_equal_text(tag->name, name) && bytes_equal_text(tag->value, value);
}

static void test_subject_accepts_tags_and_posture(void **state) {
    struct subject *s = NULL;
    char *token =
        idp_sign(es256, NULL,
                 GOOD ",\"repository\":\"acme/shop\",\"k8s\":{\"namespace\":\"\"},\"run\":-17,"
                      "\"device\":{\"compliant\":true},\"mdm\":\"false\",\"other\":\"x\"}");
    assert_string_equal(verify_text(token, &s).reason, "");
    assert_int_equal(s->traits.tag_count, 3); // in the order of their names
    assert_true(tag_is(&s->traits.tags[0], "Namespace", ""));
    assert_true(tag_is(&s->traits.tags[1], "repository", "acme/shop"));
    assert_true(tag_is(&s->traits.tags[2], "run", "-17"));
    assert_int_equal(s->traits.compliant, TOKEN_POSTURE_YES);
    assert_int_equal(s->traits.managed, TOKEN_POSTURE_NO);
    assert_true(vlt_is_ok(token_traits_check(&s->traits)));
    subject_free(s);
    free(token);
    token = idp_sign(es256, NULL, GOOD ",\"repository\":null,\"run\":true,\"mdm\":null}");
    assert_string_equal(verify_text(token, &s).reason, "");
    assert_int_equal(s->traits.tag_count, 1);
    assert_true(tag_is(&s->traits.tags[0], "run", "true"));
    assert_int_equal(s->traits.managed, TOKEN_POSTURE_UNKNOWN);
    subject_free(s);
    free(token);
}

static void test_subject_rejects_tags_and_posture_of_other_types(void **state) {
    static const char *const ends[] = {"\"repository\":[\"a\"]",
                                       "\"repository\":{}",
                                       "\"run\":1.5",
                                       "\"device\":{\"compliant\":\"yes\"}",
                                       "\"mdm\":1",
                                       "\"mdm\":[true]"};
    char payload[1024];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(payload, sizeof payload, GOOD ",%s}", ends[i]);
        assert_int_equal(verify(es256, NULL, payload).class, VLT_DENIED);
    }
    int head = snprintf(payload, sizeof payload, GOOD ",\"repository\":\"");
    for (int size = 256; size <= 257; size++) { // as long as it may be, and one more
        memset(payload + head, 'a', (size_t)size);
        memcpy(payload + head + size, "\"}", 3);
        assert_int_equal(vlt_is_ok(verify(es256, NULL, payload)), size == 256);
    }
}

static void test_subject_accepts_each_allowed_algorithm(void **state) {
    assert_string_equal(verify(es256, NULL, GOOD "}").reason, "");
    assert_string_equal(verify(rs256, NULL, GOOD "}").reason, "");
    assert_string_equal(verify(eddsa, "jwt", GOOD "}").reason, "");
    assert_string_equal(verify(es256, "at+jwt", GOOD "}").reason, "");
    assert_string_equal(verify(es256, "application/at+jwt", GOOD "}").reason, "");
}

// RFC 7519, section 2: a NumericDate may have parts of a second.
static void test_subject_accepts_parts_of_a_second(void **state) {
    struct subject *subject = NULL;
    char *token = idp_sign(es256, NULL, HEAD ",\"iat\":1799999990.75,\"exp\":18000003009e-1}");
    assert_string_equal(verify_text(token, &subject).reason, "");
    assert_int_equal(subject->expires_at, NOW + 300);
    subject_free(subject);
    free(token);
}

static void test_subject_accepts_skew_and_aud_list(void **state) {
    assert_string_equal(verify(es256, NULL, HEAD ",\"iat\":1800000059,\"exp\":1799999941}").reason,
                        "");
    assert_string_equal(
        verify(es256, NULL,
               "{\"iss\":\"" IDP "\",\"aud\":[\"x\",\"vault\"],\"sub\":\"a\",\"iat\":1800000000,"
               "\"exp\":1800000300}")
            .reason,
        "");
}

static void test_subject_accepts_key_bound_token(void **state) {
    struct subject *s = NULL;
    char *token = idp_sign(
        es256, NULL, GOOD ",\"cnf\":{\"jkt\":\"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I\"}}");
    assert_true(vlt_is_ok(verify_text(token, &s)));
    assert_int_equal(s->key_thumbprint.size, 43);
    subject_free(s);
    free(token);
}

static void test_subject_accepts_svid_without_iss(void **state) {
    struct subject *s = NULL;
    char *token = idp_sign(svid, "JOSE",
                           "{\"sub\":\"spiffe://mesh.example/ns/a/sa/b\",\"aud\":\"vault\","
                           "\"exp\":1800000300}");
    assert_string_equal(verify_text(token, &s).reason, "");
    assert_true(
        bytes_equal_text(s->principal, "spiffe://mesh.example|spiffe://mesh.example/ns/a/sa/b"));
    subject_free(s);
    free(token);
}

// ---- Refused ----

struct wrong {
    const char *payload;
    enum vlt_class class;
};

static void test_subject_rejects_wrong_claims(void **state) {
    static const struct wrong wrongs[] = {
        {HEAD ",\"iat\":1799999990,\"exp\":1799999939}", VLT_DENIED},
        {HEAD ",\"iat\":1799999990}", VLT_DENIED},
        {HEAD ",\"exp\":1800000300}", VLT_DENIED},
        {HEAD ",\"iat\":1800000061,\"exp\":1800000300}", VLT_DENIED},
        {GOOD ",\"nbf\":1800000061}", VLT_DENIED},
        {HEAD ",\"iat\":1799999990,\"exp\":\"1800000300\"}", VLT_MALFORMED},
        {HEAD ",\"iat\":1799999990.5,\"exp\":1.799999939e9}", VLT_DENIED}, // a minute ago
        {HEAD ",\"iat\":0.5,\"exp\":1800000300}", VLT_MALFORMED},
        {HEAD ",\"iat\":1799999990,\"exp\":1e300}", VLT_MALFORMED},
        {HEAD ",\"iat\":1799999990,\"exp\":-1.8e9}", VLT_MALFORMED},
        {HEAD ",\"iat\":1799999990,\"exp\":true}", VLT_MALFORMED},
        {HEAD ",\"iat\":1799999990,\"exp\":99999999999999}", VLT_MALFORMED},
        {GOOD ",\"nbf\":null}", VLT_MALFORMED},
        {GOOD ",\"sub\":\"bob\"}", VLT_MALFORMED},
        {GOOD ",\"events\":{}}", VLT_DENIED},
        {GOOD ",\"groups\":[1]}", VLT_LIMIT},
        {GOOD ",\"groups\":[\"\"]}", VLT_LIMIT},
        {GOOD ",\"cnf\":{\"x5t#S256\":\"x\"}}", VLT_DENIED},
        {GOOD ",\"cnf\":{\"jkt\":\"short\"}}", VLT_DENIED},
        {GOOD ",\"amr\":\"pwd\"}", VLT_DENIED},
        {GOOD ",\"azp\":1}", VLT_DENIED},
        {GOOD ",\"may_act\":\"bot\"}", VLT_DENIED},
        {GOOD ",\"act\":[]}", VLT_DENIED},
        {"{\"iss\":\"" IDP
         "\",\"aud\":\"other\",\"sub\":\"a\",\"iat\":1800000000,\"exp\":1800000300}",
         VLT_DENIED},
        {"{\"iss\":\"" IDP "\",\"sub\":\"a\",\"iat\":1800000000,\"exp\":1800000300}", VLT_DENIED},
        {"{\"iss\":\"" IDP "\",\"aud\":\"vault\",\"iat\":1800000000,\"exp\":1800000300}",
         VLT_DENIED},
        {"{\"iss\":\"" IDP
         "\",\"aud\":\"vault\",\"sub\":\"\",\"iat\":1800000000,\"exp\":1800000300}",
         VLT_DENIED},
        {"{\"iss\":\"" IDP
         "/\",\"aud\":\"vault\",\"sub\":\"a\",\"iat\":1800000000,\"exp\":1800000300}",
         VLT_NOT_FOUND},
        {"{\"aud\":\"vault\",\"sub\":\"a\",\"iat\":1800000000,\"exp\":1800000300}", VLT_MALFORMED},
        {"{\"iss\":\"spiffe://"
         "mesh.example\",\"aud\":\"vault\",\"sub\":\"a\",\"iat\":1800000000,\"exp\":1800000300}",
         VLT_DENIED},
        {"[]", VLT_MALFORMED},
        {"{} {}", VLT_MALFORMED}};
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        vlt_result result = verify(es256, NULL, wrongs[i].payload);
        if (result.class != wrongs[i].class)
            fail_msg("%s: %s, %s", wrongs[i].payload, vlt_class_name(result.class), result.reason);
    }
}

static void test_subject_rejects_other_types(void **state) {
    static const char *const types[] = {"dpop+jwt",   "logout+jwt", "secevent+jwt", "wit+jwt",
                                        "wpt+jwt",    "x",          "JOSE",         "at+jwtx",
                                        "txntoken+jwt"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        assert_int_equal(verify(es256, types[i], GOOD "}").class, VLT_DENIED);
    expected.type = SUBJECT_ID_TOKEN;
    assert_int_equal(verify(es256, "at+jwt", GOOD "}").class, VLT_DENIED);
    expected.type = SUBJECT_JWT;
}

static void test_subject_rejects_id_token_of_another_party(void **state) {
#define TWO                                                                                        \
    "{\"iss\":\"" IDP "\",\"aud\":[\"vault\",\"x\"],\"sub\":\"a\",\"iat\":1800000000,"             \
    "\"exp\":1800000300"
    expected.type = SUBJECT_ID_TOKEN;
    assert_int_equal(verify(es256, NULL, TWO "}").class, VLT_DENIED);
    assert_int_equal(verify(es256, NULL, TWO ",\"azp\":\"x\"}").class, VLT_DENIED);
    assert_string_equal(verify(es256, NULL, TWO ",\"azp\":\"vault\"}").reason, "");
    expected.type = SUBJECT_JWT;
}

static void test_subject_rejects_other_keys(void **state) {
    struct jwk *stranger = idp_key_p256("e"), *unknown = idp_key_p256("x");
    struct jwk *nameless = idp_key_p256(NULL);
    assert_int_equal(verify(stranger, NULL, GOOD "}").class, VLT_CRYPTO);
    assert_int_equal(verify(unknown, NULL, GOOD "}").class, VLT_CRYPTO);
    assert_int_equal(verify(nameless, NULL, GOOD "}").class, VLT_CRYPTO);
    // A key of one issuer does not speak for another.
    assert_int_equal(verify(svid, NULL, GOOD "}").class, VLT_CRYPTO);
    jwk_free(stranger);
    jwk_free(unknown);
    jwk_free(nameless);
}

static void test_subject_rejects_other_tenant_and_disabled_issuer(void **state) {
    expected.tenant = TENANT + 1;
    assert_int_equal(verify(es256, NULL, GOOD "}").class, VLT_NOT_FOUND);
    expected.tenant = TENANT;
    struct jwk *const keys[] = {es256, rs256, eddsa};
    json_t *record = issuer_record("idp", IDP, idp_jwks(keys, 3));
    json_object_set_new(record, "disabled", json_true());
    idp_commit(store, TENANT, STORE_ISSUER, "idp", record);
    assert_int_equal(verify(es256, NULL, GOOD "}").class, VLT_NOT_FOUND);
    idp_commit(store, TENANT, STORE_ISSUER, "idp", issuer_record("idp", IDP, idp_jwks(keys, 3)));
    assert_string_equal(verify(es256, NULL, GOOD "}").reason, "");
    // Its keys change: the old one ends at once.
    idp_commit(store, TENANT, STORE_ISSUER, "idp",
               issuer_record("idp", IDP, idp_jwks(keys + 1, 1)));
    assert_int_equal(verify(es256, NULL, GOOD "}").class, VLT_CRYPTO);
    idp_commit(store, TENANT, STORE_ISSUER, "idp", issuer_record("idp", IDP, idp_jwks(keys, 3)));
}

// ---- Seen before ----

static void put_idp(struct jwk *const *keys, size_t count, bool is_disabled) {
    json_t *record = issuer_record("idp", IDP, idp_jwks(keys, count));
    if (is_disabled)
        json_object_set_new(record, "disabled", json_true());
    idp_commit(store, TENANT, STORE_ISSUER, "idp", record);
}

static struct subject *accepted(const char *token) {
    struct subject *subject = NULL;
    assert_string_equal(verify_text(token, &subject).reason, "");
    return subject;
}

static void test_subject_cache_accepts_the_same_token_again(void **state) {
    char *token = idp_sign(rs256, NULL, GOOD ",\"groups\":[\"a\"],\"role\":{\"level\":9}}");
    expected.cache = subject_cache_new();
    struct subject *first = accepted(token), *again = accepted(token);
    assert_ptr_equal(first, again);
    subject_free(first);
    assert_true(bytes_equal_text(again->groups[1], "seniors")); // a text of the issuer's record
    subject_cache_free(expected.cache);
    assert_true(bytes_equal_text(again->principal, IDP "|alice"));
    subject_free(again);
    expected.cache = NULL;
    free(token);
}

// Whether the cache holds the key; its place is that of every key beginning with two zeros.
static bool is_remembered(struct subject_cache *subjects, uint8_t last) {
    const uint8_t key[SUBJECT_CACHE_KEY_SIZE] = {[SUBJECT_CACHE_KEY_SIZE - 1] = last};
    return subject_cache_find(subjects, key) != NULL;
}
static void remember(struct subject_cache *subjects, uint8_t last) {
    struct subject_seen seen = {.key = {[SUBJECT_CACHE_KEY_SIZE - 1] = last},
                                .subject = calloc(1, sizeof *seen.subject)};
    seen.subject->holders = 1;
    subject_cache_put(subjects, &seen);
    subject_free(seen.subject);
}

static void test_subject_cache_rejects_a_newcomer_until_it_comes_again(void **state) {
    struct subject_cache *subjects = subject_cache_new();
    remember(subjects, 1);
    assert_true(is_remembered(subjects, 1));
    for (uint8_t once = 2; once < 9; once++)
        remember(subjects, once);
    assert_true(is_remembered(subjects, 1) && !is_remembered(subjects, 8));
    remember(subjects, 7); // not twice in a row
    assert_true(is_remembered(subjects, 1) && !is_remembered(subjects, 7));
    remember(subjects, 7);
    assert_true(is_remembered(subjects, 7) && !is_remembered(subjects, 1));
    subject_cache_free(subjects);
}

static void test_subject_cache_rejects_what_has_ended(void **state) {
    struct jwk *const keys[] = {es256, rs256, eddsa};
    struct subject *subject = NULL;
    char *token = idp_sign(rs256, NULL, GOOD "}");
    expected.cache = subject_cache_new();
    subject_free(accepted(token));
    expected.now_s = 1800000300 + SUBJECT_SKEW_S;
    assert_int_equal(verify_text(token, &subject).class, VLT_DENIED);
    expected.now_s = NOW;
    subject_free(accepted(token));
    expected.tenant = TENANT + 1;
    assert_int_equal(verify_text(token, &subject).class, VLT_NOT_FOUND);
    expected.tenant = TENANT;
    expected.type = SUBJECT_ID_TOKEN; // verified as another type before
    subject_free(accepted(token));
    expected.type = SUBJECT_JWT;
    put_idp(keys, 3, true);
    assert_int_equal(verify_text(token, &subject).class, VLT_NOT_FOUND);
    put_idp(keys, 3, false);
    subject_free(accepted(token));
    put_idp(keys, 1, false); // without the key that signed it
    assert_int_equal(verify_text(token, &subject).class, VLT_CRYPTO);
    put_idp(keys, 3, false);
    char *last = token + strlen(token) - 5; // still base64url, so that the signature is looked at
    *last = *last == 'A' ? 'B' : 'A';
    assert_int_equal(verify_text(token, &subject).class, VLT_CRYPTO);
    assert_null(subject);
    subject_cache_free(expected.cache);
    expected.cache = NULL;
    free(token);
}

static void test_subject_rejects_missing_requirement(void **state) {
    json_t *record = issuer_record("idp", IDP, idp_jwks(&es256, 1));
    json_object_set_new(
        record, "requirements",
        json_pack("[{s:s,s:s}]", "claim", "kubernetes.io/namespace", "value", "prod"));
    json_object_set_new(record, "max_age_s", json_integer(100));
    idp_commit(store, TENANT, STORE_ISSUER, "idp", record);
    assert_int_equal(verify(es256, NULL, GOOD "}").class, VLT_DENIED);
    assert_int_equal(
        verify(es256, NULL, GOOD ",\"kubernetes.io\":{\"namespace\":\"dev\"}}").class, VLT_DENIED);
    assert_string_equal(
        verify(es256, NULL, GOOD ",\"kubernetes.io\":{\"namespace\":\"prod\"}}").reason, "");
    assert_int_equal(verify(es256, NULL,
                            HEAD ",\"iat\":1799999800,\"exp\":1800000300,"
                                 "\"kubernetes.io\":{\"namespace\":\"prod\"}}")
                         .class,
                     VLT_DENIED);
    struct jwk *const keys[] = {es256, rs256, eddsa};
    idp_commit(store, TENANT, STORE_ISSUER, "idp", issuer_record("idp", IDP, idp_jwks(keys, 3)));
}

static void test_subject_rejects_too_many_groups(void **state) {
    struct buf payload;
    buf_init(&payload, 8192);
    buf_put_text(&payload, GOOD ",\"groups\":[\"g\"");
    for (int i = 0; i < TOKEN_GROUPS_MAX; i++)
        buf_put_format(&payload, ",\"g%d\"", i);
    buf_put_text(&payload, "]}");
    assert_int_equal(verify(es256, NULL, buf_text(&payload)).class, VLT_LIMIT);
    buf_done(&payload);
}

static void test_subject_survives_mutation(void **state) {
    struct subject *s = NULL;
    char *token = idp_sign(es256, NULL, GOOD "}");
    size_t size = strlen(token);
    for (size_t at = 0; at < size; at++) {
        token[at] ^= 1;
        assert_false(vlt_is_ok(verify_text(token, &s)));
        token[at] ^= 1;
    }
    for (size_t cut = size; cut-- > 0;) {
        token[cut] = 0;
        assert_false(vlt_is_ok(verify_text(token, &s)));
    }
    free(token);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subject_accepts_and_maps_claims),
        cmocka_unit_test(test_subject_accepts_tags_and_posture),
        cmocka_unit_test(test_subject_rejects_tags_and_posture_of_other_types),
        cmocka_unit_test(test_subject_accepts_each_allowed_algorithm),
        cmocka_unit_test(test_subject_accepts_parts_of_a_second),
        cmocka_unit_test(test_subject_accepts_skew_and_aud_list),
        cmocka_unit_test(test_subject_accepts_key_bound_token),
        cmocka_unit_test(test_subject_accepts_svid_without_iss),
        cmocka_unit_test(test_subject_rejects_wrong_claims),
        cmocka_unit_test(test_subject_rejects_other_types),
        cmocka_unit_test(test_subject_rejects_id_token_of_another_party),
        cmocka_unit_test(test_subject_rejects_other_keys),
        cmocka_unit_test(test_subject_rejects_other_tenant_and_disabled_issuer),
        cmocka_unit_test(test_subject_cache_accepts_the_same_token_again),
        cmocka_unit_test(test_subject_cache_rejects_a_newcomer_until_it_comes_again),
        cmocka_unit_test(test_subject_cache_rejects_what_has_ended),
        cmocka_unit_test(test_subject_rejects_missing_requirement),
        cmocka_unit_test(test_subject_rejects_too_many_groups),
        cmocka_unit_test(test_subject_survives_mutation),
    };
    return cmocka_run_group_tests_name("identity", tests, open_all, close_all);
}
