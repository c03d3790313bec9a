// SPDX-License-Identifier: Apache-2.0
// Policy text to tokens. White space is Unicode's, comments run from // to the
// end of the line.
#ifndef VLT_POLICY_POLICY_LEX_H
#define VLT_POLICY_POLICY_LEX_H

#include "libvault/base/bytes.h"

enum policy_token_kind {
    POLICY_TOKEN_END,
    POLICY_TOKEN_WRONG,  // no token begins here: text is the character
    POLICY_TOKEN_NAME,   // identifiers and keywords
    POLICY_TOKEN_NUMBER, // digits
    POLICY_TOKEN_STRING, // text without the quotes, escapes not undone
    POLICY_TOKEN_SLOT,   // ?name
    POLICY_TOKEN_SIGN,   // one or two characters of punctuation
};

struct policy_token {
    enum policy_token_kind kind;
    struct bytes text; // borrowed from the source
    uint32_t line, column;
};

struct policy_lexer {
    struct bytes source;
    size_t at;
    uint32_t line, column; // of `at`
};

// `source` must be UTF-8.
void policy_lexer_init(struct policy_lexer *lexer, struct bytes source);
// The end repeats.
struct policy_token policy_lexer_next(struct policy_lexer *lexer);

#endif
