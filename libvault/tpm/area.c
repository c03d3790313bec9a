// SPDX-License-Identifier: Apache-2.0
#include "libvault/tpm/area.h"

#include "libvault/crypto/digest.h"
#include "libvault/crypto/pkey.h"

// Part 2, 6.3 (algorithms), 6.4 (curves), 8.3 (attributes).
#define ALG_RSA 0x0001
#define ALG_AES 0x0006
#define ALG_SHA256 0x000b
#define ALG_NULL 0x0010
#define ALG_ECDSA 0x0018
#define ALG_ECDH 0x0019
#define ALG_ECC 0x0023
#define ALG_CFB 0x0043
#define CURVE_P256 0x0003
#define FIXED_TPM 0x2u
#define FIXED_PARENT 0x10u
#define SENSITIVE_DATA_ORIGIN 0x20u
#define USER_WITH_AUTH 0x40u
#define ADMIN_WITH_POLICY 0x80u
#define NO_DA 0x400u
#define RESTRICTED 0x10000u
#define DECRYPT 0x20000u
#define SIGN 0x40000u
#define FIXED (FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN)

// PolicySecret(TPM_RH_ENDORSEMENT): policy A of the profile, B.6.2.
static const uint8_t endorsement_policy[BOOT_DIGEST_BYTES] = {
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};

// --- writing ----------------------------------------------------------------

static void area_begin(struct wire_writer *w, struct area *area, uint16_t type, uint32_t attributes,
                       struct bytes policy) {
    wire_writer_init(w, area->at, sizeof area->at);
    wire_put_u16(w, type);
    wire_put_u16(w, ALG_SHA256);
    wire_put_u32(w, attributes);
    wire_put_u16(w, (uint16_t)policy.size);
    wire_put_raw(w, policy);
}

static void area_put_part(struct wire_writer *w, const uint8_t *at, size_t size) {
    wire_put_u16(w, at ? (uint16_t)size : 0);
    wire_put_raw(w, bytes_of(at, at ? size : 0));
}

static void area_put_point(struct wire_writer *w, const uint8_t *point) {
    area_put_part(w, point ? point + 1 : NULL, 32);
    area_put_part(w, point ? point + 33 : NULL, 32);
}

static void area_put_curve(struct wire_writer *w, uint16_t scheme) {
    wire_put_u16(w, scheme);
    if (scheme != ALG_NULL)
        wire_put_u16(w, ALG_SHA256);
    wire_put_u16(w, CURVE_P256);
    wire_put_u16(w, ALG_NULL); // no KDF
}

void area_of_attestation(const uint8_t *point, struct area *ret_area) {
    struct wire_writer w;
    area_begin(&w, ret_area, ALG_ECC, FIXED | USER_WITH_AUTH | NO_DA | RESTRICTED | SIGN,
               bytes_of(NULL, 0));
    wire_put_u16(&w, ALG_NULL);
    area_put_curve(&w, ALG_ECDSA);
    area_put_point(&w, point);
    ret_area->size = w.size;
}

void area_of_endorsement(enum area_endorsement kind, const uint8_t *unique, struct area *ret_area) {
    static const uint8_t zero[AREA_RSA_BYTES]; // as the profile wants it for making the key
    struct wire_writer w;
    area_begin(&w, ret_area, kind == AREA_EK_RSA ? ALG_RSA : ALG_ECC,
               FIXED | ADMIN_WITH_POLICY | RESTRICTED | DECRYPT,
               bytes_of(endorsement_policy, sizeof endorsement_policy));
    wire_put_u16(&w, ALG_AES);
    wire_put_u16(&w, 128);
    wire_put_u16(&w, ALG_CFB);
    if (kind == AREA_EK_RSA) {
        wire_put_u16(&w, ALG_NULL); // no scheme
        wire_put_u16(&w, AREA_RSA_BYTES * 8);
        wire_put_u32(&w, 0); // the default exponent, 65537
        area_put_part(&w, unique ? unique : zero, AREA_RSA_BYTES);
    } else {
        area_put_curve(&w, ALG_NULL);
        area_put_point(&w, unique ? unique : zero);
    }
    ret_area->size = w.size;
}

vlt_result area_of_wrapping(const struct boot_binding *boot, const uint8_t *point,
                            struct area *ret_area) {
    uint8_t policy[BOOT_DIGEST_BYTES];
    struct wire_writer w;
    bool is_bound = boot && boot->created.pcrs;
    if (is_bound)
        VLT_TRY(boot_key_policy(boot, policy));
    area_begin(&w, ret_area, ALG_ECC, FIXED | NO_DA | DECRYPT | (is_bound ? 0 : USER_WITH_AUTH),
               bytes_of(policy, is_bound ? sizeof policy : 0));
    wire_put_u16(&w, ALG_NULL);
    area_put_curve(&w, ALG_ECDH);
    area_put_point(&w, point);
    ret_area->size = w.size;
    return vlt_ok();
}

// --- reading ----------------------------------------------------------------

// One coordinate; TPMs may drop its leading zeros.
static void area_get_coordinate(struct wire_reader *r, uint8_t coordinate[32]) {
    uint16_t size = wire_get_u16(r);
    if (size > 32)
        r->failed = true;
    struct bytes part = wire_get_raw(r, size);
    memset(coordinate, 0, 32);
    if (part.size)
        memcpy(coordinate + 32 - part.size, part.at, part.size);
}

// Is the area the template's up to its unique field, and that field a point?
static bool area_read_point(const struct area *area, const struct area *template,
                            size_t unique_bytes, uint8_t ret_point[BOOT_POINT_BYTES]) {
    size_t head_bytes = template->size - unique_bytes;
    uint8_t point[BOOT_POINT_BYTES] = {0x04};
    EVP_PKEY *key = NULL;
    if (area->size > sizeof area->at || area->size < head_bytes ||
        !bytes_equal(bytes_of(area->at, head_bytes), bytes_of(template->at, head_bytes)))
        return false;
    struct wire_reader r;
    wire_reader_init(&r, bytes_of(area->at + head_bytes, area->size - head_bytes));
    area_get_coordinate(&r, point + 1);
    area_get_coordinate(&r, point + 33);
    bool is_point =
        vlt_is_ok(wire_reader_end(&r)) && vlt_is_ok(pkey_p256_public(point + 1, point + 33, &key));
    EVP_PKEY_free(key);
    if (is_point)
        memcpy(ret_point, point, sizeof point);
    return is_point;
}

#define EMPTY_POINT_BYTES 4
#define ZERO_POINT_BYTES (2 * (2 + 32))

vlt_result area_read_attestation(const struct area *area, uint8_t ret_point[BOOT_POINT_BYTES]) {
    struct area template;
    area_of_attestation(NULL, &template);
    return area_read_point(area, &template, EMPTY_POINT_BYTES, ret_point)
               ? vlt_ok()
               : vlt_fail(VLT_CRYPTO, "the attestation key is not a restricted signing key of a "
                                      "TPM");
}

vlt_result area_read_wrapping(const struct area *area, const struct boot_binding *boot,
                              uint8_t ret_point[BOOT_POINT_BYTES]) {
    struct area template;
    VLT_TRY(area_of_wrapping(boot, NULL, &template));
    return area_read_point(area, &template, EMPTY_POINT_BYTES, ret_point)
               ? vlt_ok()
               : vlt_fail(VLT_CRYPTO, "the wrapping key is not one that cannot leave its TPM, or "
                                      "it is bound in another way than the evidence says");
}

vlt_result area_read_endorsement(const struct area *area, enum area_endorsement *ret_kind,
                                 uint8_t ret_unique[AREA_RSA_BYTES]) {
    struct area template;
    area_of_endorsement(AREA_EK_RSA, NULL, &template);
    size_t head_bytes = template.size - AREA_RSA_BYTES;
    if (area->size == template.size &&
        bytes_equal(bytes_of(area->at, head_bytes), bytes_of(template.at, head_bytes))) {
        memcpy(ret_unique, area->at + head_bytes, AREA_RSA_BYTES);
        *ret_kind = AREA_EK_RSA;
        return vlt_ok();
    }
    area_of_endorsement(AREA_EK_ECC, NULL, &template);
    if (area_read_point(area, &template, ZERO_POINT_BYTES, ret_unique)) {
        *ret_kind = AREA_EK_ECC;
        return vlt_ok();
    }
    return vlt_fail(VLT_CRYPTO, "the endorsement key is not of the TCG's template L-1 or L-2");
}

vlt_result area_name(const struct area *area, uint8_t ret_name[AREA_NAME_BYTES]) {
    VLT_TRY(digest_sha256(bytes_of(area->at, area->size), ret_name + 2));
    ret_name[0] = 0;
    ret_name[1] = ALG_SHA256;
    return vlt_ok();
}
