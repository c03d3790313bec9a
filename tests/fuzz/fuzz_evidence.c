// SPDX-License-Identifier: Apache-2.0
// Evidence and challenges from somebody else: parsed, verified as far as that goes
// without a genuine signature, and written again.
#include <stdlib.h>

#include "libvault/tpm/challenge.h"
#include "libvault/tpm/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

// A root of nobody, so that chains are looked for.
static const char root[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBcDCCARWgAwIBAgIUCOqvjqEjjifM5gC1z5ofiIy8KfMwCgYIKoZIzj0EAwIw\n"
    "DDEKMAgGA1UEAwwBcjAgFw0yNjExMjEwNjE5NDJaGA8yMDgxMDgyNDA2MTk0Mlow\n"
    "DDEKMAgGA1UEAwwBcjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABB0gH8RzvCf3\n"
    "93uyUpPlg+MvXJ/NdOdh2OmCKPd/mNN034dDl/9RJiPvpmQcgDZ7XWTND2XIAcw1\n"
    "DMjALFkPhcSjUzBRMB0GA1UdDgQWBBSv54cWIv6e1MMPws+13VdwW92yIjAfBgNV\n"
    "HSMEGDAWgBSv54cWIv6e1MMPws+13VdwW92yIjAPBgNVHRMBAf8EBTADAQH/MAoG\n"
    "CCqGSM49BAMCA0kAMEYCIQD7nEliQLOzrXL9wQ0ptHM8KYILiF3Q846pvM9NnVqj\n"
    "ogIhAPZqNdGh4WbfpCGvfjHHvMeqS+bH0aW12tLhuP7p89hF\n"
    "-----END CERTIFICATE-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    static struct evidence evidence, again;
    struct fault fault = {0};
    struct challenge challenge;
    char nonce[CHALLENGE_NONCE_SIZE], issuer[256], sha256[65];
    (void)vlt_is_ok(challenge_parse(bytes_of(at, size), &fault, &challenge));
    if (!vlt_is_ok(evidence_parse(bytes_of(at, size), &fault, &evidence)))
        return 0;
    (void)vlt_is_ok(evidence_verify_statements(&evidence, "first-nonce", &fault));
    (void)vlt_is_ok(evidence_verify_endorsement(&evidence, bytes_of_text(root), &fault));
    (void)vlt_is_ok(evidence_verify_binding(&evidence, "first-nonce", NULL, &fault));
    (void)vlt_is_ok(evidence_describe_certificate(&evidence, issuer, sha256));
    (void)vlt_is_ok(
        challenge_make(&evidence.endorsement, &evidence.attestation, &challenge, nonce));
    json_t *json = evidence_json(&evidence);
    char *text = json_dumps(json, JSON_COMPACT);
    if (!text || !vlt_is_ok(evidence_parse(bytes_of_text(text), &fault, &again)) ||
        memcmp(&evidence, &again, sizeof evidence) != 0)
        abort();
    free(text);
    json_decref(json);
    return 0;
}
