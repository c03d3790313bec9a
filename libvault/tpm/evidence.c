// SPDX-License-Identifier: Apache-2.0
#include "libvault/tpm/evidence.h"

#include <stdio.h>

#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "libvault/tpm/boot_json.h"

#define EVIDENCE_TYPE "vaultd TPM evidence 1"

bool evidence_nonce_is_valid(const char *nonce) {
    size_t size = strlen(nonce);
    for (size_t i = 0; i < size; i++)
        if (nonce[i] <= ' ' || nonce[i] > '~')
            return false;
    return size >= EVIDENCE_NONCE_MIN && size <= EVIDENCE_NONCE_MAX;
}

// --- writing ----------------------------------------------------------------

static json_t *bytes_json(const uint8_t *at, size_t size) {
    char text[B64U_SIZE(EVIDENCE_CERTIFICATE_MAX_BYTES) + 1];
    b64u_encode_text(bytes_of(at, size), text);
    return json_string(text);
}

static void put_bytes(json_t *object, const char *name, const uint8_t *at, size_t size) {
    json_object_set_new(object, name, bytes_json(at, size));
}

static json_t *statement_json(const struct evidence_statement *statement) {
    json_t *object = json_object();
    put_bytes(object, "attested", statement->at, statement->size);
    put_bytes(object, "signature", statement->signature, sizeof statement->signature);
    return object;
}

json_t *evidence_json(const struct evidence *evidence) {
    json_t *root = json_object(), *wrapping = json_object(), *chain = json_array();
    json_t *quote = statement_json(&evidence->quote);
    json_object_set_new(root, "type", json_string(EVIDENCE_TYPE));
    put_bytes(root, "endorsement_certificate", evidence->endorsement_certificate.at,
              evidence->endorsement_certificate.size);
    for (size_t i = 0; i < evidence->chain_count; i++)
        json_array_append_new(chain, bytes_json(evidence->chain[i].at, evidence->chain[i].size));
    json_object_set_new(root, "chain", chain);
    put_bytes(root, "endorsement_key", evidence->endorsement.at, evidence->endorsement.size);
    put_bytes(root, "attestation_key", evidence->attestation.at, evidence->attestation.size);
    put_bytes(wrapping, "public", evidence->wrapping.at, evidence->wrapping.size);
    if (evidence->boot.created.pcrs) {
        put_bytes(wrapping, "approver", evidence->boot.approver, BOOT_POINT_BYTES);
        json_object_set_new(wrapping, "created", boot_json_values(&evidence->boot.created));
    }
    json_object_set_new(root, "wrapping_key", wrapping);
    json_object_set_new(root, "certify", statement_json(&evidence->certify));
    json_object_set_new(quote, "pcrs", boot_json_values(&evidence->quoted));
    json_object_set_new(root, "quote", quote);
    return root;
}

// --- reading ----------------------------------------------------------------

struct evidence_reader {
    bool failed;
    char member[40]; // that is at fault
};

static void reader_fail(struct evidence_reader *r, const char *member) {
    if (!r->failed)
        (void)snprintf(r->member, sizeof r->member, "%s", member);
    r->failed = true;
}

static size_t read_text(struct evidence_reader *r, const json_t *value, const char *member,
                        uint8_t *at, size_t capacity) {
    size_t size = 0;
    if (!json_is_string(value) ||
        !vlt_is_ok(b64u_decode(bytes_of(json_string_value(value), json_string_length(value)), at,
                               capacity, &size)) ||
        !size)
        reader_fail(r, member);
    return size;
}

static size_t read_bytes(struct evidence_reader *r, const json_t *object, const char *member,
                         uint8_t *at, size_t capacity) {
    return read_text(r, json_object_get(object, member), member, at, capacity);
}

static void read_exactly(struct evidence_reader *r, const json_t *object, const char *member,
                         uint8_t *at, size_t size) {
    if (read_bytes(r, object, member, at, size) != size)
        reader_fail(r, member);
}

static void read_members(struct evidence_reader *r, const json_t *object, const char *name,
                         const char *const *members) {
    if (!json_is_object(object) || !vlt_is_ok(jsontext_only_members(object, members, NULL)))
        reader_fail(r, name);
}

static void read_values(struct evidence_reader *r, const json_t *object, const char *member,
                        struct boot_state *state) {
    if (!vlt_is_ok(boot_json_read_values(json_object_get(object, member), NULL, state)))
        reader_fail(r, member);
}

static void read_statement(struct evidence_reader *r, const json_t *object,
                           struct evidence_statement *statement) {
    statement->size = read_bytes(r, object, "attested", statement->at, sizeof statement->at);
    read_exactly(r, object, "signature", statement->signature, sizeof statement->signature);
}

static void read_chain(struct evidence_reader *r, const json_t *chain, struct evidence *evidence) {
    if (!json_is_array(chain) || json_array_size(chain) > EVIDENCE_CHAIN_MAX) {
        reader_fail(r, "chain");
        return;
    }
    for (size_t i = 0; i < json_array_size(chain); i++) {
        struct evidence_certificate *c = &evidence->chain[evidence->chain_count++];
        c->size = read_text(r, json_array_get(chain, i), "chain", c->at, sizeof c->at);
    }
}

static void read_wrapping(struct evidence_reader *r, const json_t *object,
                          struct evidence *evidence) {
    static const char *const members[] = {"public", "approver", "created", NULL};
    struct area *area = &evidence->wrapping;
    read_members(r, object, "wrapping_key", members);
    area->size = read_bytes(r, object, "public", area->at, sizeof area->at);
    if (!json_object_get(object, "created") && !json_object_get(object, "approver"))
        return;
    read_values(r, object, "created", &evidence->boot.created);
    read_exactly(r, object, "approver", evidence->boot.approver, BOOT_POINT_BYTES);
    if (evidence->boot.approver[0] != 0x04)
        reader_fail(r, "approver");
}

static void read_all(struct evidence_reader *r, const json_t *root, struct evidence *evidence) {
    static const char *const members[] = {"type",
                                          "endorsement_certificate",
                                          "chain",
                                          "endorsement_key",
                                          "attestation_key",
                                          "certify",
                                          "wrapping_key",
                                          "quote",
                                          NULL};
    static const char *const certify_members[] = {"attested", "signature", NULL};
    static const char *const quote_members[] = {"attested", "signature", "pcrs", NULL};
    const json_t *certify = json_object_get(root, "certify"),
                 *quote = json_object_get(root, "quote");
    const json_t *type = json_object_get(root, "type");
    struct evidence_certificate *c = &evidence->endorsement_certificate;
    read_members(r, root, "the file", members);
    if (!json_is_string(type) || strcmp(json_string_value(type), EVIDENCE_TYPE) != 0)
        reader_fail(r, "type");
    c->size = read_bytes(r, root, "endorsement_certificate", c->at, sizeof c->at);
    read_chain(r, json_object_get(root, "chain"), evidence);
    evidence->endorsement.size = read_bytes(r, root, "endorsement_key", evidence->endorsement.at,
                                            sizeof evidence->endorsement.at);
    evidence->attestation.size = read_bytes(r, root, "attestation_key", evidence->attestation.at,
                                            sizeof evidence->attestation.at);
    read_wrapping(r, json_object_get(root, "wrapping_key"), evidence);
    read_members(r, certify, "certify", certify_members);
    read_statement(r, certify, &evidence->certify);
    read_members(r, quote, "quote", quote_members);
    read_statement(r, quote, &evidence->quote);
    read_values(r, quote, "pcrs", &evidence->quoted);
}

vlt_result evidence_parse(struct bytes text, struct fault *fault, struct evidence *ret_evidence) {
    static const struct jsontext_limits limits = {.max_bytes = EVIDENCE_MAX_BYTES, .max_depth = 4};
    struct evidence_reader reader = {.failed = false};
    json_t *root = NULL;
    VLT_TRY(jsontext_parse(text, &limits, fault, &root));
    memset(ret_evidence, 0, sizeof *ret_evidence);
    read_all(&reader, root, ret_evidence);
    json_decref(root);
    if (!reader.failed)
        return vlt_ok();
    memset(ret_evidence, 0, sizeof *ret_evidence);
    return fault_set(fault, VLT_MALFORMED, "not evidence",
                     "it is not the evidence of a TPM that `vaultctl device attest` wrote: \"%s\" "
                     "is missing or not valid",
                     reader.member);
}
