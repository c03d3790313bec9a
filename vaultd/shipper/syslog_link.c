// SPDX-License-Identifier: Apache-2.0
#include "vaultd/shipper/syslog_link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEP_TIMEOUT_S 20
#define CONNECT_TIMEOUT_MS 10000
#define HOST_SIZE 256

// ---- Certificates ----

static vlt_result add_roots(SSL_CTX *context, const char *pem, struct fault *fault) {
    BIO *text = BIO_new_mem_buf(pem, -1);
    X509 *root;
    size_t count = 0;
    while (text && (root = PEM_read_bio_X509(text, NULL, NULL, NULL))) {
        count += X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root) == 1;
        X509_free(root);
    }
    BIO_free(text);
    ERR_clear_error();
    return count ? vlt_ok()
                 : fault_set(fault, VLT_MALFORMED, "no certificate",
                             "shipping.syslog_ca holds no certificate");
}

static bool use_certificate(SSL_CTX *context, const char *chain, const char *key) {
    BIO *chain_text = BIO_new_mem_buf(chain, -1), *key_text = BIO_new_mem_buf(key, -1);
    X509 *own = chain_text ? PEM_read_bio_X509(chain_text, NULL, NULL, NULL) : NULL, *next;
    EVP_PKEY *pkey = key_text ? PEM_read_bio_PrivateKey(key_text, NULL, NULL, NULL) : NULL;
    bool is_used = own && pkey && SSL_CTX_use_certificate(context, own) == 1 &&
                   SSL_CTX_use_PrivateKey(context, pkey) == 1;
    while (is_used && (next = PEM_read_bio_X509(chain_text, NULL, NULL, NULL))) {
        is_used = SSL_CTX_add1_chain_cert(context, next) == 1;
        X509_free(next);
    }
    X509_free(own);
    EVP_PKEY_free(pkey);
    BIO_free(chain_text);
    BIO_free(key_text);
    ERR_clear_error();
    return is_used;
}

vlt_result syslog_link_context(const char *ca, const char *certificate, const char *key,
                               struct fault *fault, SSL_CTX **ret_context) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
        SSL_CTX_free(context);
        return vlt_fail(VLT_UNAVAILABLE, "no TLS");
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    vlt_result result = vlt_ok();
    if (ca[0])
        result = add_roots(context, ca, fault);
    else if (SSL_CTX_set_default_verify_paths(context) != 1)
        result = vlt_fail(VLT_UNAVAILABLE, "the system's roots can not be read");
    if (vlt_is_ok(result) && certificate[0] && !use_certificate(context, certificate, key))
        result =
            fault_set(fault, VLT_MALFORMED, "a certificate that can not be used",
                      "shipping.syslog_certificate and syslog_key are no certificate with its key");
    if (!vlt_is_ok(result)) {
        SSL_CTX_free(context);
        return result;
    }
    *ret_context = context;
    return vlt_ok();
}

// ---- Connecting ----

static bool split(const char *target, char host[HOST_SIZE], const char **ret_port) {
    const char *colon = strrchr(target, ':');
    if (!colon)
        return false;
    struct bytes name = bytes_of(target, (size_t)(colon - target));
    if (name.size > 2 && name.at[0] == '[' && name.at[name.size - 1] == ']')
        name = bytes_of(name.at + 1, name.size - 2);
    *ret_port = colon + 1;
    return name.size && bytes_to_text(name, host, HOST_SIZE);
}

// 0, or why not.
static int connect_within(int fd, const struct addrinfo *to) {
    int flags = fcntl(fd, F_GETFL), error = 0;
    socklen_t size = sizeof error;
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return errno;
    if (connect(fd, to->ai_addr, to->ai_addrlen) != 0) {
        if (errno != EINPROGRESS)
            return errno;
        if (poll(&wait, 1, CONNECT_TIMEOUT_MS) != 1)
            return ETIMEDOUT;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error)
            return error ? error : errno;
    }
    const struct timeval limit = {STEP_TIMEOUT_S, 0};
    bool is_set = fcntl(fd, F_SETFL, flags) == 0 &&
                  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
                  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0;
    return is_set ? 0 : errno;
}

static vlt_result dial(const char *host, const char *port, struct fault *fault, int *ret_fd) {
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, port, &wanted, &found), fd = -1;
    if (error)
        return fault_set(fault, VLT_UNAVAILABLE, "the syslog receiver is not found", "%s: %s", host,
                         gai_strerror(error));
    for (const struct addrinfo *to = found; to && fd < 0; to = to->ai_next) {
        fd = socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC, to->ai_protocol);
        error = fd < 0 ? errno : connect_within(fd, to);
        if (fd >= 0 && error) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0)
        return fault_set(fault, VLT_UNAVAILABLE, "the syslog receiver does not answer", "%s:%s: %s",
                         host, port, strerror(error));
    *ret_fd = fd;
    return vlt_ok();
}

static bool expect_host(SSL *link, const char *host) {
    X509_VERIFY_PARAM *expected = SSL_get0_param(link);
    if (X509_VERIFY_PARAM_set1_ip_asc(expected, host) == 1)
        return true;
    // The macro of this call casts the constness away; OpenSSL copies the name.
    return SSL_ctrl(link, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                    (void *)(uintptr_t)host) == 1 &&
           SSL_set1_host(link, host) == 1;
}

static vlt_result refused(SSL *link, const char *target, struct fault *fault) {
    long verdict = link ? SSL_get_verify_result(link) : X509_V_OK;
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    vlt_result result = fault_set(
        fault, VLT_UNAVAILABLE, "no TLS with the syslog receiver", "%s: no TLS: %s", target,
        verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
                             : (why ? why : "the connection ended or stalled"));
    ERR_clear_error();
    return result;
}

vlt_result syslog_link_open(SSL_CTX *context, const char *target, struct fault *fault,
                            SSL **ret_link) {
    char host[HOST_SIZE];
    const char *port;
    int fd = -1;
    if (!split(target, host, &port))
        return fault_set(fault, VLT_MALFORMED, "not a host and a port", "%s is not host:port",
                         target);
    VLT_TRY(dial(host, port, fault, &fd));
    SSL *link = SSL_new(context);
    if (!link || !expect_host(link, host) || SSL_set_fd(link, fd) != 1 || SSL_connect(link) != 1) {
        vlt_result result = refused(link, target, fault);
        SSL_free(link);
        close(fd);
        return result;
    }
    *ret_link = link;
    return vlt_ok();
}

void syslog_link_free(SSL *link) {
    if (!link)
        return;
    int fd = SSL_get_fd(link);
    SSL_free(link);
    close(fd);
}

// ---- Sending ----

vlt_result syslog_link_write(SSL *link, struct bytes bytes, struct fault *fault) {
    size_t written;
    ERR_clear_error();
    if (bytes.size && SSL_write_ex(link, bytes.at, bytes.size, &written) != 1)
        return fault_set(fault, VLT_UNAVAILABLE, "the syslog receiver takes nothing",
                         "the syslog receiver ended the connection or takes nothing: %s",
                         strerror(errno));
    return vlt_ok();
}

// TLS is ordered: who answers our goodbye has read what came before it. Some
// receivers only close the connection; the kernel resets one with unread bytes,
// so an end in good order says the same.
static bool is_goodbye(SSL *link, int got) {
    int error = SSL_get_error(link, got);
    if (error == SSL_ERROR_ZERO_RETURN)
        return true;
    return (error == SSL_ERROR_SSL &&
            ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) ||
           (error == SSL_ERROR_SYSCALL && errno == 0);
}

vlt_result syslog_link_finish(SSL *link, struct fault *fault) {
    char ignored[256];
    int got = 1;
    ERR_clear_error();
    bool is_said = SSL_shutdown(link) >= 0;
    while (is_said && got > 0) {
        errno = 0;
        got = SSL_read(link, ignored, sizeof ignored);
    }
    bool is_finished = is_said && is_goodbye(link, got);
    ERR_clear_error();
    return is_finished ? vlt_ok()
                       : fault_set(fault, VLT_UNAVAILABLE, "the syslog receiver did not confirm",
                                   "the syslog receiver did not end the connection in good order");
}
