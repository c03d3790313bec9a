// SPDX-License-Identifier: Apache-2.0
// Inside of libvault/base: jansson's tree of a text that jsontext_check has accepted
// with the same limits.
//
// Built here and not by jansson's parser, which would read the text a second time,
// byte by byte, by rules of its own: what was checked is what is built.
#ifndef VLT_BASE_JSONTEXT_TREE_H
#define VLT_BASE_JSONTEXT_TREE_H

#include "libvault/base/jsontext.h"

// Jansson's allocator is used for everything, so that a program which has set one that
// wipes leaves nothing behind. NULL: *ret_wrong says what is wrong at *ret_at; or is NULL,
// then there is no memory.
json_t *jsontext_tree(struct bytes text, const struct jsontext_limits *limits,
                      const char **ret_wrong, size_t *ret_at);

#endif
