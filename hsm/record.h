// SPDX-License-Identifier: Apache-2.0
// What the store keeps: one record for each wrapping key, one blob for each
// wrapped data key. Foreign bytes: whoever has the disk can write them.
//
//   key record  version u8, kind u8, mechanism u8, generation u32, id[16], then
//     TPM       public, private, primary name (each u32 length, bytes),
//               seed[32], check[32]; version 2, of a key that is bound to measured
//               boot: its state of creation (libvault/tpm/boot.h), approver[65]
//     PKCS#11   object label, device label, manufacturer, model, serial (texts),
//               check blob (u32 length, bytes)
//   blob        version u8, mechanism u8, key id[16], body as the mechanism says
//
// Associated data of every wrap: "vaultd wrap v1", the blob's 18 bytes of
// header, the caller's context, each with its length.
#ifndef VLT_HSM_RECORD_H
#define VLT_HSM_RECORD_H

#include "hsm/hsm.h"
#include "libvault/tpm/boot.h"

#define RECORD_VERSION 1
#define RECORD_VERSION_BOOT 2 // key records only
#define RECORD_BLOB_HEADER_BYTES (2 + HSM_KEY_ID_BYTES)
#define RECORD_AAD_MAX_BYTES 320
#define RECORD_TPM_PUBLIC_MAX_BYTES 256
#define RECORD_TPM_PRIVATE_MAX_BYTES 512
#define RECORD_TPM_NAME_BYTES 34 // algorithm u16, SHA-256
#define RECORD_SEED_BYTES 32
#define RECORD_CHECK_BYTES 32

// The decoded form owns its bytes: a record outlives the store's page.
struct record_tpm {
    size_t public_bytes, private_bytes;
    uint8_t public_area[RECORD_TPM_PUBLIC_MAX_BYTES];   // TPM2B_PUBLIC, marshalled
    uint8_t private_area[RECORD_TPM_PRIVATE_MAX_BYTES]; // TPM2B_PRIVATE, marshalled
    uint8_t primary_name[RECORD_TPM_NAME_BYTES];        // pins the TPM
    uint8_t seed[RECORD_SEED_BYTES];                    // of the key's authorization
    uint8_t check[RECORD_CHECK_BYTES];                  // known answer
    struct boot_binding boot;                           // created.pcrs 0: not bound
};

struct record_p11 {
    char object[72];  // CKA_LABEL
    char label[33], manufacturer[33], model[17], serial[17]; // of the device, PKCS#11 2.40 3.2
    size_t check_bytes;
    uint8_t check[HSM_BLOB_MAX_BYTES]; // a wrap of a known key: known answer
};

struct hsm_record { // of a wrapping key
    enum hsm_kind kind;
    enum hsm_mechanism mechanism;
    uint32_t generation; // from 1
    uint8_t id[HSM_KEY_ID_BYTES];
    union {
        struct record_tpm tpm;
        struct record_p11 p11;
    } of;
};

vlt_result hsm_record_encode(const struct hsm_record *record, struct hsm_key *ret_key) VLT_MUST_USE;
vlt_result hsm_record_decode(struct bytes key, struct hsm_record *ret_record) VLT_MUST_USE;

struct record_blob {
    enum hsm_mechanism mechanism;
    uint8_t id[HSM_KEY_ID_BYTES];
    struct bytes body; // borrowed from the blob
};
vlt_result record_blob_decode(struct bytes blob, struct record_blob *ret_blob) VLT_MUST_USE;
void record_blob_header(const struct hsm_record *record, uint8_t header[RECORD_BLOB_HEADER_BYTES]);

// Handles that the TCG leaves to the owner of a TPM (Registry of Reserved TPM
// 2.0 Handles and Localities, 2.2.2).
#define RECORD_INDEX_FIRST 0x01800000U
#define RECORD_INDEX_LAST 0x01bfffffU

//   counter     version u8, kind u8, then
//     TPM       index u32, seed[32], name (u32 length, bytes)
//     PKCS#11   id[16]
struct record_counter {
    enum hsm_kind kind;
    uint32_t index;                       // NV index, from RECORD_INDEX_FIRST
    uint8_t seed[RECORD_SEED_BYTES];      // of its authorization
    uint8_t name[RECORD_TPM_NAME_BYTES];  // pins index, attributes and policy
    uint8_t id[HSM_KEY_ID_BYTES];         // in the label of the data object
};
vlt_result record_counter_encode(const struct record_counter *record,
                                 struct hsm_counter *ret_counter) VLT_MUST_USE;
vlt_result record_counter_decode(struct bytes counter,
                                 struct record_counter *ret_record) VLT_MUST_USE;

// Associated data for a blob of this key; at most RECORD_AAD_MAX_BYTES.
size_t record_aad(const struct hsm_record *record, struct bytes context,
                  uint8_t aad[RECORD_AAD_MAX_BYTES]);

#endif
