// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "libvault/audit/quorum.h"
#include "libvault/audit/tlog_proof.h"
#include "libvault/base/b64u.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"
#include "tests/unit/check.h"

#define VKEY "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
#define LINE                                                                                       \
    "\xE2\x80\x94 example.com/foo "                                                                \
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
#define TEXT "This is an example message.\n"
#define OTHER "\xE2\x80\x94 other AAAAAAAAAAA=\n"

static vlt_result open_note(struct bytes bytes, const char *vkey) {
    struct note_key key;
    struct note note;
    VLT_TRY(note_key_parse(bytes_of_text(vkey), &key));
    vlt_result result = note_parse(bytes, &note);
    if (vlt_is_ok(result)) {
        result = note_verify(&note, &key, 1, NULL);
        note_done(&note);
    }
    note_key_done(&key);
    return result;
}

static void note_accepts_published_example(void **state) {
    assert_ok(open_note(BYTES_LITERAL(TEXT "\n" LINE), VKEY));
    assert_ok(open_note(BYTES_LITERAL(TEXT "\n" OTHER LINE), VKEY)); // unknown keys are ignored
}

// Only a key has a longest name: an unknown signer is ignored, whatever it is called.
static void note_ignores_signers_with_long_names(void **state) {
    char name[2 * NOTE_NAME_MAX + 1];
    struct buf text;
    struct note_key key;
    buf_init(&text, 4096);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    buf_put_format(&text, TEXT "\n\xE2\x80\x94 %s AAAAAAAAAAA=\n" LINE, name);
    assert_false(buf_failed(&text));
    assert_ok(open_note(buf_bytes(&text), VKEY));
    assert_int_equal(
        note_key_init(bytes_of_text(name), NOTE_ED25519, (const uint8_t[32]){2}, &key).class,
        VLT_MALFORMED);
    buf_done(&text);
}

static void note_rejects_what_is_not_one(void **state) {
    static const struct {
        struct bytes note;
        enum vlt_class class;
    } cases[] = {
        {BYTES_LITERAL(""), VLT_MALFORMED},
        {BYTES_LITERAL(TEXT), VLT_MALFORMED},
        {BYTES_LITERAL(TEXT "\n"), VLT_MALFORMED},           // no signature
        {BYTES_LITERAL(TEXT LINE), VLT_MALFORMED},           // no empty line
        {BYTES_LITERAL(TEXT "\n" LINE "\n"), VLT_MALFORMED}, // the last empty line is the end
        {BYTES_LITERAL(TEXT "\n" LINE "x"), VLT_MALFORMED},  // no line end
        {BYTES_LITERAL("tab\there\n\n" LINE), VLT_MALFORMED},
        {BYTES_LITERAL("bad \xFF\n\n" LINE), VLT_MALFORMED},
        {BYTES_LITERAL(TEXT "\n- example.com/foo AAAAAAAAAAA=\n"), VLT_MALFORMED},
        {BYTES_LITERAL(TEXT "\n\xE2\x80\x94 example.com/foo AAAAAA==\n"),
         VLT_MALFORMED}, // only an id
        {BYTES_LITERAL(TEXT "\n\xE2\x80\x94 a+b AAAAAAAAAAA=\n"), VLT_MALFORMED},
        {BYTES_LITERAL(TEXT "\n\xE2\x80\x94 a\xC2\xA0"
                            "b AAAAAAAAAAA=\n"),
         VLT_MALFORMED},
        {BYTES_LITERAL(TEXT "\n\xE2\x80\x94  AAAAAAAAAAA=\n"), VLT_MALFORMED},
        {BYTES_LITERAL(TEXT "\n" OTHER), VLT_NOT_FOUND},
        {BYTES_LITERAL("X" TEXT "\n" LINE), VLT_CRYPTO},
        // The known key once good, once bad: a key counts once, the first decides.
        {BYTES_LITERAL("X" TEXT "\n" LINE LINE), VLT_CRYPTO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(open_note(cases[i].note, VKEY).class, cases[i].class);
}

static void key_rejects_what_is_not_one(void **state) {
    static const char *const bad[] = {
        "", "name", "name+00000000", "name+00000000+", VKEY "x",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/fop+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "exa mple+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"};
    struct note_key key;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(vlt_is_ok(note_key_parse(bytes_of_text(bad[i]), &key)));
    // A type that we do not know is named so, whatever the length of its keys (ML-DSA-44).
    uint8_t long_key[1313] = {0x06};
    struct buf text;
    buf_init(&text, 4096);
    buf_put_text(&text, "name+00000000+");
    b64_encode(bytes_of(long_key, sizeof long_key), &text);
    assert_int_equal(note_key_parse(buf_bytes(&text), &key).class, VLT_NOT_FOUND);
    buf_clear(&text);
    assert_ok(note_key_parse(bytes_of_text(VKEY), &key));
    note_key_text(&key, &text);
    assert_true(bytes_equal_text(buf_bytes(&text), VKEY));
    buf_done(&text);
    note_key_done(&key);
}

// Every truncation, every changed byte, a byte more.
static void note_survives_mutation(void **state) {
    const struct bytes good = BYTES_LITERAL(TEXT "\n" LINE);
    uint8_t *copy = malloc(good.size + 1);
    assert_non_null(copy);
    for (size_t size = 0; size < good.size; size++)
        assert_false(vlt_is_ok(open_note(bytes_of(good.at, size), VKEY)));
    for (size_t i = 0; i < good.size * 8; i++) {
        memcpy(copy, good.at, good.size);
        copy[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(vlt_is_ok(open_note(bytes_of(copy, good.size), VKEY)));
    }
    memcpy(copy, good.at, good.size);
    copy[good.size] = '\n';
    assert_false(vlt_is_ok(open_note(bytes_of(copy, good.size + 1), VKEY)));
    free(copy);
}

// ---- Our own notes ----

struct signer {
    struct jwk *jwk;
    struct note_key log, witness;
};

static void signer_init(struct signer *signer) {
    EVP_PKEY *pkey;
    uint8_t public_key[32];
    assert_ok(pkey_generate(PKEY_ED25519, &pkey));
    assert_ok(pkey_ed25519_public(pkey, public_key));
    assert_ok(jwk_of_pkey(pkey, NULL, &signer->jwk));
    assert_ok(note_key_init(BYTES_LITERAL("log.example"), NOTE_ED25519, public_key, &signer->log));
    assert_ok(note_key_init(BYTES_LITERAL("witness.example"), NOTE_COSIGNATURE, public_key,
                            &signer->witness));
}

static void signer_done(struct signer *signer) {
    note_key_done(&signer->log);
    note_key_done(&signer->witness);
    jwk_free(signer->jwk);
}

static void put_checkpoint(const struct signer *signer, const struct checkpoint *checkpoint,
                           struct buf *out) {
    uint8_t signature[JWS_SIGNATURE_MAX],
        stamped[8 + NOTE_ED25519_SIZE] = {0, 0, 0, 0, 0, 0, 4, 210};
    size_t size;
    struct buf text, cosigned;
    buf_init(&text, 4096);
    buf_init(&cosigned, 4096);
    checkpoint_put(checkpoint, &text);
    buf_put(out, buf_bytes(&text));
    buf_put_byte(out, '\n');
    assert_ok(jws_sign_raw(signer->jwk, buf_bytes(&text), signature, &size));
    note_signature_put(out, signer->log.name, signer->log.id, bytes_of(signature, size));
    note_cosigned_text(1234, buf_bytes(&text), &cosigned);
    assert_ok(jws_sign_raw(signer->jwk, buf_bytes(&cosigned), signature, &size));
    memcpy(stamped + 8, signature, size);
    note_signature_put(out, signer->witness.name, signer->witness.id,
                       bytes_of(stamped, sizeof stamped));
    assert_false(buf_failed(out));
    buf_done(&text);
    buf_done(&cosigned);
}

static void checkpoint_accepts_own_and_cosigned(void **state) {
    struct signer signer;
    struct buf note_text;
    struct note note;
    struct checkpoint checkpoint = {.origin = "log.example", .size = 7}, got;
    signer_init(&signer);
    buf_init(&note_text, 4096);
    put_checkpoint(&signer, &checkpoint, &note_text);
    assert_ok(checkpoint_open(buf_bytes(&note_text), &signer.log, &got));
    assert_int_equal(got.size, 7);
    assert_ok(note_parse(buf_bytes(&note_text), &note));
    struct note_key both[] = {signer.log, signer.witness};
    uint64_t good = 0;
    assert_ok(note_verify(&note, both, 2, &good));
    assert_int_equal(good, 3);
    assert_int_equal(note_cosigned_at(&note, &signer.witness), 1234);
    note_done(&note);
    // A note of another log by the same key.
    buf_clear(&note_text);
    checkpoint.origin[0] = 'x';
    put_checkpoint(&signer, &checkpoint, &note_text);
    assert_int_equal(checkpoint_open(buf_bytes(&note_text), &signer.log, &got).class, VLT_CRYPTO);
    buf_done(&note_text);
    signer_done(&signer);
}

static void checkpoint_rejects_other_spellings(void **state) {
#define ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
    static const char *const bad[] = {"",
                                      "o\n",
                                      "o\n1\n",
                                      "o\n1\n" ROOT,
                                      "\n1\n" ROOT "\n",
                                      "o\n01\n" ROOT "\n",
                                      "o\n+1\n" ROOT "\n",
                                      "o\n-1\n" ROOT "\n",
                                      "o\n1 \n" ROOT "\n",
                                      "o\n9223372036854775808\n" ROOT "\n",
                                      "o\n1\n" ROOT "\nextension\n",
                                      "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
                                      "o\n1\nAAAA\n",
                                      "o\n1\n\n"};
    struct checkpoint got;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(vlt_is_ok(checkpoint_parse(bytes_of_text(bad[i]), &got)));
    assert_ok(checkpoint_parse(BYTES_LITERAL("o\n0\n" ROOT "\n"), &got));
    assert_ok(checkpoint_parse(BYTES_LITERAL("o\n9223372036854775807\n" ROOT "\n"), &got));
}

static void proof_accepts_own_and_survives_mutation(void **state) {
    struct signer signer;
    struct buf note_text, file;
    struct merkle_hash left;
    struct checkpoint checkpoint = {.origin = "log.example", .size = 2}, got;
    struct tlog_proof proof = {.index = 1, .proof.count = 1}, parsed;
    signer_init(&signer);
    buf_init(&note_text, 4096);
    buf_init(&file, 8192);
    assert_ok(merkle_leaf(BYTES_LITERAL("left"), &proof.proof.hashes[0]));
    assert_ok(merkle_leaf(BYTES_LITERAL("right"), &left));
    assert_ok(merkle_node(&proof.proof.hashes[0], &left, &checkpoint.root));
    put_checkpoint(&signer, &checkpoint, &note_text);
    proof.checkpoint = buf_bytes(&note_text);
    tlog_proof_put(&proof, &file);
    assert_ok(tlog_proof_parse(buf_bytes(&file), &parsed));
    assert_ok(tlog_proof_verify(&parsed, BYTES_LITERAL("right"), &signer.log, &got));
    assert_int_equal(tlog_proof_verify(&parsed, BYTES_LITERAL("wrong"), &signer.log, &got).class,
                     VLT_CRYPTO);
    size_t line_of_witness = file.size;
    while (file.at[line_of_witness - 1] != 0xE2)
        line_of_witness--;
    for (size_t size = 0; size < line_of_witness - 1; size++)
        if (vlt_is_ok(tlog_proof_parse(bytes_of(file.at, size), &parsed)))
            assert_false(
                vlt_is_ok(tlog_proof_verify(&parsed, BYTES_LITERAL("right"), &signer.log, &got)));
    // What the log did not sign is the witness's line.
    for (size_t i = 0; i < (line_of_witness - 1) * 8; i++) {
        file.at[i / 8] ^= (uint8_t)(1u << i % 8);
        if (vlt_is_ok(tlog_proof_parse(buf_bytes(&file), &parsed)))
            assert_false(
                vlt_is_ok(tlog_proof_verify(&parsed, BYTES_LITERAL("right"), &signer.log, &got)));
        file.at[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    buf_done(&note_text);
    buf_done(&file);
    signer_done(&signer);
}

static void quorum_accepts_only_enough_signers(void **state) {
    static const struct {
        const char *rest; // behind the lines of the log and of two witnesses, A signed and B not
        enum vlt_class class;
    } cases[] = {{"quorum none\n", VLT_CLASS_OK},
                 {"quorum A\n", VLT_CLASS_OK},
                 {"quorum B\n", VLT_NOT_FOUND},
                 {"group g any A B\nquorum g\n", VLT_CLASS_OK},
                 {"group g all A B\nquorum g\n", VLT_NOT_FOUND},
                 {"group g 2 A B\nquorum g\n", VLT_NOT_FOUND},
                 {"\t# more words than a line of names has, nothing but a comment: a a a a a"
                  " a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a\n"
                  "# a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a\n"
                  "\n \t\ngroup\tg 1  B\t\n  group h any g A\nquorum h\n",
                  VLT_CLASS_OK},
                 // A name as long as the longest of a key.
                 {"group a-name-of-more-than-sixty-four-bytes-which-is-what-a-key-can-have-as-well"
                  " any A\nquorum"
                  " a-name-of-more-than-sixty-four-bytes-which-is-what-a-key-can-have-as-well\n",
                  VLT_CLASS_OK},
                 // Nobody counts twice, through two groups or under two names.
                 {"group g all A B\ngroup h 1 g A\nquorum h\n", VLT_MALFORMED},
                 {"quorum A\r\n", VLT_MALFORMED},
                 {"quorum A https://witness.example/\n", VLT_MALFORMED},
                 {"", VLT_MALFORMED},
                 {"quorum C\n", VLT_MALFORMED},
                 {"quorum A\nquorum A\n", VLT_MALFORMED},
                 {"group g 3 A B\nquorum g\n", VLT_MALFORMED},
                 {"group g 0 A B\nquorum g\n", VLT_MALFORMED},
                 {"group g any A A\nquorum g\n", VLT_MALFORMED},
                 {"group A any B\nquorum A\n", VLT_MALFORMED},
                 {"group g any g\nquorum g\n", VLT_MALFORMED},
                 {"witness none x\nquorum none\n", VLT_MALFORMED},
                 {"nonsense\nquorum none\n", VLT_MALFORMED}};
    struct signer signer, other;
    struct buf text, note;
    struct checkpoint checkpoint = {.origin = "log.example", .size = 9}, got;
    signer_init(&signer);
    signer_init(&other);
    buf_init(&text, 8192);
    buf_init(&note, 4096);
    put_checkpoint(&signer, &checkpoint, &note);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct quorum quorum;
        buf_clear(&text);
        buf_put_text(&text, "log ");
        note_key_text(&signer.log, &text);
        buf_put_text(&text, " https://log.example/\n\twitness  A ");
        note_key_text(&signer.witness, &text);
        buf_put_text(&text, "\nwitness B ");
        note_key_text(&other.witness, &text);
        buf_put_format(&text, "\thttps://witness.example/\n%s", cases[i].rest);
        vlt_result result = quorum_parse(buf_bytes(&text), NULL, &quorum);
        if (vlt_is_ok(result)) {
            result = quorum_open(&quorum, buf_bytes(&note), &got);
            quorum_done(&quorum);
        }
        assert_int_equal(result.class, cases[i].class);
    }
    buf_done(&text);
    buf_done(&note);
    signer_done(&signer);
    signer_done(&other);
}

// One witness under two names would be two of a quorum.
static void quorum_rejects_a_key_with_two_names(void **state) {
    struct signer signer;
    struct note_key other_name;
    struct fault fault = {0};
    struct buf text;
    struct quorum quorum;
    signer_init(&signer);
    assert_ok(note_key_init(BYTES_LITERAL("other.example"), NOTE_COSIGNATURE,
                            signer.witness.public_key, &other_name));
    const struct note_key *const second[] = {&signer.witness, &other_name, &signer.log};
    for (size_t i = 0; i < 3; i++) {
        buf_init(&text, 8192);
        buf_put_text(&text, "log ");
        note_key_text(&signer.log, &text);
        buf_put_text(&text, "\nwitness A ");
        note_key_text(&signer.witness, &text);
        buf_put_text(&text, i < 2 ? "\nwitness B " : "\nlog ");
        note_key_text(second[i], &text);
        buf_put_text(&text, i < 2 ? "\ngroup g 2 A B\nquorum g\n" : "\nquorum A\n");
        assert_int_equal(quorum_parse(buf_bytes(&text), &fault, &quorum).class, VLT_MALFORMED);
        assert_non_null(strstr(fault.text, "line 3: this key is another"));
        buf_done(&text);
    }
    note_key_done(&other_name);
    signer_done(&signer);
}

static int open_heap(void **state) { return vlt_is_ok(secret_heap_open(1 << 20, NULL)) ? 0 : -1; }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(note_accepts_published_example),
        cmocka_unit_test(note_ignores_signers_with_long_names),
        cmocka_unit_test(note_rejects_what_is_not_one),
        cmocka_unit_test(key_rejects_what_is_not_one),
        cmocka_unit_test(note_survives_mutation),
        cmocka_unit_test(checkpoint_accepts_own_and_cosigned),
        cmocka_unit_test(checkpoint_rejects_other_spellings),
        cmocka_unit_test(proof_accepts_own_and_survives_mutation),
        cmocka_unit_test(quorum_accepts_only_enough_signers),
        cmocka_unit_test(quorum_rejects_a_key_with_two_names),
    };
    return cmocka_run_group_tests(tests, open_heap, NULL);
}
