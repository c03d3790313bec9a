// SPDX-License-Identifier: Apache-2.0
#include "vaultd/redeemer/redeem_request.h"

#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/base/jsonflat.h"
#include "libvault/http/http_path.h"
#include "vaultd/ipc/message_fields.h"

#define BODY_MAX_BYTES 32768 // a token of 8 KiB, a proof, and facts

static vlt_result take_texts(struct bytes body, struct redeem_request *r, struct bytes *scheme,
                             struct bytes *certificate, struct fault *fault) {
    const struct jsonflat_member members[] = {
        {"token", &r->token, IPC_TOKEN_MAX, true, NULL},
        {"scheme", scheme, 8, true, NULL},
        {"destination", &r->destination, 255, true, NULL},
        {"method", &r->method, 16, true, NULL},
        {"path", &r->path, 4096, true, NULL},
        {"uri", &r->uri, 8192, false, NULL},
        {"proof", &r->proof, 8192, false, NULL},
        {"client_certificate", certificate, 43, false, NULL},
        {"model", &r->model, 256, false, NULL},
        {"tool", &r->tool, 256, false, NULL},
        {"max_tokens", NULL, 0, false, &r->max_tokens},
        {"source", &r->source, 64, false, NULL},
        {"request_id", &r->request_id, 64, false, NULL},
    };
    return jsonflat_parse(body, BODY_MAX_BYTES, members, sizeof members / sizeof *members, r->room,
                          fault);
}

static vlt_result take_certificate(struct redeem_request *r, struct bytes text,
                                   struct fault *fault) {
    size_t size = 0;
    if (text.size == 0)
        return vlt_ok();
    vlt_result result = b64u_decode(text, r->certificate, sizeof r->certificate, &size);
    if (!vlt_is_ok(result) || size != sizeof r->certificate)
        return fault_set(
            fault, VLT_MALFORMED, "not a thumbprint",
            "the member \"client_certificate\" must be a SHA-256 thumbprint in base64url");
    r->has_certificate = true;
    return vlt_ok();
}

// The forwarder sends the path that will go upstream. One that is not in its one
// spelling could mean another thing there than here.
static vlt_result check_path(struct bytes path, struct fault *fault) {
    uint8_t room[4096];
    struct bytes normal;
    if (!vlt_is_ok(http_path_normalise(path, room, sizeof room, &normal)) ||
        !bytes_equal(path, normal))
        return fault_set(fault, VLT_MALFORMED, "the path is not normal",
                         "the member \"path\" is not a normalised path");
    return vlt_ok();
}

// Methods differ by case (RFC 9110 section 9.1), and policies name those in capitals.
static vlt_result check_method(struct bytes method, struct fault *fault) {
    for (size_t i = 0; i < method.size; i++)
        if ((method.at[i] < 'A' || method.at[i] > 'Z') && method.at[i] != '-')
            return fault_set(fault, VLT_MALFORMED, "not a method",
                             "the member \"method\" must be capital letters");
    return vlt_ok();
}

// It goes on as a header, and people look for it in logs.
static vlt_result check_request_id(struct bytes id, struct fault *fault) {
    for (size_t i = 0; i < id.size; i++)
        if (id.at[i] <= 0x20 || id.at[i] > 0x7e)
            return fault_set(fault, VLT_MALFORMED, "not a request id",
                             "the member \"request_id\" must be visible ASCII characters");
    return vlt_ok();
}

static vlt_result parse(struct bytes body, struct redeem_request *r, struct fault *fault) {
    struct bytes scheme = {NULL, 0}, certificate = {NULL, 0};
    VLT_TRY(take_texts(body, r, &scheme, &certificate, fault));
    r->is_dpop = bytes_equal_text(scheme, "dpop");
    if (!r->is_dpop && !bytes_equal_text(scheme, "bearer"))
        return fault_set(fault, VLT_MALFORMED, "an unknown scheme",
                         "the member \"scheme\" must be bearer or dpop");
    VLT_TRY(take_certificate(r, certificate, fault));
    VLT_TRY(check_request_id(r->request_id, fault));
    VLT_TRY(check_method(r->method, fault));
    return check_path(r->path, fault);
}

vlt_result redeem_request_parse(struct bytes body, struct fault *fault,
                                struct redeem_request *ret_request) {
    struct redeem_request request = {.room = malloc(body.size + 1)};
    if (!request.room)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = parse(body, &request, fault);
    if (!vlt_is_ok(result)) {
        free(request.room);
        return result;
    }
    *ret_request = request;
    return vlt_ok();
}

void redeem_request_done(struct redeem_request *request) {
    free(request->room);
    *request = (struct redeem_request){0};
}
