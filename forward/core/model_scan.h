// SPDX-License-Identifier: Apache-2.0
// Finds the model (the MCP tool, the limit of tokens) in a JSON body that arrives in pieces,
// without keeping the body: fixed memory, one pass, every byte checked against
// the grammar of RFC 8259.
//
// What the vault decides on must be what the provider acts on. So every body
// that two parsers could read in two ways is refused: a watched member that
// comes twice, differs in case only (Go matches names without case, beyond ASCII
// too: U+017F is an "s"), or is spelled with escapes; a body that is not one JSON
// object, or goes on after it; broken UTF-8; more than MODEL_SCAN_DEPTH levels.
//
// Caller: the nginx module. Not thread-safe, no allocation, returns only.
#ifndef VLT_FORWARD_MODEL_SCAN_H
#define VLT_FORWARD_MODEL_SCAN_H

#include "forward/core/limit_scan.h"
#include "forward/core/utf8_step.h"
#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

#define MODEL_SCAN_DEPTH 128    // deeper is refused
#define MODEL_SCAN_TEXT_MAX 128 // longest model or tool
#define MODEL_SCAN_CAPTURES 3

struct model_scan_capture {
    struct bytes parent, member; // no parent: a member of the top object
    bool is_seen, is_found, parent_is_seen;
    size_t size;
    uint8_t text[MODEL_SCAN_TEXT_MAX]; // what lies beyond `size` was never written
};

struct model_scan {
    // What is read now; inside of model_scan.c.
    uint8_t state, number, hex_left;
    struct utf8_step utf8;
    const char *word;
    bool is_key, is_kept, key_is_escaped, key_is_parent;
    bool key_is_variant; // had a letter beyond ASCII that some readers take for one of ASCII
    unsigned depth;
    uint8_t is_object[MODEL_SCAN_DEPTH / 8 + 1];
    uint8_t key[64]; // of the current watched level; longer names are not watched
    size_t key_size;
    bool parent_is_open;                // the watched object, at depth 2
    struct model_scan_capture *pending; // its value comes next, or is being read
    bool wants_tool;
    struct limit_scan limit;
    vlt_result result; // failure sticks
    unsigned capture_count;
    struct model_scan_capture captures[MODEL_SCAN_CAPTURES]; // so many are used
};

// `member`: name of the top-level member that holds the model (borrowed, at
// most 63 bytes), or NULL; wants_tool: JSON-RPC tools/call, params.name.
void model_scan_init(struct model_scan *scan, const char *member, bool wants_tool);
// After init: finds this limit as well (borrowed; NULL: none).
void model_scan_count(struct model_scan *scan, const struct profile_limit *limit);
// Any split of the body gives the same answer. VLT_MALFORMED or VLT_LIMIT; the
// reason may be shown to the client.
vlt_result model_scan_feed(struct model_scan *scan, struct bytes piece) VLT_MUST_USE;
// After the last piece: was it one whole object?
vlt_result model_scan_end(struct model_scan *scan) VLT_MUST_USE;
// Empty when the body has none. Borrowed from the scan.
struct bytes model_scan_model(const struct model_scan *scan);
struct bytes model_scan_tool(const struct model_scan *scan);
uint64_t model_scan_max_tokens(const struct model_scan *scan); // 0: the body says no limit

#endif
