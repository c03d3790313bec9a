// SPDX-License-Identifier: Apache-2.0
// What hsm/ reads and writes without a device: key records, blobs, HPKE.
#include <stdio.h>
#include <stdlib.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "hsm/record.h"
#include "hsm/tpm/hpke.h"
#include "libvault/base/hex.h"
#include "tests/unit/check.h"

// --- records ----------------------------------------------------------------

static struct hsm_record sample_tpm(void) {
    struct hsm_record r = {.kind = HSM_TPM, .mechanism = HSM_MECHANISM_ECDH, .generation = 7};
    memset(r.id, 0x11, sizeof r.id);
    r.of.tpm.public_bytes = 90;
    r.of.tpm.private_bytes = 200;
    memset(r.of.tpm.public_area, 0x22, 90);
    memset(r.of.tpm.private_area, 0x33, 200);
    memset(r.of.tpm.primary_name, 0x44, sizeof r.of.tpm.primary_name);
    return r;
}

static struct hsm_record sample_bound(void) {
    struct hsm_record r = sample_tpm();
    struct boot_binding *boot = &r.of.tpm.boot;
    boot->created.pcrs = 0x0291;
    for (unsigned i = 0; i < BOOT_PCRS; i++)
        if (boot->created.pcrs >> i & 1)
            memset(boot->created.values[i], (int)i, BOOT_PCR_BYTES);
    memset(boot->approver, 0x04, sizeof boot->approver);
    return r;
}

static struct hsm_record sample_p11(void) {
    struct hsm_record r = {.kind = HSM_PKCS11, .mechanism = HSM_MECHANISM_GCM, .generation = 1};
    struct record_p11 *p = &r.of.p11;
    snprintf(p->object, sizeof p->object, "vaultd");
    snprintf(p->label, sizeof p->label, "a device");
    snprintf(p->manufacturer, sizeof p->manufacturer, "its maker");
    snprintf(p->serial, sizeof p->serial, "0815");
    p->check_bytes = 78;
    memset(p->check, 0x55, 78);
    return r;
}

static struct hsm_key encoded(const struct hsm_record *record) {
    struct hsm_key key;
    assert_true(vlt_is_ok(hsm_record_encode(record, &key)));
    return key;
}

static bool decodes(const void *at, size_t size) {
    struct hsm_record record;
    return vlt_is_ok(hsm_record_decode(bytes_of(at, size), &record));
}

static void record_accepts_what_it_wrote(void **state) {
    const struct hsm_record samples[] = {sample_tpm(), sample_p11(), sample_bound()};
    for (size_t i = 0; i < 3; i++) {
        struct hsm_key key = encoded(&samples[i]);
        struct hsm_record back;
        assert_true(vlt_is_ok(hsm_record_decode(bytes_of(key.at, key.size), &back)));
        struct hsm_key again = encoded(&back);
        assert_int_equal(again.size, key.size);
        assert_memory_equal(again.at, key.at, key.size);
    }
}

static void record_rejects_what_cannot_be(void **state) {
    struct hsm_key key = encoded(
        &(struct hsm_record){.kind = HSM_TPM, .mechanism = HSM_MECHANISM_GCM, .generation = 1});
    assert_false(decodes(key.at, key.size)); // a TPM does no GCM
    struct hsm_record r = sample_p11();
    r.generation = 0;
    key = encoded(&r);
    assert_false(decodes(key.at, key.size));
    r = sample_p11();
    r.of.p11.check_bytes = 0;
    key = encoded(&r);
    assert_false(decodes(key.at, key.size));
    key = encoded(&(struct hsm_record){.kind = 9, .mechanism = HSM_MECHANISM_GCM, .generation = 1});
    assert_false(decodes(key.at, key.size));
    r = sample_tpm();
    key = encoded(&r);
    key.at[0] = 2; // of a key that is bound, but it has no binding
    assert_false(decodes(key.at, key.size));
    key.at[0] = 3; // a later version
    assert_false(decodes(key.at, key.size));
    r = sample_bound();
    r.of.tpm.boot.created.pcrs |= 1u << 16; // a PCR that anybody can reset
    key = encoded(&r);
    assert_false(decodes(key.at, key.size));
    r = sample_bound();
    r.of.tpm.boot.created.pcrs = 0xffffffu & ~(1u << 16 | 1u << 23); // all there are: it fits
    r.of.tpm.public_bytes = 130;
    r.of.tpm.private_bytes = 300;
    key = encoded(&r);
    assert_true(decodes(key.at, key.size));
}

// Whatever decodes must encode to the same bytes: no record has two spellings.
static void record_survives_mutation(void **state) {
    const struct hsm_record samples[] = {sample_tpm(), sample_p11(), sample_bound()};
    for (size_t s = 0; s < 3; s++) {
        const struct hsm_key key = encoded(&samples[s]);
        for (size_t size = 0; size < key.size; size++)
            assert_false(decodes(key.at, size));
        uint8_t more[HSM_KEY_MAX_BYTES + 1] = {0};
        memcpy(more, key.at, key.size);
        assert_false(decodes(more, key.size + 1));
        assert_false(decodes(more, sizeof more));
        for (size_t i = 0; i < key.size * 8; i++) {
            struct hsm_key bad = key;
            bad.at[i / 8] ^= (uint8_t)(1 << i % 8);
            struct hsm_record record;
            if (!vlt_is_ok(hsm_record_decode(bytes_of(bad.at, bad.size), &record)))
                continue;
            struct hsm_key again = encoded(&record);
            assert_int_equal(again.size, bad.size);
            assert_memory_equal(again.at, bad.at, bad.size);
        }
    }
}

static void counter_survives_mutation(void **state) {
    const struct record_counter samples[] = {{.kind = HSM_TPM, .index = RECORD_INDEX_LAST},
                                             {.kind = HSM_PKCS11, .id = {1, 2, 3}}};
    struct record_counter back;
    for (size_t s = 0; s < 2; s++) {
        struct hsm_counter counter, again;
        assert_true(vlt_is_ok(record_counter_encode(&samples[s], &counter)));
        for (size_t size = 0; size < counter.size; size++)
            assert_false(vlt_is_ok(record_counter_decode(bytes_of(counter.at, size), &back)));
        assert_false(
            vlt_is_ok(record_counter_decode(bytes_of(counter.at, counter.size + 1), &back)));
        for (size_t i = 0; i < counter.size * 8; i++) {
            struct hsm_counter bad = counter;
            bad.at[i / 8] ^= (uint8_t)(1 << i % 8);
            if (!vlt_is_ok(record_counter_decode(bytes_of(bad.at, bad.size), &back)))
                continue;
            assert_true(vlt_is_ok(record_counter_encode(&back, &again)));
            assert_int_equal(again.size, bad.size);
            assert_memory_equal(again.at, bad.at, bad.size);
        }
    }
    const struct record_counter outside = {.kind = HSM_TPM, .index = RECORD_INDEX_LAST + 1};
    struct hsm_counter counter;
    assert_true(vlt_is_ok(record_counter_encode(&outside, &counter)));
    assert_false(vlt_is_ok(record_counter_decode(bytes_of(counter.at, counter.size), &back)));
}

static void blob_survives_mutation(void **state) {
    const struct hsm_record record = sample_p11();
    uint8_t blob[HSM_BLOB_MAX_BYTES + 1] = {0};
    struct record_blob decoded;
    record_blob_header(&record, blob);
    for (size_t size = 0; size <= sizeof blob; size++) {
        bool ok = vlt_is_ok(record_blob_decode(bytes_of(blob, size), &decoded));
        assert_int_equal(ok, size >= RECORD_BLOB_HEADER_BYTES && size <= HSM_BLOB_MAX_BYTES);
    }
    for (unsigned mechanism = 0; mechanism < 256; mechanism++) {
        blob[1] = (uint8_t)mechanism;
        bool ok = vlt_is_ok(record_blob_decode(bytes_of(blob, 40), &decoded));
        assert_int_equal(ok,
                         mechanism >= HSM_MECHANISM_ECDH && mechanism <= HSM_MECHANISM_SIGNATURE);
    }
}

// Two contexts never give one associated data, nor do two keys.
static void aad_rejects_ambiguity(void **state) {
    struct hsm_record a = sample_p11(), b = a;
    uint8_t first[RECORD_AAD_MAX_BYTES], second[RECORD_AAD_MAX_BYTES],
        longest[HSM_CONTEXT_MAX_BYTES] = {0};
    size_t n = record_aad(&a, BYTES_LITERAL("ab"), first);
    size_t m = record_aad(&a, BYTES_LITERAL("a"), second);
    assert_false(bytes_equal(bytes_of(first, n), bytes_of(second, m)));
    b.id[15] ^= 1;
    m = record_aad(&b, BYTES_LITERAL("ab"), second);
    assert_false(bytes_equal(bytes_of(first, n), bytes_of(second, m)));
    b = a;
    b.mechanism = HSM_MECHANISM_KEY_WRAP;
    m = record_aad(&b, BYTES_LITERAL("ab"), second);
    assert_false(bytes_equal(bytes_of(first, n), bytes_of(second, m)));
    assert_in_range(record_aad(&a, bytes_of(longest, sizeof longest), first), 256,
                    RECORD_AAD_MAX_BYTES);
}

// --- HPKE -------------------------------------------------------------------

// Keys, PSK, info, associated data and plaintext of RFC 9180 A.3.2, which is
// for AES-128-GCM. enc and ciphertext for AES-256-GCM were made by pyhpke 0.6.5,
// an implementation that shares nothing with ours and reproduces A.3.2.
static const struct {
    const char *info, *sk_r, *psk, *psk_id, *pk_r, *enc, *aad, *ciphertext, *plaintext;
} vector = {
    "4f6465206f6e2061204772656369616e2055726e",
    "438d8bcef33b89e0e9ae5eb0957c353c25a94584b0dd59c991372a75b43cb661",
    "0247fd33b913760fa1fa51e1892d9f307fbe65eb171e8132c2af18555a738b82",
    "456e6e796e20447572696e206172616e204d6f726961",
    "040d97419ae99f13007a93996648b2674e5260a8ebd2b822e84899cd52d87446ea"
    "394ca76223b76639eccdf00e1967db10ade37db4e7db476261fcc8df97c5ffd1",
    "0492f4464893e3c4d6cf6d6e91f511c5ecafaf69a94aa1ad1f69a199fa494eaa09"
    "427ebd2f7464e7fcafd6a6754ccf1aec039852f2b66cdeb1cee319650aea1732",
    "436f756e742d30",
    "b12af3ef4ff2dd7a26efd4be53302bd916d3b904b01c7747027b20ee37518572a2a9454dbc2ba813561d850788",
    "4265617574792069732074727574682c20747275746820626561757479",
};

static struct bytes unhex(const char *text, uint8_t *out) {
    size_t size = strlen(text) / 2;
    assert_true(vlt_is_ok(hex_decode(bytes_of_text(text), out, size)));
    return bytes_of(out, size);
}

// What the TPM does: the x coordinate of (private key) * point.
static struct secret *multiply(const char *private_hex, struct bytes point) {
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *p = EC_POINT_new(group);
    BIGNUM *d = NULL, *x = BN_new();
    uint8_t out[HPKE_DH_BYTES];
    assert_int_equal(BN_hex2bn(&d, private_hex), 64);
    assert_int_equal(EC_POINT_oct2point(group, p, point.at, point.size, NULL), 1);
    assert_int_equal(EC_POINT_mul(group, p, NULL, p, d, NULL), 1);
    assert_int_equal(EC_POINT_get_affine_coordinates(group, p, x, NULL, NULL), 1);
    assert_int_equal(BN_bn2binpad(x, out, sizeof out), sizeof out);
    struct secret *dh = secret_new(sizeof out);
    assert_true(vlt_is_ok(secret_set(dh, out, sizeof out)));
    BN_free(x);
    BN_free(d);
    EC_POINT_free(p);
    EC_GROUP_free(group);
    return dh;
}

struct hpke_case {
    uint8_t recipient[65], psk_id[32], info[32], aad[16], body[128], psk_bytes[32];
    size_t body_bytes;
    struct secret *psk, *dh;
    struct hpke_sender sender;
};

static void hpke_case_load(struct hpke_case *c) {
    c->psk = secret_new(32);
    assert_true(vlt_is_ok(secret_set(c->psk, unhex(vector.psk, c->psk_bytes).at, 32)));
    unhex(vector.pk_r, c->recipient);
    c->sender = (struct hpke_sender){.recipient = c->recipient,
                                     .psk = c->psk,
                                     .psk_id = unhex(vector.psk_id, c->psk_id),
                                     .info = unhex(vector.info, c->info),
                                     .aad = unhex(vector.aad, c->aad)};
    c->body_bytes = unhex(vector.enc, c->body).size;
    c->body_bytes += unhex(vector.ciphertext, c->body + c->body_bytes).size;
    c->dh = multiply(vector.sk_r, bytes_of(c->body, HPKE_POINT_BYTES));
}

static void hpke_case_free(struct hpke_case *c) {
    secret_free(c->psk);
    secret_free(c->dh);
}

static void hpke_accepts_a_foreign_ciphertext(void **state) {
    struct hpke_case c;
    uint8_t wanted[64];
    hpke_case_load(&c);
    struct secret *plain = secret_new(64);
    assert_true(vlt_is_ok(hpke_decrypt(&c.sender, c.dh, bytes_of(c.body, c.body_bytes), plain)));
    assert_true(secret_equal(bytes_of(secret_borrow(plain), secret_size(plain)),
                             unhex(vector.plaintext, wanted)));
    secret_release(plain);
    secret_free(plain);
    hpke_case_free(&c);
}

static void hpke_accepts_what_it_made(void **state) {
    struct hpke_case c;
    hpke_case_load(&c);
    for (size_t size = 1; size <= HPKE_PLAIN_MAX_BYTES; size++) {
        struct secret *plain = secret_new(size), *back = secret_new(size);
        struct buf body;
        buf_init(&body, 256);
        assert_true(vlt_is_ok(secret_set_random(plain, size)));
        assert_true(vlt_is_ok(hpke_encrypt(&c.sender, plain, &body)));
        struct secret *dh = multiply(vector.sk_r, bytes_of(body.at, HPKE_POINT_BYTES));
        assert_true(vlt_is_ok(hpke_decrypt(&c.sender, dh, buf_bytes(&body), back)));
        assert_true(secret_equal(bytes_of(secret_borrow(plain), size),
                                 bytes_of(secret_borrow(back), size)));
        secret_free(dh);
        secret_free(plain);
        secret_free(back);
        buf_done(&body);
    }
    hpke_case_free(&c);
}

static void hpke_rejects_every_mutation(void **state) {
    struct hpke_case c;
    hpke_case_load(&c);
    struct secret *plain = secret_new(64);
    for (size_t i = 0; i < c.body_bytes * 8; i++) {
        c.body[i / 8] ^= (uint8_t)(1 << i % 8);
        vlt_result r = hpke_decrypt(&c.sender, c.dh, bytes_of(c.body, c.body_bytes), plain);
        assert_int_equal(r.class, VLT_CRYPTO);
        c.body[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t size = 0; size < c.body_bytes; size++)
        assert_int_equal(hpke_decrypt(&c.sender, c.dh, bytes_of(c.body, size), plain).class,
                         VLT_CRYPTO);
    struct hpke_sender other = c.sender;
    other.aad.size--;
    assert_int_equal(hpke_decrypt(&other, c.dh, bytes_of(c.body, c.body_bytes), plain).class,
                     VLT_CRYPTO);
    other = c.sender;
    other.info.size--;
    assert_int_equal(hpke_decrypt(&other, c.dh, bytes_of(c.body, c.body_bytes), plain).class,
                     VLT_CRYPTO);
    other = c.sender;
    other.psk = c.dh; // another pre-shared key: a blob of somebody who has the public key only
    assert_int_equal(hpke_decrypt(&other, c.dh, bytes_of(c.body, c.body_bytes), plain).class,
                     VLT_CRYPTO);
    assert_int_equal(secret_size(plain), 0);
    secret_free(plain);
    hpke_case_free(&c);
}

int main(void) {
    struct fault fault = {.line = 0};
    if (!vlt_is_ok(secret_heap_open(1 << 18, &fault)))
        return fprintf(stderr, "%s\n", fault.text), 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_accepts_what_it_wrote),
        cmocka_unit_test(record_rejects_what_cannot_be),
        cmocka_unit_test(record_survives_mutation),
        cmocka_unit_test(counter_survives_mutation),
        cmocka_unit_test(blob_survives_mutation),
        cmocka_unit_test(aad_rejects_ambiguity),
        cmocka_unit_test(hpke_accepts_a_foreign_ciphertext),
        cmocka_unit_test(hpke_accepts_what_it_made),
        cmocka_unit_test(hpke_rejects_every_mutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
