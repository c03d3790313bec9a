// SPDX-License-Identifier: Apache-2.0
// TLS 1.3 contexts from bytes in memory, so that a sandboxed role needs no file.
// No session tickets (connections are kept alive; resumption would need a key
// that outlives them), ALPN http/1.1.
#ifndef VLT_NET_TLS_H
#define VLT_NET_TLS_H

#include "libvault/base/bytes.h"
#include "libvault/base/fault.h"

struct ssl_ctx_st;

enum tls_client_certificates {
    TLS_CLIENT_NONE,   // not asked for
    TLS_CLIENT_PINNED, // asked for; any certificate whose key the peer holds, within its
                       // time: the caller compares thumbprints (RFC 8705 section 2.2)
    TLS_CLIENT_CA      // asked for; when given it must chain to client_ca_pem
};

struct tls_settings {
    struct bytes chain_pem;  // the server's certificate first, then intermediates
    struct bytes key_pem;    // its private key, unencrypted PEM; the caller wipes it
    enum tls_client_certificates client;
    bool client_required;    // without a certificate the handshake fails
    struct bytes client_ca_pem;
};

// The caller owns *ret_tls (SSL_CTX_free). VLT_MALFORMED or VLT_CRYPTO with a
// fault that names the part at fault.
vlt_result tls_server_context(const struct tls_settings *settings, struct fault *fault,
                              struct ssl_ctx_st **ret_tls) VLT_MUST_USE;

#endif
