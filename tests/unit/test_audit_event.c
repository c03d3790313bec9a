// SPDX-License-Identifier: Apache-2.0
// Audit events on the wire between our processes and as canonical JSON.
#include <stdlib.h>
#include <string.h>

#include "libvault/audit/event.h"
#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/digest.h"
#include "tests/unit/check.h"

#define AT_US UINT64_C(1700000000123456)
static uint8_t room[16384];

static struct bytes put(const struct audit_event *event) {
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, event);
    assert_false(w.failed);
    return bytes_of(room, w.size);
}

static const struct audit_event sample = {.kind = AUDIT_REDEEM,
                                          .outcome = AUDIT_DENY,
                                          .version = 3,
                                          .repeats = 7,
                                          .max_tokens = 4096,
                                          .at_us = AT_US,
                                          .tenant = BYTES_LITERAL("default"),
                                          .operation = BYTES_LITERAL("credential.redeem"),
                                          .principal = BYTES_LITERAL("https://idp.test|alice"),
                                          .path = BYTES_LITERAL("/v1/x\"\\\n"),
                                          .reason = BYTES_LITERAL("no")};

static void event_accepts_what_was_put(void **state) {
    struct audit_event event;
    assert_true(vlt_is_ok(audit_event_get(put(&sample), &event)));
    assert_int_equal(event.kind, AUDIT_REDEEM);
    assert_int_equal(event.outcome, AUDIT_DENY);
    assert_int_equal(event.version, 3);
    assert_int_equal(event.repeats, 7);
    assert_int_equal(event.max_tokens, 4096);
    assert_true(event.at_us == AT_US);
#define SAME(name, max) assert_true(bytes_equal(event.name, sample.name));
    AUDIT_TEXTS(SAME)
}

static void event_accepts_every_name(void **state) {
    for (unsigned kind = 1; kind < AUDIT_KIND_COUNT; kind++)
        assert_true(audit_kind_name((enum audit_kind)kind)[0]);
    for (unsigned outcome = 1; outcome < AUDIT_OUTCOME_COUNT; outcome++)
        assert_true(audit_outcome_name((enum audit_outcome)outcome)[0]);
    assert_string_equal(audit_kind_name(AUDIT_KIND_COUNT), "");
    assert_string_equal(audit_outcome_name((enum audit_outcome)-1), "");
}

// ---- JSON ----

static struct bytes json_of(const struct audit_event *event, uint64_t sequence, struct buf *out) {
    buf_clear(out);
    audit_event_json(event, sequence, out);
    assert_false(buf_failed(out));
    return buf_bytes(out);
}

static void event_accepts_canonical_json(void **state) {
    struct buf out, canonical;
    json_t *root = NULL;
    buf_init(&out, 32768);
    buf_init(&canonical, 32768);
    struct bytes text = json_of(&sample, 7, &out);
    assert_true(bytes_equal_text(
        text, "{\"credential_version\":3,\"kind\":\"redeem\",\"max_tokens\":4096,"
              "\"operation\":\"credential.redeem\","
              "\"outcome\":\"deny\","
              "\"path\":\"/v1/x\\\"\\\\\\n\",\"principal\":\"https://"
              "idp.test|alice\",\"reason\":\"no\",\"repeats\":7,"
              "\"sequence\":7,\"tenant\":\"default\",\"time\":\"2023-11-14T22:13:20.123Z\"}"));
    assert_true(vlt_is_ok(jsontext_parse(text, &jsontext_document_limits, NULL, &root)));
    assert_true(vlt_is_ok(jsontext_canonical(root, &canonical)));
    assert_true(bytes_equal(buf_bytes(&canonical), text)); // RFC 8785
    json_decref(root);
    buf_done(&out);
    buf_done(&canonical);
}

// An event must be written whatever a caller sent.
static void event_survives_texts_that_are_not_utf8(void **state) {
    static const char *const texts[] = {
        "\xff",         "a\xc3",    "\xc3\xa9\xff\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80x",
        "\x80\x80\x80", "a\x01\x7f"};
    struct buf out;
    buf_init(&out, 32768);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct audit_event event = sample;
        json_t *root = NULL;
        event.model = bytes_of_text(texts[i]);
        struct bytes line = json_of(&event, 1, &out);
        assert_true(bytes_is_utf8(line, NULL));
        assert_int_equal(bytes_find(line, '\n'), line.size); // one line, whatever is in it
        assert_true(vlt_is_ok(jsontext_parse(line, &jsontext_document_limits, NULL, &root)));
        assert_true(json_is_string(json_object_get(root, "model")));
        json_decref(root);
    }
    buf_done(&out);
}

#define CUT_MARK "\xE2\x80\xA6"

static void event_survives_long_texts(void **state) {
    static uint8_t longer[3000];
    struct audit_event event = sample, back;
    char whole[64] = "sha256:";
    uint8_t digest[DIGEST_SHA256_SIZE];
    memset(longer, 'x', sizeof longer);
    memcpy(longer + 202, "\xE2\x82\xAC", 3); // of what is kept of 256, the euro sign stands across
    assert_true(vlt_is_ok(digest_sha256(bytes_of(longer, sizeof longer), digest)));
    b64u_encode_text(bytes_of(digest, sizeof digest), whole + strlen(whole));
#define LONG(name, max) event.name = bytes_of(longer, sizeof longer);
    AUDIT_TEXTS(LONG)
    assert_true(vlt_is_ok(audit_event_get(put(&event), &back)));
#define CUT(name, max)                                                                             \
    assert_true(back.name.size <= (max) && back.name.size + 3 > (max));                            \
    assert_non_null(memmem(back.name.at, back.name.size, CUT_MARK, strlen(CUT_MARK)));             \
    assert_int_equal((max) >= 128,                                                                 \
                     memmem(back.name.at, back.name.size, whole, strlen(whole)) != NULL);
    AUDIT_TEXTS(CUT)
    assert_true(bytes_is_utf8(back.model, NULL));
    assert_int_equal(back.model.size, 202 + strlen(CUT_MARK) + strlen(whole));
    // Once is enough: who passes it on changes nothing.
    const struct audit_event cut = back;
    struct audit_event again;
    assert_true(vlt_is_ok(audit_event_get(put(&cut), &again)));
    assert_true(bytes_equal(again.path, back.path));
}

#define JWS                                                                                        \
    "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJhbGljZSJ9"                                \
    ".c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU"
#define JWE "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkdDTSJ9..aXZpdml2aXY.c2VhbGVk.dGFndGFndGFndGFn"

// A caller may put its token anywhere.
static void event_rejects_tokens(void **state) {
    static const struct {
        const char *text, *kept;
    } cases[] = {{JWS, "(token)"},
                 {"/bot" JWS "/send", "/bot(token)/send"},
                 {"/a/" JWS "/" JWE, "/a/(token)/(token)"},
                 {"Bearer " JWS, "Bearer (token)"},
                 {"/eyJx/" JWE "?" JWS, "/eyJx/(token)?(token)"},
                 // No tokens: too few parts, or nothing like one.
                 {"/files/eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9/eyJzdWIiOiJhbGljZSJ9/eyJ", NULL},
                 {"/a.file.name.with.many.dots.but.without.a.token.at.all.eyJ.in.it.x", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct audit_event event = sample, back;
        event.path = event.reason = bytes_of_text(cases[i].text);
        assert_true(vlt_is_ok(audit_event_get(put(&event), &back)));
        const char *kept = cases[i].kept ? cases[i].kept : cases[i].text;
        assert_true(bytes_equal_text(back.path, kept));
        assert_true(bytes_equal_text(back.reason, kept));
    }
    // Also what is cut afterwards, and of which only the beginning would be a token.
    static char longer[2000];
    struct audit_event event = sample, back;
    memset(longer, 'x', sizeof longer);
    memcpy(longer, "/" JWS "/", sizeof "/" JWS "/" - 1);
    event.path = event.model = bytes_of(longer, sizeof longer);
    assert_true(vlt_is_ok(audit_event_get(put(&event), &back)));
    assert_true(bytes_begin_with(back.path, BYTES_LITERAL("/(token)/xxx")));
    assert_true(bytes_begin_with(back.model, BYTES_LITERAL("/(token)/xxx")));
}

static void event_rejects_unknown_kinds(void **state) {
    struct audit_event event = sample, back = {.kind = 77};
    const uint8_t bad[][2] = {{0, 1}, {AUDIT_KIND_COUNT, 1},    {255, 1},
                              {1, 0}, {1, AUDIT_OUTCOME_COUNT}, {1, 255}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        event.kind = bad[i][0];
        event.outcome = bad[i][1];
        assert_int_equal(audit_event_get(put(&event), &back).class, VLT_MALFORMED);
        assert_int_equal(back.kind, 77);
    }
}

static void try_bytes(const uint8_t *at, size_t size) {
    struct audit_event event;
    struct buf out;
    uint8_t *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    memcpy(exact, at, size);
    buf_init(&out, 65536);
    if (vlt_is_ok(audit_event_get(bytes_of(exact, size), &event)))
        audit_event_json(&event, 1, &out);
    assert_false(buf_failed(&out));
    buf_done(&out);
    free(exact);
}

static void event_survives_mutation(void **state) {
    uint8_t text[2048];
    struct bytes good = put(&sample);
    struct audit_event event;
    memcpy(text, good.at, good.size);
    text[good.size] = 0;
    assert_false(
        vlt_is_ok(audit_event_get(bytes_of(text, good.size + 1), &event))); // one byte too many
    for (size_t size = 0; size < good.size; size++) {
        assert_false(vlt_is_ok(audit_event_get(bytes_of(text, size), &event)));
        try_bytes(text, size);
    }
    for (size_t at = 0; at < good.size; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            text[at] ^= (uint8_t)(1u << bit);
            try_bytes(text, good.size);
            text[at] ^= (uint8_t)(1u << bit);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_accepts_what_was_put),
        cmocka_unit_test(event_accepts_every_name),
        cmocka_unit_test(event_accepts_canonical_json),
        cmocka_unit_test(event_survives_texts_that_are_not_utf8),
        cmocka_unit_test(event_survives_long_texts),
        cmocka_unit_test(event_rejects_tokens),
        cmocka_unit_test(event_rejects_unknown_kinds),
        cmocka_unit_test(event_survives_mutation),
    };
    return cmocka_run_group_tests_name("audit_event", tests, NULL, NULL);
}
