// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/record_boot.h"

#include "libvault/base/b64u.h"
#include "libvault/store/record_json.h"
#include "libvault/tpm/boot_json.h"

static void boot_read_signature(struct record_json *r, uint8_t signature[BOOT_SIGNATURE_BYTES]) {
    char text[B64U_SIZE(BOOT_SIGNATURE_BYTES) + 2] = "";
    size_t size = 0;
    record_json_text(r, "signature", RECORD_REQUIRED, text, sizeof text);
    if (!record_json_failed(r) &&
        (!vlt_is_ok(b64u_decode(bytes_of_text(text), signature, BOOT_SIGNATURE_BYTES, &size)) ||
         size != BOOT_SIGNATURE_BYTES))
        record_json_fail(r, "signature", "64 bytes in base64url");
}

vlt_result record_boot_parse(struct bytes json, struct fault *fault, struct record_boot *ret_boot) {
    static const char *const members[] = {"name", "approved_at", "pcrs", "signature", NULL};
    struct record_boot boot = {.approved_at = 0};
    struct record_json r;
    json_t *root;
    VLT_TRY(record_json_open(json, members, fault, &root, &r));
    record_json_name(&r, "name", RECORD_REQUIRED, boot.approval.name, sizeof boot.approval.name);
    record_json_number(&r, "approved_at", RECORD_REQUIRED, 1, INT64_MAX, &boot.approved_at);
    boot_read_signature(&r, boot.approval.signature);
    vlt_result result = r.result;
    if (vlt_is_ok(result))
        result = boot_json_read_values(json_object_get(root, "pcrs"), fault, &boot.approval.state);
    json_decref(root);
    VLT_TRY(result);
    *ret_boot = boot;
    return vlt_ok();
}

json_t *record_boot_json(const struct record_boot *boot) {
    char signature[B64U_SIZE(BOOT_SIGNATURE_BYTES) + 1];
    json_t *object = json_object();
    b64u_encode_text(bytes_of(boot->approval.signature, BOOT_SIGNATURE_BYTES), signature);
    record_json_put_text(&object, "name", boot->approval.name);
    record_json_put_number(&object, "approved_at", boot->approved_at);
    record_json_put(&object, "pcrs", boot_json_values(&boot->approval.state));
    record_json_put_text(&object, "signature", signature);
    return object;
}
