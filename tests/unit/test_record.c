// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libvault/store/record_credential.h"
#include "libvault/store/record_datakey.h"
#include "libvault/store/record_boot.h"
#include "libvault/store/record_forwarder.h"
#include "libvault/store/record_issuer.h"
#include "libvault/store/record_key.h"
#include "libvault/store/record_policy.h"
#include "libvault/store/record_revocation.h"
#include "libvault/store/record_rotation.h"
#include "tests/unit/check.h"

// One parser as the tests see it: text in, the same record as JSON out.
typedef vlt_result round_trip_fn(struct bytes json, struct fault *fault, json_t **ret_json);

#define ROUND_TRIP(kind, DONE)                                                                     \
    static vlt_result trip_##kind(struct bytes json, struct fault *fault, json_t **ret_json) {     \
        struct record_##kind record;                                                               \
        VLT_TRY(record_##kind##_parse(json, fault, &record));                                      \
        *ret_json = record_##kind##_json(&record);                                                 \
        DONE;                                                                                      \
        return vlt_ok();                                                                           \
    }
ROUND_TRIP(tenant, (void)0)
ROUND_TRIP(forwarder, (void)0)
ROUND_TRIP(policy_set, (void)0)
ROUND_TRIP(issuer, record_issuer_done(&record))
ROUND_TRIP(credential, record_credential_done(&record))
ROUND_TRIP(key, record_key_done(&record))
ROUND_TRIP(rotation_plan, record_rotation_plan_done(&record))
ROUND_TRIP(rotation_job, (void)0)
ROUND_TRIP(boot, (void)0)

static const char tenant_text[] = "{\"name\":\"default\",\"number\":1,\"disabled\":true,"
                                  "\"description\":\"first\",\"created_at\":9}";
static const char forwarder_text[] =
    "{\"name\":\"edge-1\",\"uid\":33,\"tenants\":[\"default\"],\"disabled\":true,\"created_at\":9}";
static const char policy_text[] =
    "{\"version\":3,\"hash\":\"a50b30619c9128ffe08572d9b64b6aa2a02eb7de65ac0cff2b5195759e3e0b01\","
    "\"documents\":[{\"name\":\"base\",\"sha256\":"
    "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}],"
    "\"activated_at\":5,\"activated_by\":\"uid 0 (root)\"}";
static const char issuer_text[] =
    "{\"name\":\"corp\",\"issuer\":\"https://id.example\",\"discovery_url\":\"https://id.example/"
    "d\","
    "\"audiences\":[\"vault\"],\"algorithms\":[\"RS256\",\"EdDSA\"],\"requirements\":"
    "[{\"claim\":\"hd\",\"value\":\"example\"}],\"groups\":[{\"claim\":\"groups\",\"value\":\"*\"},"
    "{\"claim\":\"role\",\"value\":\"r1\",\"group\":\"admins\"}],\"tags\":[{\"claim\":\"ref\","
    "\"tag\":\"branch\"}],\"device\":{\"compliant\":\"device/"
    "ok\",\"managed\":\"mdm\"},\"kind\":\"workload\","
    "\"subject_claim\":\"oid\",\"token_types\":[\"at+jwt\"],\"max_age_s\":600,\"disabled\":true}";
static const char credential_text[] =
    "{\"name\":\"openai-prod\",\"profile\":\"openai\",\"hosts\":[\"api.openai.com\","
    "\"127.0.0.1:8443\"],\"parameters\":{\"header\":\"x-key\"},\"description\":\"d\","
    "\"status\":\"active\",\"version\":3,\"previous_version\":2,\"previous_until\":77,"
    "\"created_at\":5,\"rotated_at\":6,\"staged_version\":5,\"staged_at\":7,\"verified_at\":8,"
    "\"newest_version\":5}";
static const char key_text[] =
    "{\"kid\":\"k1\",\"use\":\"checkpoint\",\"state\":\"retired\",\"jwk\":{\"kty\":\"OKP\"},"
    "\"created_at\":5,\"retired_at\":6}";

#define SIXTEEN "000102030405060708090a0b0c0d0e0f"
#define SIGNATURE                                                                                  \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
static const char boot_text[] =
    "{\"name\":\"debian-12.5\",\"approved_at\":7,\"pcrs\":{\"4\":\"" SIXTEEN SIXTEEN
    "\",\"11\":\"" SIXTEEN SIXTEEN "\"},\"signature\":\"" SIGNATURE "\"}";

static const char plan_text[] =
    "{\"name\":\"c\",\"recipe\":\"aws-iam\",\"parameters\":{\"user\":\"ci\"},\"manager\":\"boss\","
    "\"days\":30,\"grace_s\":600,\"key_id\":\"AKIA1\",\"key_version\":2,\"created_at\":5}";
static const char job_text[] =
    "{\"name\":\"c\",\"state\":\"minting\",\"mark\":\"vaultd-c-1\",\"known\":[\"a\",\"b\"],"
    "\"new_id\":\"n\",\"old_id\":\"o\",\"current_id\":\"a\",\"current_version\":3,\"revoke_at\":7,"
    "\"not_before\":8,\"began_at\":5,\"ended_at\":6,\"attempts\":2,\"error\":\"e\"}";

static const struct sample {
    const char *kind, *text;
    round_trip_fn *trip;
} samples[] = {
    {"tenant", tenant_text, trip_tenant},
    {"forwarder", forwarder_text, trip_forwarder},
    {"policy set", policy_text, trip_policy_set},
    {"issuer", issuer_text, trip_issuer},
    {"credential", credential_text, trip_credential},
    {"key", key_text, trip_key},
    {"rotation plan", plan_text, trip_rotation_plan},
    {"rotation job", job_text, trip_rotation_job},
    {"boot", boot_text, trip_boot},
};
#define SAMPLE_COUNT (sizeof samples / sizeof *samples)

static void record_accepts_every_member(void **state) {
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct fault fault = {0};
        json_t *out = NULL, *in = json_loads(samples[i].text, 0, NULL);
        vlt_result result = samples[i].trip(bytes_of_text(samples[i].text), &fault, &out);
        if (!vlt_is_ok(result))
            fail_msg("%s: %s %s", samples[i].kind, result.reason, fault.text);
        assert_true(json_equal(in, out)); // nothing lost, nothing added
        json_decref(in);
        json_decref(out);
    }
}

static void record_rejects_unknown_members(void **state) {
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        char text[1024];
        struct fault fault = {0};
        json_t *out = NULL;
        snprintf(text, sizeof text, "{\"surprise\":1,%s", samples[i].text + 1);
        assert_int_equal(samples[i].trip(bytes_of_text(text), &fault, &out).class, VLT_MALFORMED);
        assert_non_null(strstr(fault.text, "surprise"));
        assert_null(out);
    }
}

// Each member in turn gets a value of another type: the record is refused and
// nothing leaks (the sanitizer build watches).
static void record_rejects_every_wrong_type(void **state) {
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        json_t *whole = json_loads(samples[i].text, 0, NULL);
        const char *member;
        json_t *value;
        void *next;
        json_object_foreach_safe(whole, next, member, value) {
            json_t *wrong = json_deep_copy(whole), *out = NULL;
            json_object_set_new(wrong, member,
                                json_is_array(value) ? json_true() : json_pack("[[]]"));
            char *text = json_dumps(wrong, JSON_COMPACT);
            struct fault fault = {0};
            vlt_result result = samples[i].trip(bytes_of_text(text), &fault, &out);
            if (result.class != VLT_MALFORMED)
                fail_msg("%s takes a wrong %s", samples[i].kind, member);
            assert_null(out);
            free(text);
            json_decref(wrong);
        }
        json_decref(whole);
    }
}

static void record_survives_mutation(void **state) {
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        size_t size = strlen(samples[i].text);
        char *text = malloc(size + 1);
        for (size_t at = 0; at < size; at++) {
            for (int bit = 0; bit < 8; bit++) {
                memcpy(text, samples[i].text, size);
                text[at] = (char)(text[at] ^ 1 << bit);
                json_t *out = NULL;
                if (vlt_is_ok(samples[i].trip(bytes_of(text, size), NULL, &out)))
                    json_decref(out);
                else
                    assert_null(out);
            }
            json_t *out = NULL;
            assert_false(vlt_is_ok(samples[i].trip(bytes_of(samples[i].text, at), NULL, &out)));
        }
        free(text);
    }
}

static void expect_refused(round_trip_fn *trip, const char *text, const char *named) {
    struct fault fault = {0};
    json_t *out = NULL;
    vlt_result result = trip(bytes_of_text(text), &fault, &out);
    json_decref(out);
    if (result.class != VLT_MALFORMED || !strstr(fault.text, named))
        fail_msg("not refused for \"%s\": %s (%s)", named, text, fault.text);
}

static void issuer_rejects_unsafe_trust(void **state) {
#define ISSUER(keys, rest)                                                                         \
    "{\"name\":\"c\",\"issuer\":\"https://i\"," keys                                               \
    "\"audiences\":[\"v\"],\"kind\":\"user\"," rest "}"
#define URL "\"discovery_url\":\"https://i/d\","
    json_t *out = NULL;
    assert_ok(trip_issuer(BYTES_LITERAL(ISSUER(URL, "\"algorithms\":[\"ES256\"]")), NULL, &out));
    json_decref(out);
    expect_refused(trip_issuer, ISSUER(URL, "\"algorithms\":[\"none\"]"), "algorithms");
    expect_refused(trip_issuer, ISSUER(URL, "\"algorithms\":[\"HS256\"]"), "algorithms");
    expect_refused(trip_issuer, ISSUER(URL, "\"algorithms\":[\"rs256\"]"), "algorithms");
    expect_refused(trip_issuer, ISSUER(URL, "\"algorithms\":[]"), "algorithms");
    expect_refused(trip_issuer,
                   ISSUER("\"discovery_url\":\"http://i/d\",", "\"algorithms\":[\"ES256\"]"),
                   "discovery_url");
    expect_refused(trip_issuer, ISSUER(URL "\"jwks\":{},", "\"algorithms\":[\"ES256\"]"), "jwks");
    expect_refused(trip_issuer, ISSUER("", "\"algorithms\":[\"ES256\"]"), "jwks");
    expect_refused(trip_issuer,
                   ISSUER(URL, "\"algorithms\":[\"ES256\"],\"groups\":[{\"claim\":\"g\","
                               "\"value\":\"v\"}]"),
                   "group");
}

static void issuer_rejects_unsound_tags_and_devices(void **state) {
#define TAGS(tags) ISSUER(URL, "\"algorithms\":[\"ES256\"]," tags)
    static char many[2048] = "";
    struct record_issuer issuer;
    struct fault fault = {0};
    assert_ok(record_issuer_parse(
        BYTES_LITERAL(TAGS("\"tags\":[{\"claim\":\"a/b\"},{\"claim\":\"c\",\"tag\":\"d\"}]")),
        &fault, &issuer));
    assert_string_equal(issuer.tag_rules[0].tag, "a/b"); // the claim names itself
    assert_string_equal(issuer.tag_rules[1].tag, "d");
    record_issuer_done(&issuer);
    expect_refused(trip_issuer, TAGS("\"tags\":[{\"tag\":\"a\"}]"), "claim");
    expect_refused(trip_issuer,
                   TAGS("\"tags\":[{\"claim\":\"a\"},{\"claim\":\"b\",\"tag\":\"a\"}]"), "tag");
    expect_refused(trip_issuer, TAGS("\"tags\":[{\"claim\":\"a b\"}]"), "tag");
    expect_refused(trip_issuer, TAGS("\"tags\":[{\"claim\":\"\xc3\xa9\"}]"), "tag");
    expect_refused(trip_issuer,
                   TAGS("\"tags\":[{\"claim\":"
                        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]"),
                   "tag"); // 65 bytes: it needs a shorter name
    expect_refused(trip_issuer, TAGS("\"tags\":{}"), "tags");
    expect_refused(trip_issuer, TAGS("\"device\":{}"), "device");
    expect_refused(trip_issuer, TAGS("\"device\":{\"trusted\":\"x\"}"), "trusted");
    expect_refused(trip_issuer, TAGS("\"device\":[]"), "device");
    for (size_t i = 0, used = 0; i <= RECORD_ISSUER_TAG_RULES; i++)
        used += (size_t)snprintf(many + used, sizeof many - used, "%s{\"claim\":\"c%zu\"}",
                                 i ? "," : "", i);
    char text[4096];
    snprintf(text, sizeof text, TAGS("\"tags\":[%s]"), many);
    expect_refused(trip_issuer, text, "tags");
}

static void credential_rejects_odd_hosts(void **state) {
#define CREDENTIAL(hosts)                                                                          \
    "{\"name\":\"c\",\"profile\":\"p\",\"hosts\":" hosts ",\"status\":\"active\",\"version\":1,"   \
    "\"created_at\":1}"
    expect_refused(trip_credential, CREDENTIAL("[]"), "hosts");
    expect_refused(trip_credential, CREDENTIAL("[\"API.example\"]"), "hosts");
    expect_refused(trip_credential, CREDENTIAL("[\"*.example\"]"), "hosts");
    expect_refused(trip_credential, CREDENTIAL("[\"a/b\"]"), "hosts");
    expect_refused(trip_credential, CREDENTIAL("[\"a b\"]"), "hosts");
    expect_refused(trip_credential, CREDENTIAL("[\"u@h\"]"), "hosts");
    expect_refused(trip_credential,
                   CREDENTIAL("[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]"), "hosts");
}

static void boot_rejects_what_binds_nothing(void **state) {
#define BOOT(pcrs, signature)                                                                      \
    "{\"name\":\"b\",\"approved_at\":7,\"pcrs\":" pcrs ",\"signature\":\"" signature "\"}"
#define VALUE "\"" SIXTEEN SIXTEEN "\""
    json_t *good = NULL;
    assert_ok(trip_boot(BYTES_LITERAL(BOOT("{\"0\":" VALUE "}", SIGNATURE)), NULL, &good));
    json_decref(good);
    expect_refused(trip_boot, BOOT("{}", SIGNATURE), "at least one PCR");
    expect_refused(trip_boot, BOOT("[]", SIGNATURE), "pcrs");
    expect_refused(trip_boot, BOOT("{\"16\":" VALUE "}", SIGNATURE), "PCR 16");
    expect_refused(trip_boot, BOOT("{\"4\":" VALUE ",\"23\":" VALUE "}", SIGNATURE), "PCR 23");
    static const char *const numbers[] = {"24", "04", "-1", "+4",  "4 ",
                                          " 4", "x",  "",   "100", "0x4"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[400];
        snprintf(text, sizeof text, BOOT("{\"%s\":" VALUE "}", SIGNATURE), numbers[i]);
        expect_refused(trip_boot, text, "numbers from 0 to 23");
    }
    expect_refused(trip_boot, BOOT("{\"4\":\"" SIXTEEN "\"}", SIGNATURE), "64 hexadecimal");
    expect_refused(trip_boot, BOOT("{\"4\":7}", SIGNATURE), "64 hexadecimal");
    expect_refused(trip_boot, BOOT("{\"4\":" VALUE "}", "AAAA"), "signature");
    expect_refused(trip_boot, BOOT("{\"4\":" VALUE "}", ""), "signature");
    expect_refused(trip_boot, BOOT("{\"4\":" VALUE "}", SIGNATURE "AA"), "signature");
}

static void forwarder_rejects_two_identities(void **state) {
#define HASH "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\""
    expect_refused(trip_forwarder, "{\"name\":\"f\",\"created_at\":1}", "uid");
    expect_refused(trip_forwarder,
                   "{\"name\":\"f\",\"created_at\":1,\"uid\":0,\"certificate_sha256\":" HASH "}",
                   "uid");
    expect_refused(trip_forwarder, "{\"name\":\"f\",\"created_at\":1,\"uid\":-1}", "uid");
    expect_refused(trip_forwarder,
                   "{\"name\":\"f\",\"created_at\":1,\"uid\":1,\"tenants\":[\"A\"]}", "tenants");
    json_t *out = NULL;
    assert_ok(trip_forwarder(
        BYTES_LITERAL("{\"name\":\"f\",\"created_at\":1,\"certificate_sha256\":" HASH "}"), NULL,
        &out));
    json_decref(out);
}

static void policy_set_rejects_another_hash(void **state) {
    char text[sizeof policy_text];
    memcpy(text, policy_text, sizeof text);
    char *hash = strstr(text, "a50b3061");
    hash[0] = hash[0] == '0' ? '1' : '0';
    expect_refused(trip_policy_set, text, "hash");
}

static void key_rejects_private_members(void **state) {
    expect_refused(trip_key,
                   "{\"kid\":\"k\",\"use\":\"token\",\"state\":\"active\","
                   "\"jwk\":{\"kty\":\"EC\",\"d\":\"AA\"},\"created_at\":1}",
                   "jwk");
}

static void name_accepts_and_rejects(void **state) {
    static const char *const good[] = {"a", "0", "a-b_c.d", "openai-prod"};
    static const char *const bad[] = {
        "",         "-a",
        ".a",       "A",
        "a b",      "a/b",
        "\xc3\xa4", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(record_name_is_valid(bytes_of_text(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(record_name_is_valid(bytes_of_text(bad[i])));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_accepts_every_member),
        cmocka_unit_test(record_rejects_unknown_members),
        cmocka_unit_test(record_rejects_every_wrong_type),
        cmocka_unit_test(record_survives_mutation),
        cmocka_unit_test(issuer_rejects_unsafe_trust),
        cmocka_unit_test(issuer_rejects_unsound_tags_and_devices),
        cmocka_unit_test(credential_rejects_odd_hosts),
        cmocka_unit_test(boot_rejects_what_binds_nothing),
        cmocka_unit_test(forwarder_rejects_two_identities),
        cmocka_unit_test(policy_set_rejects_another_hash),
        cmocka_unit_test(key_rejects_private_members),
        cmocka_unit_test(name_accepts_and_rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
