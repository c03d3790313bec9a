// SPDX-License-Identifier: Apache-2.0
#include "hsm/p11/counter.h"

#include <openssl/rand.h>

#include "hsm/p11/result.h"
#include "libvault/base/hex.h"

#define COUNTER_LABEL_BYTES (sizeof "vaultd-counter-" + (size_t)2 * HSM_KEY_ID_BYTES)
static const char application[] = "vaultd";

struct p11_counter {
    CK_OBJECT_HANDLE objects[P11_FOUND_MAX];
    CK_ULONG count;
    uint64_t value; // the highest
};

static void p11_counter_label(const struct record_counter *record,
                              char label[COUNTER_LABEL_BYTES]) {
    static const char prefix[] = "vaultd-counter-";
    memcpy(label, prefix, sizeof prefix);
    hex_encode(bytes_of(record->id, sizeof record->id), label + sizeof prefix - 1);
}

static CK_RV p11_counter_put(const struct p11 *p11, const struct record_counter *record,
                             uint64_t value) {
    char label[COUNTER_LABEL_BYTES];
    uint8_t text[8];
    p11_counter_label(record, label);
    for (unsigned i = 0; i < 8; i++)
        text[i] = (uint8_t)(value >> (56 - 8 * i));
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
                               {CKA_TOKEN, &yes, sizeof yes},
                               {CKA_PRIVATE, &yes, sizeof yes},
                               {CKA_APPLICATION, p11_in(application), sizeof application - 1},
                               {CKA_LABEL, label, strlen(label)},
                               {CKA_VALUE, text, sizeof text}};
    CK_OBJECT_HANDLE object = 0;
    return p11->functions->C_CreateObject(p11->session, template,
                                          sizeof template / sizeof *template, &object);
}

static CK_RV p11_counter_value(const struct p11 *p11, CK_OBJECT_HANDLE object,
                               uint64_t *ret_value) {
    uint8_t text[8];
    CK_ATTRIBUTE wanted = {CKA_VALUE, text, sizeof text};
    CK_RV rv = p11->functions->C_GetAttributeValue(p11->session, object, &wanted, 1);
    if (rv != CKR_OK || wanted.ulValueLen != sizeof text)
        return rv == CKR_OK ? CKR_DATA_INVALID : rv;
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value = value << 8 | text[i];
    *ret_value = value;
    return CKR_OK;
}

static vlt_result p11_counter_find(struct hsm *hsm, const struct record_counter *record,
                                   struct fault *fault, struct p11_counter *ret_counter) {
    const struct p11 *p11 = hsm->device;
    char label[COUNTER_LABEL_BYTES];
    p11_counter_label(record, label);
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
                               {CKA_LABEL, label, strlen(label)}};
    struct p11_counter counter = {.count = 0};
    CK_RV rv = p11_find(p11, template, 2, counter.objects, &counter.count);
    VLT_TRY(p11_result(hsm, rv, "look for the rollback counter", fault));
    if (!counter.count) {
        hsm->link = HSM_LINK_TRY_AGAIN; // a session whose device was away may just see nothing
        return fault_set(fault, VLT_NOT_FOUND, "rollback counter is gone",
                         "device '%s' does not hold the rollback counter of this store: it is "
                         "another device, it was initialized anew, or somebody deleted '%s'",
                         hsm->description.label, label);
    }
    for (CK_ULONG i = 0; i < counter.count; i++) {
        uint64_t value = 0;
        rv = p11_counter_value(p11, counter.objects[i], &value);
        VLT_TRY(p11_result(hsm, rv, "read the rollback counter", fault));
        if (value > counter.value)
            counter.value = value;
    }
    *ret_counter = counter;
    return vlt_ok();
}

static vlt_result p11_counter_remove(struct hsm *hsm, const struct p11_counter *counter,
                                     struct fault *fault) {
    const struct p11 *p11 = hsm->device;
    for (CK_ULONG i = 0; i < counter->count; i++)
        VLT_TRY(p11_result(hsm, p11->functions->C_DestroyObject(p11->session, counter->objects[i]),
                           "remove the rollback counter", fault));
    return vlt_ok();
}

vlt_result p11_counter_create(struct hsm *hsm, struct record_counter *record, struct fault *fault) {
    if (RAND_bytes(record->id, sizeof record->id) != 1)
        return vlt_fail(VLT_UNAVAILABLE, "no random bytes");
    CK_RV rv = p11_counter_put(hsm->device, record, 1);
    if (rv == CKR_DEVICE_MEMORY)
        return fault_set(fault, VLT_LIMIT, "device has no room for a counter",
                         "device '%s' has no room for a rollback counter: delete objects that "
                         "nothing needs",
                         hsm->description.label);
    return p11_result(hsm, rv, "make a rollback counter", fault);
}

vlt_result p11_counter_read(struct hsm *hsm, const struct record_counter *record,
                            struct fault *fault, uint64_t *ret_value) {
    struct p11_counter counter;
    VLT_TRY(p11_counter_find(hsm, record, fault, &counter));
    *ret_value = counter.value;
    return vlt_ok();
}

vlt_result p11_counter_advance(struct hsm *hsm, const struct record_counter *record,
                               struct fault *fault) {
    struct p11_counter counter;
    VLT_TRY(p11_counter_find(hsm, record, fault, &counter));
    CK_RV rv = p11_counter_put(hsm->device, record, counter.value + 1);
    VLT_TRY(p11_result(hsm, rv, "advance the rollback counter", fault));
    return p11_counter_remove(hsm, &counter, fault);
}

vlt_result p11_counter_destroy(struct hsm *hsm, const struct record_counter *record,
                               struct fault *fault) {
    struct p11_counter counter;
    VLT_TRY(p11_counter_find(hsm, record, fault, &counter));
    return p11_counter_remove(hsm, &counter, fault);
}
