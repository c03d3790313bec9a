// SPDX-License-Identifier: Apache-2.0
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "libvault/base/hex.h"
#include "libvault/crypto/digest.h"
#include "libvault/tpm/evidence.h"

#define EK_CERTIFICATE_USE "2.23.133.8.1" // tcg-kp-EKCertificate
#define RSA_EXPONENT 65537

static vlt_result refuse(struct fault *fault, const char *text) {
    return fault_set(fault, VLT_CRYPTO, "the endorsement certificate does not hold", "%s", text);
}

// --- the certificate's key --------------------------------------------------

static bool is_rsa_key(const EVP_PKEY *key, const uint8_t modulus[AREA_RSA_BYTES]) {
    BIGNUM *n = NULL, *e = NULL;
    uint8_t found[AREA_RSA_BYTES];
    bool is_it =
        EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
        EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_word(e, RSA_EXPONENT) &&
        BN_bn2binpad(n, found, sizeof found) == sizeof found &&
        bytes_equal(bytes_of(found, sizeof found), bytes_of(modulus, sizeof found));
    BN_free(n);
    BN_free(e);
    return is_it;
}

static bool is_ecc_key(const EVP_PKEY *key, const uint8_t point[BOOT_POINT_BYTES]) {
    uint8_t found[BOOT_POINT_BYTES];
    size_t size = 0;
    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, found,
                                           sizeof found, &size) == 1 &&
           bytes_equal(bytes_of(found, size), bytes_of(point, BOOT_POINT_BYTES));
}

static bool certifies(X509 *certificate, const struct area *endorsement) {
    enum area_endorsement kind;
    uint8_t unique[AREA_RSA_BYTES];
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    if (!key || !vlt_is_ok(area_read_endorsement(endorsement, &kind, unique)))
        return false;
    return kind == AREA_EK_RSA ? is_rsa_key(key, unique) : is_ecc_key(key, unique);
}

// TCG EK Credential Profile 2.5, 3.2: of a TPM and of nothing else. (Old ones have
// no extended key usage at all.)
static bool is_for_endorsement(X509 *certificate) {
    EXTENDED_KEY_USAGE *uses = X509_get_ext_d2i(certificate, NID_ext_key_usage, NULL, NULL);
    ASN1_OBJECT *wanted = OBJ_txt2obj(EK_CERTIFICATE_USE, 1);
    bool is_for_it = wanted && !uses && X509_get_ext_by_NID(certificate, NID_ext_key_usage, -1) < 0;
    for (int i = 0; wanted && uses && i < sk_ASN1_OBJECT_num(uses); i++)
        is_for_it |= OBJ_cmp(sk_ASN1_OBJECT_value(uses, i), wanted) == 0;
    ASN1_OBJECT_free(wanted);
    EXTENDED_KEY_USAGE_free(uses);
    return is_for_it && X509_check_ca(certificate) == 0;
}

// --- the chain --------------------------------------------------------------

static X509 *certificate_read(const struct evidence_certificate *from) {
    const uint8_t *at = from->at;
    X509 *certificate = d2i_X509(NULL, &at, (long)from->size);
    if (certificate && at != from->at + from->size) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static STACK_OF(X509) * chain_read(const struct evidence *evidence) {
    STACK_OF(X509) *chain = sk_X509_new_null();
    for (size_t i = 0; chain && i < evidence->chain_count; i++) {
        X509 *certificate = certificate_read(&evidence->chain[i]);
        if (!certificate || !sk_X509_push(chain, certificate))
            X509_free(certificate); // one that can not be read proves nothing
    }
    return chain;
}

static X509_STORE *roots_read(struct bytes pem) {
    X509_STORE *store = X509_STORE_new();
    BIO *bio = pem.size <= INT_MAX ? BIO_new_mem_buf(pem.at, (int)pem.size) : NULL;
    unsigned count = 0;
    X509 *root;
    while (store && bio && (root = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        count += X509_STORE_add_cert(store, root) == 1;
        X509_free(root);
    }
    BIO_free(bio);
    if (count)
        return store;
    X509_STORE_free(store);
    return NULL;
}

// Every root is trusted as it is, whether or not it signed itself.
static int chain_verify(X509_STORE *roots, X509 *certificate, STACK_OF(X509) * chain) {
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    int error = X509_V_ERR_UNSPECIFIED;
    if (context && X509_STORE_CTX_init(context, roots, certificate, chain) == 1) {
        X509_STORE_CTX_set_flags(context, X509_V_FLAG_PARTIAL_CHAIN);
        error = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
        if (error == X509_V_OK && X509_STORE_CTX_get_error(context) != X509_V_OK)
            error = X509_STORE_CTX_get_error(context);
    }
    X509_STORE_CTX_free(context);
    return error;
}

vlt_result evidence_verify_endorsement(const struct evidence *evidence, struct bytes roots,
                                       struct fault *fault) {
    X509_STORE *store = roots_read(roots);
    if (!store)
        return fault_set(fault, VLT_MALFORMED, "no trusted root",
                         "there is no certificate in PEM among the trusted roots");
    X509 *certificate = certificate_read(&evidence->endorsement_certificate);
    STACK_OF(X509) *chain = chain_read(evidence);
    vlt_result result = vlt_ok();
    int error = certificate ? chain_verify(store, certificate, chain) : X509_V_OK;
    if (!certificate)
        result = refuse(fault, "the endorsement certificate can not be read");
    else if (!certifies(certificate, &evidence->endorsement))
        result = refuse(fault, "the endorsement certificate is not that of the endorsement key");
    else if (!is_for_endorsement(certificate))
        result = refuse(fault, "the certificate is not an endorsement certificate of a TPM");
    else if (error != X509_V_OK)
        result = fault_set(fault, VLT_CRYPTO, "the endorsement certificate does not hold",
                           "the endorsement certificate does not lead to a trusted root (%s)",
                           X509_verify_cert_error_string(error));
    sk_X509_pop_free(chain, X509_free);
    X509_free(certificate);
    X509_STORE_free(store);
    return result;
}

vlt_result evidence_describe_certificate(const struct evidence *evidence, char ret_issuer[256],
                                         char ret_sha256[65]) {
    uint8_t digest[DIGEST_SHA256_SIZE];
    const struct evidence_certificate *from = &evidence->endorsement_certificate;
    X509 *certificate = certificate_read(from);
    if (!certificate)
        return vlt_fail(VLT_MALFORMED, "the endorsement certificate can not be read");
    char *text = X509_NAME_oneline(X509_get_issuer_name(certificate), ret_issuer, 256);
    X509_free(certificate);
    VLT_TRY(digest_sha256(bytes_of(from->at, from->size), digest));
    hex_encode(bytes_of(digest, sizeof digest), ret_sha256);
    return text ? vlt_ok() : vlt_fail(VLT_MALFORMED, "the issuer can not be read");
}
