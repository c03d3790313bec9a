// SPDX-License-Identifier: Apache-2.0
#include "vaultd/redeemer/redeem_request.h"

#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "libvault/http/http_path.h"
#include "vaultd/ipc/message_fields.h"

// DESIGN: a token of 8 KiB, a proof, and facts.
static const struct jsontext_limits body_limits = {.max_bytes = 32768, .max_depth = 2};

struct text_member {
    const char *name;
    struct bytes *to;
    size_t max_bytes;
    bool is_required;
};

static vlt_result take_text(const json_t *root, const struct text_member *member, struct fault *fault) {
    const json_t *value = json_object_get(root, member->name);
    if (!value && !member->is_required)
        return vlt_ok();
    if (!value)
        return fault_set(fault, VLT_MALFORMED, "a member is missing", "the member \"%s\" is missing", member->name);
    if (!json_is_string(value))
        return fault_set(fault, VLT_MALFORMED, "a member has the wrong type", "the member \"%s\" must be a text", member->name);
    struct bytes text = bytes_of(json_string_value(value), json_string_length(value));
    if (text.size > member->max_bytes || (member->is_required && text.size == 0))
        return fault_set(fault, VLT_LIMIT, "a member is empty or too long",
                         "the member \"%s\" must have 1 to %zu bytes", member->name, member->max_bytes);
    *member->to = text;
    return vlt_ok();
}

static vlt_result take_texts(struct redeem_request *r, struct bytes *scheme, struct bytes *certificate,
                             struct fault *fault) {
    const struct text_member members[] = {
        {"token", &r->token, IPC_TOKEN_MAX, true},
        {"scheme", scheme, 8, true},
        {"destination", &r->destination, 255, true},
        {"method", &r->method, 16, true},
        {"path", &r->path, 4096, true},
        {"uri", &r->uri, 8192, false},
        {"proof", &r->proof, 8192, false},
        {"client_certificate", certificate, 43, false},
        {"model", &r->model, 256, false},
        {"tool", &r->tool, 256, false},
        {"source", &r->source, 64, false},
        {"request_id", &r->request_id, 64, false},
    };
    static const char *const names[] = {"token", "scheme", "destination", "method", "path", "uri", "proof",
                                        "client_certificate", "model", "tool", "source", "request_id", NULL};
    VLT_TRY(jsontext_only_members(r->root, names, fault));
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        VLT_TRY(take_text(r->root, &members[i], fault));
    return vlt_ok();
}

static vlt_result take_certificate(struct redeem_request *r, struct bytes text, struct fault *fault) {
    size_t size = 0;
    if (text.size == 0)
        return vlt_ok();
    vlt_result result = b64u_decode(text, r->certificate, sizeof r->certificate, &size);
    if (!vlt_is_ok(result) || size != sizeof r->certificate)
        return fault_set(fault, VLT_MALFORMED, "not a thumbprint",
                         "the member \"client_certificate\" must be a SHA-256 thumbprint in base64url");
    r->has_certificate = true;
    return vlt_ok();
}

// The forwarder sends the path that will go upstream. One that is not in its one
// spelling could mean another thing there than here.
static vlt_result check_path(struct bytes path, struct fault *fault) {
    uint8_t room[4096];
    struct bytes normal;
    if (!vlt_is_ok(http_path_normalise(path, room, sizeof room, &normal)) || !bytes_equal(path, normal))
        return fault_set(fault, VLT_MALFORMED, "the path is not normal",
                         "the member \"path\" is not a normalised path");
    return vlt_ok();
}

static vlt_result parse(struct redeem_request *r, struct fault *fault) {
    struct bytes scheme = {NULL, 0}, certificate = {NULL, 0};
    VLT_TRY(take_texts(r, &scheme, &certificate, fault));
    r->is_dpop = bytes_equal_text(scheme, "dpop");
    if (!r->is_dpop && !bytes_equal_text(scheme, "bearer"))
        return fault_set(fault, VLT_MALFORMED, "an unknown scheme", "the member \"scheme\" must be bearer or dpop");
    VLT_TRY(take_certificate(r, certificate, fault));
    return check_path(r->path, fault);
}

vlt_result redeem_request_parse(struct bytes body, struct fault *fault, struct redeem_request *ret_request) {
    struct redeem_request request = {0};
    VLT_TRY(jsontext_parse(body, &body_limits, fault, &request.root));
    vlt_result result = json_is_object(request.root) ? parse(&request, fault)
                                                     : vlt_fail(VLT_MALFORMED, "a JSON object was expected");
    if (!vlt_is_ok(result)) {
        json_decref(request.root);
        return result;
    }
    *ret_request = request;
    return vlt_ok();
}

void redeem_request_done(struct redeem_request *request) {
    json_decref(request->root);
    *request = (struct redeem_request){0};
}
