// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/digest.h"
#include "libvault/tpm/challenge.h"
#include "libvault/tpm/evidence.h"

// Part 2, 6.2 and 6.9.
#define ATTEST_MAGIC 0xff544347u
#define ATTEST_CERTIFY 0x8017
#define ATTEST_QUOTE 0x8018
#define ALG_SHA256 0x000b

vlt_result evidence_qualifier(const char *nonce, uint8_t ret_qualifier[BOOT_DIGEST_BYTES]) {
    static const char label[] = "vaultd attestation v1";
    const struct bytes parts[] = {bytes_of(label, sizeof label), bytes_of_text(nonce)};
    return digest_sha256_parts(parts, 2, ret_qualifier);
}

// --- statements -------------------------------------------------------------

static struct bytes attest_part(struct wire_reader *r) { // TPM2B
    uint16_t size = wire_get_u16(r);
    return wire_get_raw(r, size);
}

// Up to what is attested, which the reader is then at.
static bool attest_open(const struct evidence_statement *statement, uint16_t type,
                        const uint8_t qualifier[BOOT_DIGEST_BYTES], struct wire_reader *r) {
    wire_reader_init(r, bytes_of(statement->at, statement->size));
    bool is_said = wire_get_u32(r) == ATTEST_MAGIC;
    is_said &= wire_get_u16(r) == type;
    (void)attest_part(r); // who signs: the attestation key's own check says that
    is_said &= bytes_equal(attest_part(r), bytes_of(qualifier, BOOT_DIGEST_BYTES));
    (void)wire_get_raw(r, 8 + 4 + 4 + 1 + 8); // clock, resets, restarts, safe; firmware
    return is_said && !r->failed;
}

static bool certify_names(const struct evidence *evidence,
                          const uint8_t qualifier[BOOT_DIGEST_BYTES]) {
    struct wire_reader r;
    uint8_t name[AREA_NAME_BYTES];
    if (!attest_open(&evidence->certify, ATTEST_CERTIFY, qualifier, &r) ||
        !vlt_is_ok(area_name(&evidence->wrapping, name)))
        return false;
    struct bytes certified = attest_part(&r);
    (void)attest_part(&r); // the qualified name
    return vlt_is_ok(wire_reader_end(&r)) && bytes_equal(certified, bytes_of(name, sizeof name));
}

static bool quote_selects(struct wire_reader *r, uint32_t pcrs) {
    bool is_same = wire_get_u32(r) == 1;
    is_same &= wire_get_u16(r) == ALG_SHA256;
    uint8_t size = wire_get_u8(r);
    struct bytes selected = wire_get_raw(r, size);
    for (size_t i = 0; i < selected.size; i++)
        is_same &= selected.at[i] == (i < 3 ? (uint8_t)(pcrs >> (8 * i)) : 0);
    return is_same && size >= 3 && !r->failed;
}

static bool quote_holds(const struct evidence *evidence,
                        const uint8_t qualifier[BOOT_DIGEST_BYTES]) {
    struct wire_reader r;
    struct bytes values[BOOT_PCRS];
    uint8_t digest[DIGEST_SHA256_SIZE];
    size_t count = 0;
    for (unsigned i = 0; i < BOOT_PCRS; i++)
        if (evidence->quoted.pcrs >> i & 1)
            values[count++] = bytes_of(evidence->quoted.values[i], BOOT_PCR_BYTES);
    if (!attest_open(&evidence->quote, ATTEST_QUOTE, qualifier, &r) ||
        !quote_selects(&r, evidence->quoted.pcrs) ||
        !vlt_is_ok(digest_sha256_parts(values, count, digest)))
        return false;
    struct bytes quoted = attest_part(&r);
    return vlt_is_ok(wire_reader_end(&r)) && bytes_equal(quoted, bytes_of(digest, sizeof digest));
}

static bool statement_is_signed(const struct evidence_statement *statement,
                                const uint8_t point[BOOT_POINT_BYTES]) {
    return vlt_is_ok(boot_signature_verify(point, bytes_of(statement->at, statement->size),
                                           statement->signature));
}

static vlt_result refuse(struct fault *fault, const char *text) {
    return fault_set(fault, VLT_CRYPTO, "the evidence does not hold", "%s", text);
}

vlt_result evidence_verify_statements(const struct evidence *evidence, const char *nonce,
                                      struct fault *fault) {
    uint8_t qualifier[BOOT_DIGEST_BYTES], point[BOOT_POINT_BYTES], unused[BOOT_POINT_BYTES];
    VLT_TRY(evidence_qualifier(nonce, qualifier));
    vlt_result result = area_read_attestation(&evidence->attestation, point);
    if (vlt_is_ok(result))
        result = area_read_wrapping(&evidence->wrapping, &evidence->boot, unused);
    if (!vlt_is_ok(result))
        return refuse(fault, result.reason);
    if (!statement_is_signed(&evidence->certify, point) ||
        !statement_is_signed(&evidence->quote, point))
        return refuse(fault, "a statement is not signed by the attestation key: the evidence was "
                             "altered");
    if (!certify_names(evidence, qualifier))
        return refuse(fault, "what the TPM certified is not this wrapping key with this nonce: the "
                             "evidence is old, of another key, or the nonce is another one");
    if (!quote_holds(evidence, qualifier))
        return refuse(fault, "what the TPM quoted is not these PCR values with this nonce");
    return vlt_ok();
}

// --- the attestation key and the endorsement key ----------------------------

vlt_result evidence_verify_binding(const struct evidence *evidence, const char *nonce,
                                   const uint8_t *known, struct fault *fault) {
    uint8_t name[AREA_NAME_BYTES];
    VLT_TRY(area_name(&evidence->attestation, name));
    if (known)
        return bytes_equal(bytes_of(name, sizeof name), bytes_of(known, AREA_NAME_BYTES))
                   ? vlt_ok()
                   : refuse(fault, "the attestation key is another one than the one you know");
    vlt_result result =
        challenge_nonce_check(nonce, &evidence->endorsement, &evidence->attestation);
    if (result.class == VLT_DENIED)
        return fault_set(fault, VLT_DENIED, "the attestation key is not proven",
                         "it is not proven that the attestation key is in the TPM of the "
                         "endorsement certificate: make a challenge (--challenge), or name the "
                         "attestation key that you know from one (--attestation-key)");
    return vlt_is_ok(result) ? result : refuse(fault, result.reason);
}
