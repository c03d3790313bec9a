// SPDX-License-Identifier: Apache-2.0
#include "vaultd/net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

// OpenSSL's own words for the person who has to mend it; the queue is emptied.
static vlt_result tls_fail(struct fault *fault, enum vlt_class class, const char *reason,
                           const char *text) {
    unsigned long error = ERR_peek_last_error();
    const char *said = error ? ERR_reason_error_string(error) : NULL;
    ERR_clear_error();
    return fault_set(fault, class, reason, "%s%s%s", text, said ? ": " : "", said ? said : "");
}

static BIO *memory_of(struct bytes text) {
    return text.size && text.size <= 1 << 20 ? BIO_new_mem_buf(text.at, (int)text.size) : NULL;
}

// An encrypted key would make OpenSSL ask on the terminal.
static int no_password(char *password, int size, int writes, void *ctx) { return -1; }

static vlt_result use_chain(SSL_CTX *tls, struct bytes pem, struct fault *fault) {
    BIO *bio = memory_of(pem);
    X509 *first = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
    if (!first || SSL_CTX_use_certificate(tls, first) != 1) {
        X509_free(first);
        BIO_free(bio);
        return tls_fail(fault, VLT_MALFORMED, "no usable TLS certificate",
                        "The TLS certificate file holds no usable certificate in PEM");
    }
    X509_free(first);
    X509 *next;
    bool failed = false;
    while (!failed && (next = PEM_read_bio_X509(bio, NULL, no_password, NULL))) {
        failed = SSL_CTX_add0_chain_cert(tls, next) != 1;
        if (failed)
            X509_free(next);
    }
    // The end of the file is also told as an error of this kind.
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    if (failed || !at_end)
        return tls_fail(fault, VLT_MALFORMED, "a broken certificate in the chain",
                        "A certificate behind the first one in the TLS certificate file is broken");
    ERR_clear_error();
    return vlt_ok();
}

static vlt_result use_key(SSL_CTX *tls, struct bytes pem, struct fault *fault) {
    BIO *bio = memory_of(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    if (!key)
        return tls_fail(fault, VLT_MALFORMED, "no usable TLS key",
                        "The TLS key file holds no unencrypted private key in PEM");
    // The certificate is set already, so OpenSSL compares the two here.
    bool fits = SSL_CTX_use_PrivateKey(tls, key) == 1 && SSL_CTX_check_private_key(tls) == 1;
    EVP_PKEY_free(key);
    return fits ? vlt_ok()
                : tls_fail(fault, VLT_CRYPTO, "TLS key and certificate do not fit",
                           "The TLS key does not belong to the TLS certificate");
}

static vlt_result use_client_authorities(SSL_CTX *tls, struct bytes pem, struct fault *fault) {
    BIO *bio = memory_of(pem);
    X509 *authority;
    unsigned count = 0;
    while (bio && (authority = PEM_read_bio_X509(bio, NULL, no_password, NULL))) {
        bool added = X509_STORE_add_cert(SSL_CTX_get_cert_store(tls), authority) == 1 &&
                     SSL_CTX_add_client_CA(tls, authority) == 1;
        X509_free(authority);
        if (!added)
            break;
        count++;
    }
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    if (!count || !at_end)
        return tls_fail(fault, VLT_MALFORMED, "no usable client authority",
                        "The file of client authorities holds no certificate, or a broken one");
    ERR_clear_error();
    return vlt_ok();
}

// TLS itself has proved that the peer holds the key; who may come with which
// certificate is decided by thumbprint, by our caller. Its time is part of what its
// owner said about it.
static int accept_any_current(int preverified, X509_STORE_CTX *ctx) {
    int error = X509_STORE_CTX_get_error(ctx);
    return preverified ||
           (error != X509_V_ERR_CERT_HAS_EXPIRED && error != X509_V_ERR_CERT_NOT_YET_VALID);
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                           const unsigned char *in, unsigned in_size, void *ctx) {
    static const unsigned char ours[] = "\x08http/1.1";
    // SSL_select_next_proto only hands back what `in` or `ours` holds.
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static vlt_result use_client_rule(SSL_CTX *tls, const struct tls_settings *settings,
                                  struct fault *fault) {
    if (settings->client == TLS_CLIENT_NONE)
        return vlt_ok();
    int mode = SSL_VERIFY_PEER | (settings->client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_verify(tls, mode,
                       settings->client == TLS_CLIENT_PINNED ? accept_any_current : NULL);
    return settings->client == TLS_CLIENT_CA
               ? use_client_authorities(tls, settings->client_ca_pem, fault)
               : vlt_ok();
}

static vlt_result fill(SSL_CTX *tls, const struct tls_settings *settings, struct fault *fault) {
    SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    // Idle keep-alive connections give their buffers back.
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(tls, choose_protocol, NULL);
    // A client certificate with many attributes fits; a megabyte of them does not.
    SSL_CTX_set_max_cert_list(tls, 16384);
    VLT_TRY(use_chain(tls, settings->chain_pem, fault));
    VLT_TRY(use_key(tls, settings->key_pem, fault));
    return use_client_rule(tls, settings, fault);
}

vlt_result tls_server_context(const struct tls_settings *settings, struct fault *fault,
                              struct ssl_ctx_st **ret_tls) {
    ERR_clear_error();
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (!tls || SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_num_tickets(tls, 0) != 1) {
        SSL_CTX_free(tls);
        return tls_fail(fault, VLT_UNAVAILABLE, "no TLS context", "OpenSSL can not serve TLS 1.3");
    }
    vlt_result result = fill(tls, settings, fault);
    if (!vlt_is_ok(result)) {
        SSL_CTX_free(tls);
        return result;
    }
    *ret_tls = tls;
    return vlt_ok();
}
