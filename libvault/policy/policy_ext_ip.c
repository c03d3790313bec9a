// SPDX-License-Identifier: Apache-2.0
// ipaddr: an IPv4 or IPv6 address with a prefix length. The text is as strict
// as RFC 4291 and the specification together: no leading zeros in octets or
// prefixes, no dotted tail in IPv6, at most four digits in a group.
#include "libvault/policy/policy_ext.h"

#include "libvault/base/hex.h"

// "ABCD:EF01:2345:6789:ABCD:EF01:2345:6789/128"
#define IP_TEXT_MAX_BYTES 43

static vlt_result malformed(void) {
    return vlt_fail(VLT_MALFORMED, "not an IP address or range");
}

// Up to three digits without a leading zero; false when it is more than max.
static bool parse_small(struct bytes text, unsigned max, size_t *at, unsigned *ret_value) {
    size_t begin = *at;
    unsigned value = 0;
    while (*at < text.size && text.at[*at] >= '0' && text.at[*at] <= '9' && *at - begin < 3)
        value = value * 10 + (text.at[(*at)++] - '0');
    if (*at == begin || (text.at[begin] == '0' && *at - begin > 1) || value > max)
        return false;
    *ret_value = value;
    return true;
}

static bool parse_v4(struct bytes text, uint8_t address[16]) {
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        unsigned octet;
        if (i > 0 && (at >= text.size || text.at[at++] != '.'))
            return false;
        if (!parse_small(text, 255, &at, &octet))
            return false;
        address[i] = (uint8_t)octet;
    }
    return at == text.size;
}

// Groups from *at on into `groups`; stops before "::" and at the end.
static bool parse_groups(struct bytes text, size_t *at, uint16_t *groups, size_t max,
                         size_t *ret_count) {
    size_t count = 0;
    while (*at < text.size && text.at[*at] != ':') {
        unsigned value = 0, digits = 0;
        if (count == max)
            return false;
        for (; *at < text.size && hex_value(text.at[*at]) >= 0; (*at)++, digits++)
            value = (value << 4 | (unsigned)hex_value(text.at[*at])) & 0xfffff;
        if (digits == 0 || digits > 4)
            return false;
        groups[count++] = (uint16_t)value;
        if (*at == text.size ||
            (*at + 1 < text.size && text.at[*at] == ':' && text.at[*at + 1] == ':'))
            break;
        if (text.at[(*at)++] != ':' || *at == text.size)
            return false;
    }
    *ret_count = count;
    return true;
}

static bool parse_v6(struct bytes text, uint8_t address[16]) {
    uint16_t head[8] = {0}, tail[8] = {0};
    size_t at = 0, heads = 0, tails = 0;
    if (!parse_groups(text, &at, head, 8, &heads))
        return false;
    if (at < text.size) {
        // "::" stands for at least one group of zeros.
        if (text.size - at < 2 || text.at[at] != ':' || text.at[at + 1] != ':')
            return false;
        at += 2;
        if (!parse_groups(text, &at, tail, 8, &tails) || at != text.size || heads + tails > 7)
            return false;
    } else if (heads != 8) {
        return false;
    }
    for (size_t i = 0; i < tails; i++)
        head[8 - tails + i] = tail[i];
    for (size_t i = 0; i < 8; i++) {
        address[2 * i] = (uint8_t)(head[i] >> 8);
        address[2 * i + 1] = (uint8_t)head[i];
    }
    return true;
}

vlt_result policy_ip_parse(struct bytes text, struct policy_ip *ret_ip) {
    struct policy_ip ip = {.prefix = 32};
    if (text.size > IP_TEXT_MAX_BYTES)
        return malformed();
    size_t slash = bytes_find(text, '/');
    struct bytes address = bytes_of(text.at, slash);
    if (!parse_v4(address, ip.address)) {
        if (!parse_v6(address, ip.address))
            return malformed();
        ip.is_v6 = true;
        ip.prefix = 128;
    }
    if (slash < text.size) {
        unsigned prefix;
        size_t at = slash + 1;
        if (!parse_small(text, ip.prefix, &at, &prefix) || at != text.size)
            return malformed();
        ip.prefix = (uint8_t)prefix;
    }
    *ret_ip = ip;
    return vlt_ok();
}

static vlt_result want_ip(const struct policy_value *value) {
    if (value->kind != POLICY_IP)
        return vlt_fail(VLT_MALFORMED, "expected an ipaddr");
    return vlt_ok();
}

vlt_result policy_ext_ip(const struct policy_value *arguments, struct policy_arena *arena,
                         struct policy_value *ret_value) {
    if (arguments->kind != POLICY_STRING)
        return vlt_fail(VLT_MALFORMED, "ip() takes a string");
    struct policy_ip ip;
    VLT_TRY(policy_ip_parse(arguments->string, &ip));
    struct policy_ip *kept = policy_arena_take(arena, sizeof *kept);
    if (!kept)
        return vlt_fail(VLT_LIMIT, "no memory left for the evaluation");
    *kept = ip;
    *ret_value = (struct policy_value){.kind = POLICY_IP, .ip = kept};
    return vlt_ok();
}

vlt_result policy_ext_is_ipv4(const struct policy_value *arguments, struct policy_arena *arena,
                              struct policy_value *ret_value) {
    VLT_TRY(want_ip(arguments));
    *ret_value = policy_value_bool(!arguments->ip->is_v6);
    return vlt_ok();
}

vlt_result policy_ext_is_ipv6(const struct policy_value *arguments, struct policy_arena *arena,
                              struct policy_value *ret_value) {
    VLT_TRY(want_ip(arguments));
    *ret_value = policy_value_bool(arguments->ip->is_v6);
    return vlt_ok();
}

// A range has a property when every address of it has.
vlt_result policy_ext_is_loopback(const struct policy_value *arguments, struct policy_arena *arena,
                                  struct policy_value *ret_value) {
    static const uint8_t one[16] = {[15] = 1}; // ::1
    VLT_TRY(want_ip(arguments));
    const struct policy_ip *ip = arguments->ip;
    bool is = ip->is_v6
                  ? ip->prefix == 128 && bytes_equal(bytes_of(ip->address, 16), bytes_of(one, 16))
                  : ip->address[0] == 127 && ip->prefix >= 8;
    *ret_value = policy_value_bool(is);
    return vlt_ok();
}

vlt_result policy_ext_is_multicast(const struct policy_value *arguments, struct policy_arena *arena,
                                   struct policy_value *ret_value) {
    VLT_TRY(want_ip(arguments));
    const struct policy_ip *ip = arguments->ip;
    bool is = ip->is_v6 ? ip->address[0] == 0xff && ip->prefix >= 8
                        : (ip->address[0] & 0xf0) == 0xe0 && ip->prefix >= 4;
    *ret_value = policy_value_bool(is);
    return vlt_ok();
}

static bool same_network(const struct policy_ip *a, const struct policy_ip *b, unsigned bits) {
    for (unsigned i = 0; i < bits; i += 8) {
        uint8_t mask = bits - i >= 8 ? 0xff : (uint8_t)(0xff << (8 - (bits - i)));
        if ((a->address[i / 8] ^ b->address[i / 8]) & mask)
            return false;
    }
    return true;
}

vlt_result policy_ext_is_in_range(const struct policy_value *arguments, struct policy_arena *arena,
                                  struct policy_value *ret_value) {
    VLT_TRY(want_ip(&arguments[0]));
    VLT_TRY(want_ip(&arguments[1]));
    const struct policy_ip *ip = arguments[0].ip, *range = arguments[1].ip;
    *ret_value = policy_value_bool(ip->is_v6 == range->is_v6 && ip->prefix >= range->prefix &&
                                   same_network(ip, range, range->prefix));
    return vlt_ok();
}
