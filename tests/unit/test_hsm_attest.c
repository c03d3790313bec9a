// SPDX-License-Identifier: Apache-2.0
// Evidence from a swtpm with an endorsement certificate, verified as on another
// machine; and what somebody without that TPM can make of it.
#include "tests/unit/attest_lab.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>

#include "hsm/tpm/link.h"
#include "libvault/base/b64u.h"
#include "tests/devices/tpm_proxy.h"

static void attest_accepts_a_challenge(void **state) {
    struct lab *lab = *state;
    struct bench *b = &lab->bench;
    char nonce[CHALLENGE_NONCE_SIZE], issuer[256], sha256[65];
    uint8_t name[AREA_NAME_BYTES];
    bench_create(b);
    complete(lab, nonce);
    OK(verify(lab, lab->evidence, nonce, NULL, &b->fault));
    OK(evidence_describe_certificate(lab->evidence, issuer, sha256));
    assert_non_null(strstr(issuer, "swtpm-localca"));
    // The key still does what it is for, and again after a restart.
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    opens(b, buf_bytes(&blob), plain);
    buf_done(&blob);
    secret_free(plain);
    OK(area_name(&lab->evidence->attestation, name));
    bench_close(b);
    device_fixture_unplug(&b->device);
    device_fixture_plug(&b->device);
    bench_open(b);
    OK(hsm_key_find(b->hsm, &b->key, &b->fault));
    // Who knows the attestation key needs no challenge any more.
    OK(hsm_attest(b->hsm, NONCE, NULL, &b->fault, lab->evidence));
    OK(verify(lab, lab->evidence, NONCE, name, &b->fault));
    name[9] ^= 1;
    FAILS(verify(lab, lab->evidence, NONCE, name, &b->fault), VLT_CRYPTO, "another one");
}

static void attest_rejects_a_nonce_alone(void **state) {
    struct lab *lab = *state;
    struct bench *b = &lab->bench;
    bench_create(b);
    OK(hsm_attest(b->hsm, NONCE, NULL, &b->fault, lab->evidence));
    FAILS(verify(lab, lab->evidence, NONCE, NULL, &b->fault), VLT_DENIED, "--challenge");
    FAILS(verify(lab, lab->evidence, "nonce-4712", NULL, &b->fault), VLT_CRYPTO, "nonce");
    static const char *const bad[] = {"", "short", "with a blank", "nonce\n4711"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(hsm_attest(b->hsm, bad[i], NULL, &b->fault, lab->evidence), VLT_MALFORMED, "nonce");
    FAILS(hsm_attest(b->hsm, NULL, NULL, &b->fault, lab->evidence), VLT_MALFORMED, "nonce");
}

// An attacker has the endorsement certificate of a genuine TPM (it is public), and
// keys of their own.
static void attest_rejects_keys_of_software(void **state) {
    struct lab *lab = *state;
    struct bench *b = &lab->bench;
    char nonce[CHALLENGE_NONCE_SIZE];
    struct challenge challenge;
    struct boot_signer forger;
    boot_signer_init(&forger);
    bench_create(b);
    OK(hsm_attest(b->hsm, NONCE, NULL, &b->fault, lab->evidence));
    struct evidence *forged = lab->other;
    *forged = *lab->evidence;
    area_of_attestation(forger.point, &forged->attestation);
    OK(area_of_wrapping(NULL, forger.point, &forged->wrapping));
    // The name in the statement, then both signatures.
    uint8_t name[AREA_NAME_BYTES], true_name[AREA_NAME_BYTES];
    OK(area_name(&forged->wrapping, name));
    OK(area_name(&lab->evidence->wrapping, true_name));
    uint8_t *at = memmem(forged->certify.at, forged->certify.size, true_name, sizeof true_name);
    assert_non_null(at);
    memcpy(at, name, sizeof name);
    struct evidence_statement *const statements[] = {&forged->certify, &forged->quote};
    for (size_t i = 0; i < 2; i++) {
        uint8_t der[80];
        const uint8_t *from = der;
        size_t size = sizeof der;
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, forger.key), 1);
        assert_int_equal(
            EVP_DigestSign(context, der, &size, statements[i]->at, statements[i]->size), 1);
        ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &from, (long)size);
        BN_bn2binpad(ECDSA_SIG_get0_r(signature), statements[i]->signature, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(signature), statements[i]->signature + 32, 32);
        ECDSA_SIG_free(signature);
        EVP_MD_CTX_free(context);
    }
    OK(evidence_verify_statements(forged, NONCE, &b->fault));
    OK(evidence_verify_endorsement(forged, buf_bytes(&lab->roots), &b->fault));
    FAILS(verify(lab, forged, NONCE, NULL, &b->fault), VLT_DENIED, "not proven");
    // The challenge for that pair can not be answered by the genuine TPM.
    OK(challenge_make(&forged->endorsement, &forged->attestation, &challenge, nonce));
    FAILS(hsm_attest(b->hsm, NULL, &challenge, &b->fault, lab->evidence), VLT_CRYPTO,
          "another TPM");
    // And the nonce of one for the genuine pair is none for this one.
    OK(challenge_make(&lab->evidence->endorsement, &lab->evidence->attestation, &challenge, nonce));
    OK(hsm_attest(b->hsm, NONCE, NULL, &b->fault, lab->evidence));
    OK(challenge_make(&lab->evidence->endorsement, &lab->evidence->attestation, &challenge, nonce));
    assert_int_equal(evidence_verify_binding(forged, nonce, NULL, &b->fault).class, VLT_CRYPTO);
    boot_signer_done(&forger);
}

static void attest_rejects_another_tpm(void **state) {
    struct lab *lab = *state;
    struct bench *b = &lab->bench;
    char nonce[CHALLENGE_NONCE_SIZE];
    struct challenge challenge;
    bench_create(b);
    OK(hsm_attest(b->hsm, NONCE, NULL, &b->fault, lab->evidence));
    OK(challenge_make(&lab->evidence->endorsement, &lab->evidence->attestation, &challenge, nonce));
    bench_close(b);
    device_fixture_endorse(&b->device); // another TPM of the same maker
    lab_read_roots(lab);
    bench_create(b);
    FAILS(hsm_attest(b->hsm, NULL, &challenge, &b->fault, lab->other), VLT_CRYPTO, "another TPM");
    OK(hsm_attest(b->hsm, NONCE, NULL, &b->fault, lab->other));
    OK(evidence_verify_endorsement(lab->other, buf_bytes(&lab->roots), &b->fault));
    OK(evidence_verify_endorsement(lab->evidence, buf_bytes(&lab->roots), &b->fault));
    // Its certificate with the keys of the first one.
    struct evidence *mixed = lab->evidence;
    mixed->endorsement_certificate = lab->other->endorsement_certificate;
    FAILS(verify(lab, mixed, NONCE, NULL, &b->fault), VLT_CRYPTO,
          "not that of the endorsement key");
    mixed->endorsement = lab->other->endorsement;
    FAILS(verify(lab, mixed, nonce, NULL, &b->fault), VLT_CRYPTO, "");
    // Statements of one with keys of the other.
    mixed->attestation = lab->other->attestation;
    FAILS(verify(lab, mixed, NONCE, NULL, &b->fault), VLT_CRYPTO, "not signed");
}

static void attest_rejects_other_roots(void **state) {
    struct lab *lab = *state;
    struct bench *b = &lab->bench;
    struct buf one;
    char path[160];
    bench_create(b);
    OK(hsm_attest(b->hsm, NONCE, NULL, &b->fault, lab->evidence));
    FAILS(evidence_verify_endorsement(lab->evidence, BYTES_LITERAL("no PEM"), &b->fault),
          VLT_MALFORMED, "no certificate");
    buf_init(&one, 65536);
    snprintf(path, sizeof path, "%s/ca/swtpm-localca-rootca-cert.pem", b->device.folder);
    read_file(path, &one);
    // The root alone does not lead to a certificate of its intermediate …
    FAILS(evidence_verify_endorsement(lab->evidence, buf_bytes(&one), &b->fault), VLT_CRYPTO,
          "trusted root");
    // … unless the evidence brings that along.
    struct buf intermediate;
    buf_init(&intermediate, 65536);
    snprintf(path, sizeof path, "%s/ca/issuercert.pem", b->device.folder);
    read_file(path, &intermediate);
    BIO *bio = BIO_new_mem_buf(intermediate.at, (int)intermediate.size);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    uint8_t *at = lab->evidence->chain[0].at;
    lab->evidence->chain[0].size = (size_t)i2d_X509(certificate, &at);
    lab->evidence->chain_count = 1;
    OK(evidence_verify_endorsement(lab->evidence, buf_bytes(&one), &b->fault));
    pass_on(lab->evidence);
    // A root that is trusted and has nothing to do with it.
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    BIO *out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(out, certificate);
    char *text = NULL;
    long size = BIO_get_mem_data(out, &text);
    FAILS(evidence_verify_endorsement(lab->evidence, bytes_of(text, (size_t)size), &b->fault),
          VLT_CRYPTO, "trusted root");
    // The intermediate in the place of an endorsement certificate.
    lab->evidence->endorsement_certificate = lab->evidence->chain[0];
    FAILS(evidence_verify_endorsement(lab->evidence, buf_bytes(&one), &b->fault), VLT_CRYPTO,
          "not that of the endorsement key");
    BIO_free(out);
    BIO_free(bio);
    EVP_PKEY_free(key);
    X509_free(certificate);
    buf_done(&one);
    buf_done(&intermediate);
}

static void make_ecc_endorsement(ESYS_CONTEXT *esys, ESYS_TR *ret_key,
                                 uint8_t point[BOOT_POINT_BYTES]) {
    TPM2B_PUBLIC wanted = {.size = 0}, *made = NULL;
    struct area template;
    area_of_endorsement(AREA_EK_ECC, NULL, &template);
    assert_int_equal(
        Tss2_MU_TPMT_PUBLIC_Unmarshal(template.at, template.size, NULL, &wanted.publicArea), 0);
    const TPM2B_SENSITIVE_CREATE sensitive = {.size = 0};
    const TPM2B_DATA outside = {.size = 0};
    const TPML_PCR_SELECTION pcrs = {.count = 0};
    assert_int_equal(Esys_CreatePrimary(esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
                                        ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &wanted, &outside,
                                        &pcrs, ret_key, &made, NULL, NULL, NULL),
                     0);
    point[0] = 4;
    memcpy(point + 1, made->publicArea.unique.ecc.x.buffer, 32);
    memcpy(point + 33, made->publicArea.unique.ecc.y.buffer, 32);
    Esys_Free(made);
}

// Signed by the maker; with its own key it is the root.
static X509 *certificate_of(EVP_PKEY *key, EVP_PKEY *maker, int nid, const char *extension) {
    X509 *certificate = X509_new();
    X509_EXTENSION *added = X509V3_EXT_conf_nid(NULL, NULL, nid, extension);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -100);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 10000);
    X509_NAME_add_entry_by_txt(X509_get_issuer_name(certificate), "CN", MBSTRING_ASC,
                               (const uint8_t *)"maker", -1, -1, 0);
    if (key == maker)
        X509_set_subject_name(certificate, X509_get_issuer_name(certificate));
    X509_set_pubkey(certificate, key);
    X509_add_ext(certificate, added, -1);
    assert_true(X509_sign(certificate, maker, EVP_sha256()) > 0);
    X509_EXTENSION_free(added);
    return certificate;
}

static void trust(struct lab *lab, X509 *root) {
    BIO *out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(out, root);
    char *text = NULL;
    long text_size = BIO_get_mem_data(out, &text);
    buf_clear(&lab->roots);
    buf_put(&lab->roots, bytes_of(text, (size_t)text_size));
    BIO_free(out);
}

// Where makers put it, with room behind it.
static void store_in_tpm(ESYS_CONTEXT *esys, X509 *certificate) {
    ESYS_TR index = ESYS_TR_NONE;
    TPM2B_MAX_NV_BUFFER content = {.size = 0};
    const TPM2B_MAX_NV_BUFFER room = {.size = 40};
    const TPM2B_AUTH nobody = {.size = 0};
    uint8_t *at = content.buffer;
    content.size = (UINT16)i2d_X509(certificate, &at);
    const TPM2B_NV_PUBLIC about = {
        .nvPublic = {.nvIndex = 0x01c0000a,
                     .nameAlg = TPM2_ALG_SHA256,
                     .attributes = TPMA_NV_OWNERREAD | TPMA_NV_OWNERWRITE | TPMA_NV_NO_DA,
                     .dataSize = (UINT16)(content.size + room.size)}};
    assert_int_equal(Esys_NV_DefineSpace(esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                         ESYS_TR_NONE, &nobody, &about, &index),
                     0);
    assert_int_equal(Esys_NV_Write(esys, ESYS_TR_RH_OWNER, index, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                   ESYS_TR_NONE, &content, 0),
                     0);
    assert_int_equal(Esys_NV_Write(esys, ESYS_TR_RH_OWNER, index, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                   ESYS_TR_NONE, &room, content.size),
                     0);
}

// A TPM with an ECC endorsement certificate and no RSA one.
static void endorse_with_ecc(struct bench *b, struct lab *lab) {
    struct tpm_link *link = NULL;
    ESYS_CONTEXT *esys = NULL;
    ESYS_TR key = ESYS_TR_NONE;
    uint8_t point[BOOT_POINT_BYTES];
    OK(tpm_link_open(b->device.settings.tcti, 5000, &b->fault, &link));
    assert_int_equal(Esys_Initialize(&esys, tpm_link_tcti(link), NULL), 0);
    make_ecc_endorsement(esys, &key, point);
    EVP_PKEY *public_key = EVP_PKEY_new(), *maker = EVP_EC_gen("P-256");
    assert_int_equal(EVP_PKEY_copy_parameters(public_key, maker), 1);
    assert_int_equal(EVP_PKEY_set1_encoded_public_key(public_key, point, sizeof point), 1);
    X509 *certificate = certificate_of(public_key, maker, NID_ext_key_usage, "2.23.133.8.1");
    X509 *root = certificate_of(maker, maker, NID_basic_constraints, "critical,CA:TRUE");
    trust(lab, root);
    store_in_tpm(esys, certificate);
    Esys_FlushContext(esys, key);
    Esys_Finalize(&esys);
    tpm_link_close(link);
    X509_free(certificate);
    X509_free(root);
    EVP_PKEY_free(public_key);
    EVP_PKEY_free(maker);
}

static void attest_accepts_an_ecc_endorsement(void **state) {
    struct lab *lab = *state;
    struct bench *b = &lab->bench;
    char nonce[CHALLENGE_NONCE_SIZE];
    device_fixture_replace(&b->device);
    endorse_with_ecc(b, lab);
    bench_create(b);
    for (unsigned i = 0; i < 3; i++) {
        complete(lab, nonce);
        OK(verify(lab, lab->evidence, nonce, NULL, &b->fault));
    }
}

static void attest_rejects_a_tpm_that_nobody_vouches_for(void **state) {
    struct lab *lab = *state;
    struct bench *b = &lab->bench;
    device_fixture_replace(&b->device); // without certificates
    bench_create(b);
    FAILS(hsm_attest(b->hsm, NONCE, NULL, &b->fault, lab->evidence), VLT_NOT_FOUND,
          "endorsement certificate");
    OK(hsm_check(b->hsm, &b->fault));
}

static void attest_rejects_an_hsm(void **state) {
    struct bench *b = *state;
    struct evidence *evidence = calloc(1, sizeof *evidence);
    bench_create(b);
    FAILS(hsm_attest(b->hsm, NONCE, NULL, &b->fault, evidence), VLT_NOT_FOUND, "only a TPM");
    free(evidence);
}

// An error in any step leaves nothing in the TPM's three slots.
static void attest_survives_every_fault(void **state) {
    struct lab *lab = *state;
    struct bench *b = &lab->bench;
    char nonce[CHALLENGE_NONCE_SIZE];
    struct challenge challenge;
    struct tpm_proxy *proxy = tpm_proxy_start(b->device.folder);
    snprintf(b->device.settings.tcti, sizeof b->device.settings.tcti, "swtpm:path=%s", proxy->path);
    bench_create(b);
    OK(hsm_attest(b->hsm, NONCE, NULL, &b->fault, lab->evidence));
    OK(challenge_make(&lab->evidence->endorsement, &lab->evidence->attestation, &challenge, nonce));
    static const uint32_t steps[] = {TPM2_CC_NV_ReadPublic, TPM2_CC_NV_Read, TPM2_CC_CreatePrimary,
                                     TPM2_CC_PolicySecret, TPM2_CC_ActivateCredential, TPM2_CC_Load,
                                     TPM2_CC_Certify, TPM2_CC_PCR_Read, TPM2_CC_Quote};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        tpm_proxy_fail(proxy, steps[i], 1, TPM_PROXY_ANSWER, TPM2_RC_NV_UNAVAILABLE);
        FAILS(hsm_attest(b->hsm, NULL, &challenge, &b->fault, lab->other), VLT_UNAVAILABLE,
              "TPM_RC_NV_UNAVAILABLE");
        assert_int_equal(tpm_proxy_count(proxy), 1);
        tpm_proxy_fail(proxy, steps[i], 1, TPM_PROXY_CUT, 0); // reached again by itself
        OK(hsm_attest(b->hsm, NULL, &challenge, &b->fault, lab->other));
        OK(verify(lab, lab->other, nonce, NULL, &b->fault));
    }
    tpm_proxy_fail(proxy, 1, 0, TPM_PROXY_ANSWER, 0);
    OK(hsm_check(b->hsm, &b->fault));
    // The secret of the challenge is not seen on the bus.
    uint8_t secret[48];
    size_t size = 0;
    OK(b64u_decode(bytes_of(nonce + 10, 43), secret, sizeof secret, &size));
    assert_int_equal(size, 32);
    assert_false(tpm_proxy_saw(proxy, secret, 32));
    bench_close(b);
    tpm_proxy_stop(proxy);
}

int main(void) {
    bench_heap_open();
    const struct CMUnitTest tests[] = {
        CASE(attest_accepts_a_challenge),
        CASE(attest_rejects_a_nonce_alone),
        CASE(attest_rejects_keys_of_software),
        CASE(attest_rejects_another_tpm),
        CASE(attest_rejects_other_roots),
        CASE(attest_accepts_an_ecc_endorsement),
        CASE(attest_rejects_a_tpm_that_nobody_vouches_for),
        cmocka_unit_test_setup_teardown(attest_rejects_an_hsm, bench_p11, bench_stop),
        CASE(attest_survives_every_fault),
    };
    return cmocka_run_group_tests_name("attestation by a TPM", tests, NULL, NULL);
}
