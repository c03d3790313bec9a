// SPDX-License-Identifier: Apache-2.0
#include "libvault/tpm/boot.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "libvault/crypto/digest.h"
#include "libvault/crypto/pkey.h"

// Part 2, 6.3, 6.5.2, 6.4 and 8.3.
#define ALG_SHA256 0x000b
#define ALG_NULL 0x0010
#define ALG_ECDSA 0x0018
#define ALG_ECC 0x0023
#define CURVE_P256 0x0003
#define CC_POLICY_AUTHORIZE 0x16a
#define CC_POLICY_AUTH_VALUE 0x16b
#define CC_POLICY_OR 0x171
#define CC_POLICY_PCR 0x17f
#define OBJECT_USER_WITH_AUTH 0x40u
#define OBJECT_SIGN 0x40000u

#define PCRS_RESETTABLE (1u << 16 | 1u << 23)

vlt_result boot_pcrs_check(uint32_t pcrs, struct fault *fault) {
    if (!pcrs || pcrs >> BOOT_PCRS)
        return fault_set(fault, VLT_MALFORMED, "no such PCR", "name at least one PCR, from 0 to %d",
                         BOOT_PCRS - 1);
    if (pcrs & PCRS_RESETTABLE)
        return fault_set(fault, VLT_MALFORMED, "a PCR that anybody can reset",
                         "PCR 16 and PCR 23 can be reset and extended by any program: a key that "
                         "is bound to them is bound to nothing");
    return vlt_ok();
}

void boot_list(uint32_t pcrs, char text[BOOT_LIST_SIZE]) {
    size_t size = 0;
    (void)snprintf(text, BOOT_LIST_SIZE, "none");
    for (unsigned i = 0; i < BOOT_PCRS; i++)
        if (pcrs >> i & 1)
            size +=
                (size_t)snprintf(text + size, BOOT_LIST_SIZE - size, "%s%u", size ? "," : "", i);
}

uint32_t boot_difference(const struct boot_state *a, const struct boot_state *b) {
    uint32_t differing = a->pcrs ^ b->pcrs;
    for (unsigned i = 0; i < BOOT_PCRS; i++)
        if ((a->pcrs & b->pcrs) >> i & 1 && !bytes_equal(bytes_of(a->values[i], BOOT_PCR_BYTES),
                                                         bytes_of(b->values[i], BOOT_PCR_BYTES)))
            differing |= 1u << i;
    return differing;
}

// --- policies ---------------------------------------------------------------

// Part 1, 19.7: every policy command hashes the digest before it, its own code
// and what it is about.
static vlt_result boot_extend(const uint8_t before[BOOT_DIGEST_BYTES], uint32_t command,
                              struct bytes first, struct bytes second,
                              uint8_t ret_digest[BOOT_DIGEST_BYTES]) {
    uint8_t code[4] = {(uint8_t)(command >> 24), (uint8_t)(command >> 16), (uint8_t)(command >> 8),
                       (uint8_t)command};
    const struct bytes parts[] = {bytes_of(before, BOOT_DIGEST_BYTES), bytes_of(code, sizeof code),
                                  first, second};
    return digest_sha256_parts(parts, sizeof parts / sizeof *parts, ret_digest);
}

static const uint8_t boot_nothing[BOOT_DIGEST_BYTES];

vlt_result boot_state_policy(const struct boot_state *state,
                             uint8_t ret_digest[BOOT_DIGEST_BYTES]) {
    const uint8_t selection[] = {0,
                                 0,
                                 0,
                                 1,
                                 0,
                                 ALG_SHA256,
                                 3,
                                 (uint8_t)state->pcrs,
                                 (uint8_t)(state->pcrs >> 8),
                                 (uint8_t)(state->pcrs >> 16)};
    struct bytes values[BOOT_PCRS];
    size_t count = 0;
    uint8_t all[BOOT_DIGEST_BYTES];
    for (unsigned i = 0; i < BOOT_PCRS; i++)
        if (state->pcrs >> i & 1)
            values[count++] = bytes_of(state->values[i], BOOT_PCR_BYTES);
    VLT_TRY(digest_sha256_parts(values, count, all));
    return boot_extend(boot_nothing, CC_POLICY_PCR, bytes_of(selection, sizeof selection),
                       bytes_of(all, sizeof all), ret_digest);
}

void boot_approver_public(const uint8_t approver[BOOT_POINT_BYTES],
                          uint8_t ret_area[BOOT_APPROVER_PUBLIC_BYTES]) {
    struct wire_writer w;
    wire_writer_init(&w, ret_area, BOOT_APPROVER_PUBLIC_BYTES);
    wire_put_u16(&w, ALG_ECC);
    wire_put_u16(&w, ALG_SHA256);
    wire_put_u32(&w, OBJECT_USER_WITH_AUTH | OBJECT_SIGN);
    wire_put_u16(&w, 0); // no policy
    wire_put_u16(&w, ALG_NULL);
    wire_put_u16(&w, ALG_ECDSA);
    wire_put_u16(&w, ALG_SHA256);
    wire_put_u16(&w, CURVE_P256);
    wire_put_u16(&w, ALG_NULL);
    wire_put_u16(&w, 32);
    wire_put_raw(&w, bytes_of(approver + 1, 32));
    wire_put_u16(&w, 32);
    wire_put_raw(&w, bytes_of(approver + 33, 32));
}

vlt_result boot_approver_name(const uint8_t approver[BOOT_POINT_BYTES],
                              uint8_t ret_name[2 + BOOT_DIGEST_BYTES]) {
    uint8_t area[BOOT_APPROVER_PUBLIC_BYTES];
    boot_approver_public(approver, area);
    VLT_TRY(digest_sha256(bytes_of(area, sizeof area), ret_name + 2));
    ret_name[0] = 0;
    ret_name[1] = ALG_SHA256;
    return vlt_ok();
}

vlt_result boot_approver_policy(const uint8_t approver[BOOT_POINT_BYTES],
                                uint8_t ret_digest[BOOT_DIGEST_BYTES]) {
    uint8_t name[2 + BOOT_DIGEST_BYTES], named[BOOT_DIGEST_BYTES];
    VLT_TRY(boot_approver_name(approver, name));
    VLT_TRY(boot_extend(boot_nothing, CC_POLICY_AUTHORIZE, bytes_of(name, sizeof name),
                        bytes_of(NULL, 0), named));
    const struct bytes parts[] = {bytes_of(named, sizeof named), BYTES_LITERAL(BOOT_POLICY_REF)};
    return digest_sha256_parts(parts, 2, ret_digest);
}

vlt_result boot_key_policy(const struct boot_binding *binding,
                           uint8_t ret_digest[BOOT_DIGEST_BYTES]) {
    uint8_t created[BOOT_DIGEST_BYTES], approved[BOOT_DIGEST_BYTES], either[BOOT_DIGEST_BYTES];
    VLT_TRY(boot_state_policy(&binding->created, created));
    VLT_TRY(boot_approver_policy(binding->approver, approved));
    VLT_TRY(boot_extend(boot_nothing, CC_POLICY_OR, bytes_of(created, sizeof created),
                        bytes_of(approved, sizeof approved), either));
    return boot_extend(either, CC_POLICY_AUTH_VALUE, bytes_of(NULL, 0), bytes_of(NULL, 0),
                       ret_digest);
}

// --- approvals --------------------------------------------------------------

vlt_result boot_to_sign(const struct boot_state *state, uint8_t ret_message[BOOT_TO_SIGN_BYTES]) {
    VLT_TRY(boot_state_policy(state, ret_message));
    memcpy(ret_message + BOOT_DIGEST_BYTES, BOOT_POLICY_REF, sizeof BOOT_POLICY_REF - 1);
    return vlt_ok();
}

static int boot_signature_der(const uint8_t raw[BOOT_SIGNATURE_BYTES], uint8_t **ret_der) {
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, 32, NULL), *s = BN_bin2bn(raw + 32, 32, NULL);
    int size = 0;
    if (signature && r && s && ECDSA_SIG_set0(signature, r, s) == 1) {
        r = s = NULL; // owned by the signature
        size = i2d_ECDSA_SIG(signature, ret_der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(signature);
    return size;
}

vlt_result boot_signature_verify(const uint8_t point[BOOT_POINT_BYTES], struct bytes message,
                                 const uint8_t signature[BOOT_SIGNATURE_BYTES]) {
    uint8_t *der = NULL;
    EVP_PKEY *key = NULL;
    VLT_TRY(pkey_p256_public(point + 1, point + 33, &key));
    int size = boot_signature_der(signature, &der);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_right = context && size > 0 &&
                    EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                    EVP_DigestVerify(context, der, (size_t)size, message.at, message.size) == 1;
    EVP_MD_CTX_free(context);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    return is_right ? vlt_ok() : vlt_fail(VLT_CRYPTO, "the signature is not that key's");
}

vlt_result boot_approval_verify(const struct boot_approval *approval,
                                const uint8_t approver[BOOT_POINT_BYTES]) {
    uint8_t message[BOOT_TO_SIGN_BYTES];
    VLT_TRY(boot_to_sign(&approval->state, message));
    return boot_signature_verify(approver, bytes_of(message, sizeof message), approval->signature);
}

// --- in records -------------------------------------------------------------

void boot_state_put(struct wire_writer *w, const struct boot_state *state) {
    wire_put_u32(w, state->pcrs);
    for (unsigned i = 0; i < BOOT_PCRS; i++)
        if (state->pcrs >> i & 1)
            wire_put_raw(w, bytes_of(state->values[i], BOOT_PCR_BYTES));
}

void boot_state_get(struct wire_reader *r, struct boot_state *ret_state) {
    struct boot_state state = {.pcrs = wire_get_u32(r)};
    if (state.pcrs >> BOOT_PCRS)
        r->failed = true;
    for (unsigned i = 0; i < BOOT_PCRS && !r->failed; i++) {
        struct bytes value =
            state.pcrs >> i & 1 ? wire_get_raw(r, BOOT_PCR_BYTES) : bytes_of(NULL, 0);
        if (value.size)
            memcpy(state.values[i], value.at, value.size);
    }
    if (!r->failed)
        *ret_state = state;
}
