// SPDX-License-Identifier: Apache-2.0
// Aims at what reads a subject token's payload once its signature is right:
// claims_read_registered, claims_check, claims_map, subject_claim_at; and at the
// documents of an issuer: jwks_document_read, spiffe_id_split.
#include <stdlib.h>

#include "libvault/base/jsontext.h"
#include "libvault/identity/jwks_document.h"
#include "libvault/identity/spiffe_id.h"
#include "libvault/identity/subject_claims.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static struct issuer issuer;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static const char record[] =
        "{\"name\":\"idp\",\"issuer\":\"https://idp\",\"jwks\":{\"keys\":[]},\"audiences\":[\"v\"],"
        "\"algorithms\":[\"ES256\"],\"kind\":\"agent\",\"subject_claim\":\"sub\",\"groups\":["
        "{\"claim\":\"groups\",\"value\":\"*\"},{\"claim\":\"a/"
        "b\",\"value\":\"1\",\"group\":\"g\"}],"
        "\"tags\":[{\"claim\":\"a/"
        "t\",\"tag\":\"z\"},{\"claim\":\"run\"}],\"device\":{\"compliant\":\"d\"}}";
    if (!vlt_is_ok(secret_heap_open(1u << 20, NULL)) ||
        !vlt_is_ok(record_issuer_parse(bytes_of_text(record), NULL, &issuer.record)))
        abort();
    return 0;
}

static void read_payload(struct bytes payload) {
    const struct subject_expectation expected = {.now_s = 1800000000, .type = SUBJECT_ID_TOKEN};
    struct registered_claims registered;
    struct subject *subject = calloc(1, sizeof *subject);
    if (!subject)
        abort();
    if (vlt_is_ok(jsontext_parse(payload, &jsontext_token_limits, NULL, &subject->claims)) &&
        vlt_is_ok(claims_read_registered(subject->claims, &registered))) {
        vlt_result checked = claims_check(&issuer, &expected, subject->claims, &registered);
        if (vlt_is_ok(checked) && registered.exp + SUBJECT_SKEW_S <= expected.now_s)
            abort();
        if (vlt_is_ok(claims_map(&issuer, subject)) &&
            (!subject->principal.size || subject->group_count > TOKEN_GROUPS_MAX ||
             !vlt_is_ok(token_traits_check(&subject->traits))))
            abort();
        (void)subject_claim_at(subject->claims, "a/b/c/d/e/f/g/h/i/j");
    }
    subject_free(subject);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct jwks_document document = {0};
    struct bytes input = bytes_of(at, size), domain;
    read_payload(input);
    if (vlt_is_ok(jwks_document_read(input, "https://idp", "https://idp/d", NULL, &document)))
        jwk_set_free(document.keys);
    if (spiffe_id_split(input, &domain) && !bytes_begin_with(input, domain))
        abort();
    return 0;
}
