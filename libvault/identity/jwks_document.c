// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/jwks_document.h"

#include "libvault/base/jsontext.h"
#include "libvault/identity/issuer.h"

bool issuer_is_spiffe(const char *issuer) {
    return bytes_begin_with(bytes_of_text(issuer), BYTES_LITERAL("spiffe://"));
}

// The keys of a SPIFFE bundle that sign JWT-SVIDs, as a plain JWK Set: "use" is
// SPIFFE's own there and would make every entry unknown.
static json_t *svid_keys(const json_t *document) {
    const json_t *keys = json_object_get(document, "keys");
    json_t *kept = json_array(), *set = json_object();
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *use = json_string_value(json_object_get(json_array_get(keys, i), "use"));
        if (!use || strcmp(use, "jwt-svid") != 0)
            continue;
        json_t *key = json_copy(json_array_get(keys, i));
        json_object_del(key, "use");
        json_array_append_new(kept, key);
    }
    if (json_object_set_new(set, "keys", kept) != 0) {
        json_decref(set);
        return NULL;
    }
    return set;
}

vlt_result issuer_keys_parse(const json_t *document, bool is_spiffe, struct fault *fault,
                             struct jwk_set **ret_keys) {
    if (!is_spiffe)
        return jwk_set_parse_json(document, 0, fault, ret_keys);
    if (!json_is_array(json_object_get(document, "keys")))
        return fault_set(fault, VLT_MALFORMED, "no key set", "the bundle has no list of keys");
    json_t *set = svid_keys(document);
    if (!set)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = jwk_set_parse_json(set, 0, fault, ret_keys);
    json_decref(set);
    return result;
}

static vlt_result parse_json(struct bytes body, struct fault *fault, json_t **ret_root) {
    struct jsontext_limits limits = jsontext_document_limits;
    limits.max_bytes = JWKS_MAX_BYTES;
    VLT_TRY(jsontext_parse(body, &limits, fault, ret_root));
    if (json_is_object(*ret_root))
        return vlt_ok();
    json_decref(*ret_root);
    return fault_set(fault, VLT_MALFORMED, "not an object", "the document is not an object");
}

vlt_result jwks_document_keys(struct bytes body, const char *issuer, struct fault *fault,
                              struct jwk_set **ret_keys) {
    json_t *root = NULL;
    VLT_TRY(parse_json(body, fault, &root));
    vlt_result result = issuer_keys_parse(root, issuer_is_spiffe(issuer), fault, ret_keys);
    json_decref(root);
    return result;
}

// "https://host:port" of a URL; empty when it is not https.
static struct bytes origin_of(struct bytes url) {
    static const struct bytes scheme = BYTES_LITERAL("https://");
    if (!bytes_begin_with(url, scheme))
        return bytes_of(NULL, 0);
    return bytes_of(url.at, scheme.size + bytes_find(bytes_from(url, scheme.size), '/'));
}

static bool is_https_url(struct bytes uri) {
    struct bytes origin = origin_of(uri);
    for (size_t i = 0; i < uri.size; i++) {
        if (uri.at[i] <= 0x20 || uri.at[i] >= 0x7F || uri.at[i] == '\\')
            return false;
    }
    return origin.size && bytes_find(origin, '@') == origin.size && origin.size < uri.size;
}

// Whoever serves the discovery document could else send us anywhere. Some have their
// keys elsewhere all the same (Google): an administrator can say so.
static vlt_result check_host(struct bytes uri, const char *url, struct fault *fault) {
    if (!is_https_url(uri))
        return fault_set(fault, VLT_DENIED, "keys without https",
                         "jwks_uri of the discovery document is not an https URL");
    if (!bytes_equal_nocase(origin_of(uri), origin_of(bytes_of_text(url))))
        return fault_set(fault, VLT_DENIED, "keys on another host",
                         "its keys are on another host than the discovery document; if that is "
                         "theirs, configure it as discovery_url: %.*s",
                         (int)uri.size, (const char *)uri.at);
    return vlt_ok();
}

static vlt_result read_discovery(const json_t *root, const char *issuer, const char *url,
                                 struct fault *fault, struct jwks_document *document) {
    const json_t *named = json_object_get(root, "issuer");
    const json_t *uri = json_object_get(root, "jwks_uri");
    if (!json_is_string(named) || !json_is_string(uri))
        return fault_set(fault, VLT_MALFORMED, "not a discovery document",
                         "issuer or jwks_uri is missing");
    if (strcmp(json_string_value(named), issuer) != 0)
        return fault_set(fault, VLT_DENIED, "another issuer",
                         "the discovery document is that of another issuer");
    struct bytes text = bytes_of(json_string_value(uri), json_string_length(uri));
    VLT_TRY(check_host(text, url, fault));
    if (!bytes_to_text(text, document->jwks_uri, sizeof document->jwks_uri))
        return fault_set(fault, VLT_LIMIT, "URL too long", "jwks_uri is too long");
    return vlt_ok();
}

vlt_result jwks_document_read(struct bytes body, const char *issuer, const char *url,
                              struct fault *fault, struct jwks_document *ret_document) {
    struct jwks_document document = {0};
    json_t *root = NULL;
    VLT_TRY(parse_json(body, fault, &root));
    vlt_result result =
        json_object_get(root, "keys")
            ? issuer_keys_parse(root, issuer_is_spiffe(issuer), fault, &document.keys)
            : read_discovery(root, issuer, url, fault, &document);
    json_decref(root);
    if (vlt_is_ok(result))
        *ret_document = document;
    return result;
}
