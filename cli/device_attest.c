// SPDX-License-Identifier: Apache-2.0
// device attest: evidence of where this vault's wrapping key lives.
// device verify-attestation: is it true? Needs no vault, no TPM and no network.
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/device_boot_values.h"
#include "cli/listing.h"
#include "cli/verbs.h"
#include "libvault/base/hex.h"
#include "libvault/tpm/boot_json.h"
#include "libvault/tpm/challenge.h"
#include "libvault/tpm/evidence.h"

#define ROOTS_MAX (1u << 20)

static vlt_result file_take(const char *path, size_t max_bytes, struct buf *content,
                            struct fault *fault) {
    buf_init(content, max_bytes + 8192);
    return file_read(path, max_bytes, content, fault);
}

static vlt_result json_write(const char *path, const json_t *json, struct fault *fault) {
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    vlt_result result = text ? boot_file_write(path, bytes_of_text(text), fault)
                             : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    free(text);
    return result;
}

// ---- attest ----

// What is between the endorsement certificate and a root, from a PEM file.
static vlt_result chain_add(struct evidence *evidence, struct bytes pem, struct fault *fault) {
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.size);
    X509 *certificate;
    vlt_result result = bio ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    while (vlt_is_ok(result) && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        int size = i2d_X509(certificate, NULL);
        if (size > 0 && size <= EVIDENCE_CERTIFICATE_MAX_BYTES &&
            evidence->chain_count < EVIDENCE_CHAIN_MAX) {
            uint8_t *at = evidence->chain[evidence->chain_count].at;
            evidence->chain[evidence->chain_count++].size = (size_t)i2d_X509(certificate, &at);
        } else {
            result = fault_set(fault, VLT_LIMIT, "too many certificates",
                               "--chain: at most %d certificates of %d bytes", EVIDENCE_CHAIN_MAX,
                               EVIDENCE_CERTIFICATE_MAX_BYTES);
        }
        X509_free(certificate);
    }
    BIO_free(bio);
    if (vlt_is_ok(result) && !evidence->chain_count)
        result = fault_set(fault, VLT_MALFORMED, "no certificate",
                           "--chain: there is no certificate in PEM in it");
    return result;
}

static vlt_result evidence_take(const json_t *answer, const char *chain, struct fault *fault,
                                struct evidence *evidence) {
    struct buf pem;
    char *text = json_dumps(answer, JSON_COMPACT);
    vlt_result result = text ? evidence_parse(bytes_of_text(text), fault, evidence)
                             : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    free(text);
    if (!vlt_is_ok(result) || !chain)
        return result;
    result = file_take(chain, ROOTS_MAX, &pem, fault);
    if (vlt_is_ok(result))
        result = chain_add(evidence, buf_bytes(&pem), fault);
    buf_done(&pem);
    return result;
}

static vlt_result challenge_body(const char *path, struct fault *fault, json_t *body) {
    struct challenge challenge;
    struct buf text;
    struct fault why = {0};
    vlt_result result = file_take(path, CHALLENGE_MAX_BYTES, &text, fault);
    bool is_read = vlt_is_ok(result);
    if (is_read)
        result = challenge_parse(buf_bytes(&text), &why, &challenge);
    buf_done(&text);
    if (is_read && !vlt_is_ok(result))
        return fault_set(fault, result.class, result.reason, "%s: %s", path,
                         fault_or_reason(&why, result));
    if (is_read)
        json_object_set_new(body, "challenge", challenge_json(&challenge));
    return result;
}

static int evidence_save(struct command *command, const json_t *answer, const char *out) {
    struct fault fault = {0};
    struct evidence *evidence = calloc(1, sizeof *evidence);
    vlt_result result =
        evidence ? evidence_take(answer, command_option(command, "--chain"), &fault, evidence)
                 : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    json_t *json = vlt_is_ok(result) ? evidence_json(evidence) : NULL;
    if (vlt_is_ok(result))
        result = json_write(out, json, &fault);
    json_decref(json);
    free(evidence);
    return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, &fault);
}

static int run_attest(struct command *command) {
    const char *nonce = command_option(command, "--nonce"), *out = command_option(command, "--out");
    const char *challenge = command_option(command, "--challenge");
    struct fault fault = {0};
    json_t *answer = NULL, *body = json_object();
    if (!out || !nonce == !challenge || (nonce && !evidence_nonce_is_valid(nonce))) {
        json_decref(body);
        return command_usage(command, "give --out, and --challenge or --nonce with 8 to 128 "
                                      "characters without spaces");
    }
    vlt_result result = vlt_ok();
    if (command_option(command, "--device"))
        json_object_set_new(body, "device", json_string(command_option(command, "--device")));
    if (nonce)
        json_object_set_new(body, "nonce", json_string(nonce));
    else
        result = challenge_body(challenge, &fault, body);
    int status = vlt_is_ok(result)
                     ? command_call_path(command, "POST", body, &answer, "/v1/device/attestations")
                     : command_fail(command, result, &fault);
    json_decref(body);
    if (status == EXIT_OK)
        status = evidence_save(command, answer, out);
    json_decref(answer);
    if (status != EXIT_OK)
        return status;
    if (command->wants_json)
        return command_print_json(json_pack("{s:s}", "file", out));
    printf("The evidence is in %s.\n", out);
    return EXIT_OK;
}

// ---- verify-attestation ----

struct verification {
    struct evidence evidence;
    struct buf roots;
    const char *nonce;
    uint8_t known[AREA_NAME_BYTES];
    bool has_known;
};

static vlt_result verification_read(const struct command *command, struct fault *fault,
                                    struct verification *v) {
    const char *known = command_option(command, "--attestation-key");
    struct buf text;
    v->nonce = command_option(command, "--nonce");
    v->has_known = known != NULL;
    if (known && !vlt_is_ok(hex_decode(bytes_of_text(known), v->known, sizeof v->known)))
        return fault_set(fault, VLT_MALFORMED, "not a name",
                         "--attestation-key must be the name that an earlier verification showed, "
                         "68 hexadecimal digits");
    VLT_TRY(file_read(command_option(command, "--root"), ROOTS_MAX, &v->roots, fault));
    vlt_result result = file_take(command->arguments[0], EVIDENCE_MAX_BYTES, &text, fault);
    if (vlt_is_ok(result))
        result = evidence_parse(buf_bytes(&text), fault, &v->evidence);
    buf_done(&text);
    return result;
}

static json_t *verification_json(const struct verification *v, bool is_bound) {
    const struct evidence *e = &v->evidence;
    uint8_t names[2][AREA_NAME_BYTES];
    char issuer[256], sha256[65], texts[2][2 * AREA_NAME_BYTES + 1];
    char approver[2 * BOOT_POINT_BYTES + 1];
    if (!vlt_is_ok(area_name(&e->attestation, names[0])) ||
        !vlt_is_ok(area_name(&e->wrapping, names[1])) ||
        !vlt_is_ok(evidence_describe_certificate(e, issuer, sha256)))
        return NULL;
    for (unsigned i = 0; i < 2; i++)
        hex_encode(bytes_of(names[i], AREA_NAME_BYTES), texts[i]);
    json_t *json =
        json_pack("{s:b,s:s,s:s,s:s,s:s,s:o}", "verified", is_bound, "attestation_key", texts[0],
                  "wrapping_key", texts[1], "endorsement_issuer", issuer,
                  "endorsement_certificate_sha256", sha256, "pcrs", boot_json_values(&e->quoted));
    if (json && e->boot.created.pcrs) {
        hex_encode(bytes_of(e->boot.approver, BOOT_POINT_BYTES), approver);
        json_object_set_new(json, "bound_to", boot_json_values(&e->boot.created));
        json_object_set_new(json, "approver", json_string(approver));
    }
    return json;
}

static void verification_print(const struct verification *v, const json_t *json) {
    char list[BOOT_LIST_SIZE];
    boot_list(v->evidence.boot.created.pcrs, list);
    terminal_pair("Endorsed by", member_text(json, "endorsement_issuer"));
    terminal_pair("Certificate", member_text(json, "endorsement_certificate_sha256"));
    terminal_pair("Attestation key", member_text(json, "attestation_key"));
    terminal_pair("Wrapping key", member_text(json, "wrapping_key"));
    terminal_pair("Bound to PCR", list);
    terminal_pair("Approver", json_string_value(json_object_get(json, "approver")));
    boot_values_print(&v->evidence.quoted, &v->evidence.quoted);
}

static int challenge_write(struct command *command, const struct verification *v, json_t *json) {
    const char *path = command_option(command, "--challenge");
    char nonce[CHALLENGE_NONCE_SIZE];
    struct challenge challenge;
    struct fault fault = {0};
    vlt_result result =
        challenge_make(&v->evidence.endorsement, &v->evidence.attestation, &challenge, nonce);
    json_t *file = vlt_is_ok(result) ? challenge_json(&challenge) : NULL;
    if (vlt_is_ok(result))
        result = json_write(path, file, &fault);
    json_decref(file);
    if (!vlt_is_ok(result)) {
        json_decref(json);
        return command_fail(command, result, &fault);
    }
    json_object_set_new(json, "challenge", json_string(path));
    json_object_set_new(json, "nonce", json_string(nonce));
    if (command->wants_json)
        return command_print_json(json);
    json_decref(json);
    printf("\nNot proven yet: that these keys are in one TPM. Send %s to the vault:\n"
           "  vaultctl device attest --challenge %s --out FILE\n"
           "and verify what comes back with this nonce, which nobody else may know until then:\n"
           "  %s\n",
           path, path, nonce);
    return EXIT_OK;
}

static int verify(struct command *command, const struct verification *v) {
    struct fault fault = {0};
    bool challenges = command_option(command, "--challenge") != NULL;
    vlt_result result = evidence_verify_statements(&v->evidence, v->nonce, &fault);
    if (vlt_is_ok(result))
        result = evidence_verify_endorsement(&v->evidence, buf_bytes(&v->roots), &fault);
    if (vlt_is_ok(result) && !challenges)
        result =
            evidence_verify_binding(&v->evidence, v->nonce, v->has_known ? v->known : NULL, &fault);
    json_t *json = vlt_is_ok(result) ? verification_json(v, !challenges) : NULL;
    if (vlt_is_ok(result) && !json)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result))
        return command_fail(command, result, &fault);
    if (!command->wants_json)
        verification_print(v, json);
    if (challenges)
        return challenge_write(command, v, json);
    if (command->wants_json)
        return command_print_json(json);
    json_decref(json);
    printf("\nVerified: the wrapping key was made in this TPM, cannot leave it, and this was said "
           "just now.\n");
    return EXIT_OK;
}

static int run_verify(struct command *command) {
    struct fault fault = {0};
    if (!command_option(command, "--nonce") || !command_option(command, "--root"))
        return command_usage(command, "give --nonce and --root");
    struct verification *v = calloc(1, sizeof *v);
    if (!v)
        return command_fail(command, vlt_fail(VLT_UNAVAILABLE, "out of memory"), NULL);
    buf_init(&v->roots, ROOTS_MAX + 8192);
    vlt_result result = verification_read(command, &fault, v);
    int status = vlt_is_ok(result) ? verify(command, v) : command_fail(command, result, &fault);
    buf_done(&v->roots);
    free(v);
    return status;
}

static const struct option_spec attest_options[] = {
    {"--out", OPTION_VALUE, "FILE", "where the evidence goes", 0},
    {"--device", OPTION_VALUE, "NAME", "which device (default: the first TPM that works)", 0},
    {"--nonce", OPTION_VALUE, "TEXT", "what the verifier chose, 8 to 128 characters", 0},
    {"--challenge", OPTION_VALUE, "FILE", "challenge of the verifier, instead of a nonce", 0},
    {"--chain", OPTION_VALUE, "FILE",
     "certificates (PEM) between the endorsement certificate and its root", 0},
    {0}};
static const struct option_spec verify_options[] = {
    {"--nonce", OPTION_VALUE, "TEXT", "nonce that you chose, or that came with your challenge", 0},
    {"--root", OPTION_VALUE, "FILE", "certificates (PEM) of TPM makers that you trust", 0},
    {"--challenge", OPTION_VALUE, "FILE", "write a challenge for the keys of this evidence", 0},
    {"--attestation-key", OPTION_VALUE, "NAME",
     "the attestation key that you know from a challenge", 0},
    {0}};

const struct verb verb_device_attest = {
    .noun = "device",
    .name = "attest",
    .arguments = "",
    .summary = "Write evidence that the wrapping key lives in this TPM",
    .details = "The TPM certifies the wrapping key and quotes PCRs, with a nonce of the verifier "
               "or with its\n"
               "challenge. The evidence holds no secret.",
    .examples = "  vaultctl device attest --nonce 2f1c9a60 --out evidence.json\n"
                "  vaultctl device attest --challenge challenge.json --out evidence.json\n",
    .options = attest_options,
    .run = run_attest};
const struct verb verb_device_verify_attestation = {
    .noun = "device",
    .name = "verify-attestation",
    .arguments = "FILE",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Verify evidence of a TPM, on any machine",
    .details =
        "Needs the evidence, the nonce and roots of TPM makers; no vault, no TPM, no network.\n"
        "\n"
        "A nonce alone does not prove that the attestation key is in the TPM of the endorsement\n"
        "certificate: that takes a challenge, once. --challenge makes one from first evidence and "
        "prints\n"
        "its nonce; evidence that was made with the challenge verifies with that nonce. From then "
        "on the\n"
        "attestation key is known, and --attestation-key with any nonce is enough. Without either "
        "the\n"
        "exit status is 3; for evidence that does not hold, 1.",
    .examples =
        "  vaultctl device verify-attestation e1.json --nonce 2f1c9a60 --root roots.pem "
        "--challenge c.json\n"
        "  vaultctl device verify-attestation e2.json --nonce challenge.… --root roots.pem\n"
        "  vaultctl device verify-attestation e3.json --nonce 77ab0c31 --root roots.pem "
        "--attestation-key 000b…\n",
    .options = verify_options,
    .run = run_verify};
