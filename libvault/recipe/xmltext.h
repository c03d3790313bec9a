// SPDX-License-Identifier: Apache-2.0
// The little XML that query APIs answer with: elements and text, nothing that
// expands. A document type, CDATA, processing instructions beyond the XML
// declaration, and references beyond the five of XML 1.0 section 4.6 and plain
// character numbers are refused; attributes and comments are passed over.
#ifndef VLT_RECIPE_XMLTEXT_H
#define VLT_RECIPE_XMLTEXT_H

#include <jansson.h>

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

#define XMLTEXT_DEPTH_MAX 16

// <a><b>x</b><c><d>1</d><d>2</d></c></a> becomes {"a":{"b":"x","c":{"d":["1","2"]}}}:
// a name that repeats becomes an array, an element without elements its text. The
// caller owns *ret_root. VLT_MALFORMED, VLT_LIMIT (depth), VLT_UNAVAILABLE.
vlt_result xmltext_parse(struct bytes text, json_t **ret_root) VLT_MUST_USE;

#endif
