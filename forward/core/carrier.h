// SPDX-License-Identifier: Apache-2.0
// Where clients put keys, and what our tokens look like. A forwarder takes
// every carrier out of a request, so that neither a token nor a client's own
// key reaches a provider.
#ifndef VLT_FORWARD_CARRIER_H
#define VLT_FORWARD_CARRIER_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

#define CARRIER_TOKEN_MAX 8192 // bytes of a token or of a DPoP proof

// Headers in which SDKs send a key; lower case.
#define CARRIER_WELL_KNOWN_COUNT 4
extern const struct bytes carrier_well_known[CARRIER_WELL_KNOWN_COUNT];
// Other headers that must never go upstream: dpop, proxy-authorization, overrides of method and
// path, headers of one connection; lower case.
#define CARRIER_STRIPPED_COUNT 11
extern const struct bytes carrier_stripped[CARRIER_STRIPPED_COUNT];
// Is `name` (any case) in one of the two lists?
bool carrier_is_among_stripped(struct bytes name);
bool carrier_is_among_well_known(struct bytes name);
// The lengths that the names of both lists have, by their first letter: nearly every other header
// is told apart by that, without a call. A test walks the lists (test_forward_request.c).
static inline bool carrier_may_be(struct bytes name) {
#define SIZE(n) (UINT32_C(1) << (n))
    static const uint32_t sizes[32] = {
        ['a' & 31] = SIZE(7) | SIZE(13),
        ['d' & 31] = SIZE(4),
        ['h' & 31] = SIZE(14),
        ['k' & 31] = SIZE(10),
        ['p' & 31] = SIZE(16) | SIZE(19),
        ['t' & 31] = SIZE(2),
        ['x' & 31] = SIZE(9) | SIZE(13) | SIZE(14) | SIZE(17) | SIZE(22),
    };
#undef SIZE
    return name.size && name.size < 32 && (sizes[name.at[0] & 31] >> name.size & 1);
}
static inline bool carrier_is_stripped(struct bytes name) {
    return carrier_may_be(name) && carrier_is_among_stripped(name);
}
static inline bool carrier_is_well_known(struct bytes name) {
    return carrier_may_be(name) && carrier_is_among_well_known(name);
}

enum carrier_scheme { CARRIER_BEARER, CARRIER_DPOP };

// Does it have the shape of our token: a compact JWS (RFC 7515 section 3.1)
// whose header is a JSON object? A provider's key never has.
bool carrier_is_token(struct bytes text);

// The token in the value of an Authorization header (RFC 6750 section 2.1, RFC
// 9449 section 7.1, RFC 7617: the password). Basic is decoded into `room` (at
// least value.size bytes; may be NULL where the second letter is no "a"). VLT_MALFORMED: not one of
// these schemes.
vlt_result carrier_authorization(struct bytes value, uint8_t *room, struct bytes *ret_token,
                                 enum carrier_scheme *ret_scheme) VLT_MUST_USE;

// Takes the element that begins with `prefix` out of a comma-separated list
// (Sec-WebSocket-Protocol, RFC 6455 section 11.3.4). Writes the rest to `left`
// (list.size bytes) and views the part after the prefix. False: no such element.
bool carrier_take_element(struct bytes list, const char *prefix, uint8_t *left,
                          size_t *ret_left_size, struct bytes *ret_token);

// Is `name` (any case) an element of a comma-separated list of names
// (Connection, RFC 9110 section 7.6.1)?
bool carrier_list_has(struct bytes list, struct bytes name);

// The value of the query parameter `name`, as it stands in the query. *ret_count
// says how often it occurs (names are compared after percent-decoding).
bool carrier_in_query(struct bytes query, const char *name, struct bytes *ret_value,
                      unsigned *ret_count);
// Is the name of this query parameter ("k%65y") the given name?
bool carrier_query_name_is(struct bytes parameter, struct bytes name);

#endif
