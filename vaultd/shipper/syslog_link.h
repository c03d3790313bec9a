// SPDX-License-Identifier: Apache-2.0
// A TLS connection to a syslog receiver (RFC 5425): its certificate is verified
// against the roots and its name, and ours is shown when there is one. Blocking,
// every step within a limit; one thread.
#ifndef VLT_SHIPPER_SYSLOG_LINK_H
#define VLT_SHIPPER_SYSLOG_LINK_H

#include <openssl/ssl.h>

#include "libvault/base/bytes.h"
#include "libvault/base/fault.h"

// PEM texts, "" where there is none; no roots: the system's.
vlt_result syslog_link_context(const char *ca, const char *certificate, const char *key,
                               struct fault *fault, SSL_CTX **ret_context) VLT_MUST_USE;
// `target` is host:port, with an IPv6 address in brackets.
vlt_result syslog_link_open(SSL_CTX *context, const char *target, struct fault *fault,
                            SSL **ret_link) VLT_MUST_USE;
vlt_result syslog_link_write(SSL *link, struct bytes bytes, struct fault *fault) VLT_MUST_USE;
// Says goodbye and waits until the receiver has read everything and says goodbye,
// too, or ends the connection in good order. After that the link can only be freed.
vlt_result syslog_link_finish(SSL *link, struct fault *fault) VLT_MUST_USE;
void syslog_link_free(SSL *link); // NULL is fine

#endif
