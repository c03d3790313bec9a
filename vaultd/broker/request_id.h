// SPDX-License-Identifier: Apache-2.0
// Which request it is: one id in the entry of the audit log and in the answer, and of a
// token that is issued in the token (txn). The caller may bring its own, so that it finds
// its request again; it says nothing about who asked.
#ifndef VLT_BROKER_REQUEST_ID_H
#define VLT_BROKER_REQUEST_ID_H

#include "vaultd/net/http_server.h"

#define REQUEST_ID_SIZE 65 // 64 characters, as of a redeem, and a NUL

// The request's X-Request-ID when there is exactly one of 1 to 64 visible ASCII
// characters, else 16 random bytes as a text. Empty: there is no randomness.
void request_id_take(struct http_exchange *x, char id[REQUEST_ID_SIZE]);
// For an answer. Borrows the id.
struct http_header request_id_header(const char *id);

#endif
