// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/pem_check.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

static vlt_result refuse(const struct pem_file *file, const char *why, struct fault *fault) {
    unsigned long error = ERR_peek_last_error();
    const char *said = error ? ERR_reason_error_string(error) : NULL;
    ERR_clear_error();
    return fault_set(fault, VLT_MALFORMED, "a PEM file is not usable", "%s: %s %s%s%s", file->key,
                     file->path, why, said ? ": " : "", said ? said : "");
}

// An encrypted key would make OpenSSL ask on the terminal.
static int no_password(char *password, int size, int writes, void *context) { return -1; }

static BIO *open_text(const struct pem_file *file) {
    ERR_clear_error();
    return BIO_new_mem_buf(file->text, (int)strlen(file->text)); // at most 48 KiB
}

// The end of the file is told as an error, too: no more PEM begins.
static bool is_at_end(void) {
    bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (is_end)
        ERR_clear_error();
    return is_end;
}

vlt_result pem_check_certificates(const struct pem_file *file, struct fault *fault) {
    if (!file->text)
        return vlt_ok();
    BIO *bio = open_text(file);
    unsigned count = 0;
    for (X509 *one; bio && (one = PEM_read_bio_X509(bio, NULL, no_password, NULL)); count++)
        X509_free(one);
    bool is_end = is_at_end();
    BIO_free(bio);
    if (count && is_end)
        return vlt_ok();
    return refuse(file, count ? "holds a broken certificate" : "holds no certificate in PEM",
                  fault);
}

vlt_result pem_check_pair(const struct pem_file *chain, const struct pem_file *key,
                          struct fault *fault) {
    VLT_TRY(pem_check_certificates(chain, fault));
    if (!chain->text || !key->text)
        return vlt_ok();
    BIO *bio = open_text(key);
    EVP_PKEY *private = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    if (!private)
        return refuse(key, "holds no unencrypted private key in PEM", fault);
    bio = open_text(chain);
    X509 *first = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    bool fits = first && X509_check_private_key(first, private) == 1;
    X509_free(first);
    EVP_PKEY_free(private);
    if (fits)
        return vlt_ok();
    ERR_clear_error(); // says no more than we do
    return refuse(key, "does not belong to the certificate", fault);
}
