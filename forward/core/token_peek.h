// SPDX-License-Identifier: Apache-2.0
// What a token says about itself, unverified: to know which facts the vault will
// want, never to decide.
#ifndef VLT_FORWARD_TOKEN_PEEK_H
#define VLT_FORWARD_TOKEN_PEEK_H

#include "libvault/base/bytes.h"

// Does some part of the token have max_tokens? The vault writes its claims in one
// spelling (RFC 8785), so a search of the text is enough. False for what is no token.
bool token_peek_has_limit(struct bytes token);

#endif
