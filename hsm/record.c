// SPDX-License-Identifier: Apache-2.0
#include "hsm/record.h"

#include <assert.h>

#include "libvault/base/wire.h"

static bool record_mechanism_fits(enum hsm_kind kind, enum hsm_mechanism mechanism) {
    if (kind == HSM_TPM)
        return mechanism == HSM_MECHANISM_ECDH;
    return kind == HSM_PKCS11 &&
           (mechanism == HSM_MECHANISM_GCM || mechanism == HSM_MECHANISM_KEY_WRAP ||
            mechanism == HSM_MECHANISM_SIGNATURE);
}

vlt_result hsm_record_encode(const struct hsm_record *record, struct hsm_key *ret_key) {
    struct hsm_key key = {.size = 0};
    struct wire_writer w;
    wire_writer_init(&w, key.at, sizeof key.at);
    bool is_bound = record->kind == HSM_TPM && record->of.tpm.boot.created.pcrs;
    wire_put_u8(&w, is_bound ? RECORD_VERSION_BOOT : RECORD_VERSION);
    wire_put_u8(&w, (uint8_t)record->kind);
    wire_put_u8(&w, (uint8_t)record->mechanism);
    wire_put_u32(&w, record->generation);
    wire_put_raw(&w, bytes_of(record->id, sizeof record->id));
    if (record->kind == HSM_TPM) {
        const struct record_tpm *tpm = &record->of.tpm;
        wire_put_bytes(&w, bytes_of(tpm->public_area, tpm->public_bytes));
        wire_put_bytes(&w, bytes_of(tpm->private_area, tpm->private_bytes));
        wire_put_bytes(&w, bytes_of(tpm->primary_name, sizeof tpm->primary_name));
        wire_put_raw(&w, bytes_of(tpm->seed, sizeof tpm->seed));
        wire_put_raw(&w, bytes_of(tpm->check, sizeof tpm->check));
        if (is_bound) {
            boot_state_put(&w, &tpm->boot.created);
            wire_put_raw(&w, bytes_of(tpm->boot.approver, sizeof tpm->boot.approver));
        }
    } else {
        const struct record_p11 *p11 = &record->of.p11;
        wire_put_text(&w, p11->object);
        wire_put_text(&w, p11->label);
        wire_put_text(&w, p11->manufacturer);
        wire_put_text(&w, p11->model);
        wire_put_text(&w, p11->serial);
        wire_put_bytes(&w, bytes_of(p11->check, p11->check_bytes));
    }
    if (w.failed)
        return vlt_fail(VLT_LIMIT, "key record does not fit");
    key.size = w.size;
    *ret_key = key;
    return vlt_ok();
}

static void record_copy(uint8_t *to, struct bytes from, size_t size) {
    if (from.size == size) // else the reader has failed already
        memcpy(to, from.at, size);
}

static void record_tpm_decode(struct wire_reader *r, struct record_tpm *tpm) {
    struct bytes public_area = wire_get_bytes(r, sizeof tpm->public_area);
    struct bytes private_area = wire_get_bytes(r, sizeof tpm->private_area);
    struct bytes name = wire_get_bytes(r, sizeof tpm->primary_name);
    if (name.size != sizeof tpm->primary_name)
        r->failed = true;
    record_copy(tpm->seed, wire_get_raw(r, sizeof tpm->seed), sizeof tpm->seed);
    record_copy(tpm->check, wire_get_raw(r, sizeof tpm->check), sizeof tpm->check);
    if (r->failed)
        return;
    memcpy(tpm->public_area, public_area.at, public_area.size);
    tpm->public_bytes = public_area.size;
    memcpy(tpm->private_area, private_area.at, private_area.size);
    tpm->private_bytes = private_area.size;
    memcpy(tpm->primary_name, name.at, name.size);
}

static void record_boot_decode(struct wire_reader *r, struct boot_binding *boot) {
    boot_state_get(r, &boot->created);
    record_copy(boot->approver, wire_get_raw(r, sizeof boot->approver), sizeof boot->approver);
    // The policy covers the coordinates; the byte before them has one value.
    if (boot->approver[0] != 0x04 || !vlt_is_ok(boot_pcrs_check(boot->created.pcrs, NULL)))
        r->failed = true;
}

static void record_p11_decode(struct wire_reader *r, struct record_p11 *p11) {
    wire_get_text(r, p11->object, sizeof p11->object);
    wire_get_text(r, p11->label, sizeof p11->label);
    wire_get_text(r, p11->manufacturer, sizeof p11->manufacturer);
    wire_get_text(r, p11->model, sizeof p11->model);
    wire_get_text(r, p11->serial, sizeof p11->serial);
    struct bytes check = wire_get_bytes(r, sizeof p11->check);
    if (r->failed || !check.size) {
        r->failed = true;
        return;
    }
    memcpy(p11->check, check.at, check.size);
    p11->check_bytes = check.size;
}

vlt_result hsm_record_decode(struct bytes key, struct hsm_record *ret_record) {
    struct wire_reader r;
    wire_reader_init(&r, key);
    if (key.size > HSM_KEY_MAX_BYTES)
        return vlt_fail(VLT_MALFORMED, "key record is too long");
    uint8_t version = wire_get_u8(&r);
    if (version != RECORD_VERSION && version != RECORD_VERSION_BOOT)
        return vlt_fail(VLT_MALFORMED, "key record has an unknown version");
    struct hsm_record record = {.kind = wire_get_u8(&r)};
    record.mechanism = wire_get_u8(&r);
    record.generation = wire_get_u32(&r);
    record_copy(record.id, wire_get_raw(&r, sizeof record.id), sizeof record.id);
    if (!record_mechanism_fits(record.kind, record.mechanism) || !record.generation ||
        (version == RECORD_VERSION_BOOT && record.kind != HSM_TPM))
        return vlt_fail(VLT_MALFORMED, "key record names an unknown device or mechanism");
    if (record.kind == HSM_TPM)
        record_tpm_decode(&r, &record.of.tpm);
    else
        record_p11_decode(&r, &record.of.p11);
    if (version == RECORD_VERSION_BOOT)
        record_boot_decode(&r, &record.of.tpm.boot);
    VLT_TRY(wire_reader_end(&r));
    *ret_record = record;
    return vlt_ok();
}

vlt_result record_counter_encode(const struct record_counter *record,
                                 struct hsm_counter *ret_counter) {
    struct hsm_counter counter = {.size = 0};
    struct wire_writer w;
    wire_writer_init(&w, counter.at, sizeof counter.at);
    wire_put_u8(&w, RECORD_VERSION);
    wire_put_u8(&w, (uint8_t)record->kind);
    if (record->kind == HSM_TPM) {
        wire_put_u32(&w, record->index);
        wire_put_raw(&w, bytes_of(record->seed, sizeof record->seed));
        wire_put_bytes(&w, bytes_of(record->name, sizeof record->name));
    } else {
        wire_put_raw(&w, bytes_of(record->id, sizeof record->id));
    }
    if (w.failed)
        return vlt_fail(VLT_LIMIT, "counter record does not fit");
    counter.size = w.size;
    *ret_counter = counter;
    return vlt_ok();
}

vlt_result record_counter_decode(struct bytes counter, struct record_counter *ret_record) {
    struct wire_reader r;
    wire_reader_init(&r, counter);
    if (wire_get_u8(&r) != RECORD_VERSION)
        return vlt_fail(VLT_MALFORMED, "counter record has an unknown version");
    struct record_counter record = {.kind = wire_get_u8(&r)};
    if (record.kind == HSM_TPM) {
        record.index = wire_get_u32(&r);
        record_copy(record.seed, wire_get_raw(&r, sizeof record.seed), sizeof record.seed);
        struct bytes name = wire_get_bytes(&r, sizeof record.name);
        if (name.size != sizeof record.name || record.index < RECORD_INDEX_FIRST ||
            record.index > RECORD_INDEX_LAST)
            r.failed = true;
        record_copy(record.name, name, sizeof record.name);
    } else if (record.kind == HSM_PKCS11) {
        record_copy(record.id, wire_get_raw(&r, sizeof record.id), sizeof record.id);
    } else {
        return vlt_fail(VLT_MALFORMED, "counter record names an unknown device");
    }
    VLT_TRY(wire_reader_end(&r));
    *ret_record = record;
    return vlt_ok();
}

vlt_result record_blob_decode(struct bytes blob, struct record_blob *ret_blob) {
    struct wire_reader r;
    wire_reader_init(&r, blob);
    if (blob.size > HSM_BLOB_MAX_BYTES)
        return vlt_fail(VLT_MALFORMED, "wrapped key is too long");
    if (wire_get_u8(&r) != RECORD_VERSION)
        return vlt_fail(VLT_MALFORMED, "wrapped key has an unknown version");
    struct record_blob out = {.mechanism = wire_get_u8(&r)};
    record_copy(out.id, wire_get_raw(&r, sizeof out.id), sizeof out.id);
    if (r.failed || out.mechanism < HSM_MECHANISM_ECDH || out.mechanism > HSM_MECHANISM_SIGNATURE)
        return vlt_fail(VLT_MALFORMED, "wrapped key has a wrong header");
    out.body = bytes_from(blob, RECORD_BLOB_HEADER_BYTES);
    *ret_blob = out;
    return vlt_ok();
}

void record_blob_header(const struct hsm_record *record, uint8_t header[RECORD_BLOB_HEADER_BYTES]) {
    header[0] = RECORD_VERSION;
    header[1] = (uint8_t)record->mechanism;
    memcpy(header + 2, record->id, sizeof record->id);
}

size_t record_aad(const struct hsm_record *record, struct bytes context,
                  uint8_t aad[RECORD_AAD_MAX_BYTES]) {
    uint8_t header[RECORD_BLOB_HEADER_BYTES];
    record_blob_header(record, header);
    struct wire_writer w;
    wire_writer_init(&w, aad, RECORD_AAD_MAX_BYTES);
    wire_put_text(&w, "vaultd wrap v1");
    wire_put_bytes(&w, bytes_of(header, sizeof header));
    wire_put_bytes(&w, context);
    assert(!w.failed); // hsm.c refuses contexts above HSM_CONTEXT_MAX_BYTES
    return w.size;
}
