// SPDX-License-Identifier: Apache-2.0
// Inside of libvault/token: what holds for every text of a claim.
#ifndef VLT_TOKEN_TOKEN_TEXT_H
#define VLT_TOKEN_TOKEN_TEXT_H

#include "libvault/base/bytes.h"

// At most max bytes of UTF-8 without a NUL.
bool token_text_fits(struct bytes text, size_t max);
// The same for each, and none is empty.
bool token_texts_fit(const struct bytes *items, size_t count, size_t max);

#endif
