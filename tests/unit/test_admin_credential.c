// SPDX-License-Identifier: Apache-2.0
// The Admin API: credentials, and administrators who come over TLS with a token.
#include "tests/unit/admin_case.h"

#include "libvault/base/clock.h"
#include "libvault/base/hex.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"

// ---- Credentials ----

// Open only while needed: a child of fork has no such memory, and the next test
// forks its server.
static struct secret *secret_of(const char *value) {
    assert_true(vlt_is_ok(secret_heap_open(65536, NULL)));
    struct secret *secret = secret_new(1024);
    assert_non_null(secret);
    assert_true(vlt_is_ok(secret_set(secret, value, strlen(value))));
    return secret;
}

static void secret_end(struct secret *secret) {
    secret_free(secret);
    secret_heap_close();
}

static vlt_result put_credential(enum vault_credential_change change, const char *name,
                                 const char *profile, const char *value, struct fault *fault) {
    struct secret *secret = secret_of(value);
    const struct vault_credential credential = {.tenant = "acme", .name = name, .profile = profile,
                                                .description = "for tests", .grace_s = 60};
    json_t *answer = NULL;
    vlt_result result = vault_credential_put(vault, change, &credential, secret, fault, &answer);
    json_decref(answer);
    secret_end(secret);
    return result;
}

static void assert_opened(const char *value) {
    uint8_t digest[32];
    char text[65];
    assert_true(vlt_is_ok(digest_sha256(bytes_of_text(value), digest)));
    hex_encode(bytes_of(digest, 32), text);
    json_t *status = call("GET", "/v1/status", NULL, 200);
    assert_string_equal(text_of(status, "opened_sha256"), text);
    done(status);
}

static void admin_accepts_credentials(void **state) {
    struct fault fault = {0};
    assert_true(vlt_is_ok(
        put_credential(VAULT_CREDENTIAL_CREATE, "openai-prod", "openai", MARKER, &fault)));
    assert_opened(MARKER);
    json_t *credential = call("GET", "/v1/tenants/acme/credentials/openai-prod", NULL, 200);
    assert_string_equal(text_of(credential, "profile"), "openai");
    assert_string_equal(json_string_value(json_array_get(json_object_get(credential, "hosts"), 0)),
                        "api.openai.com");
    char *shown = json_dumps(credential, 0);
    assert_null(strstr(shown, MARKER));
    assert_null(json_object_get(credential, "value"));
    free(shown);
    done(credential);
    // Rotation keeps what is not said anew.
    assert_true(vlt_is_ok(
        put_credential(VAULT_CREDENTIAL_ROTATE, "openai-prod", NULL, "sk-second", &fault)));
    assert_opened("sk-second");
    credential = call("GET", "/v1/tenants/acme/credentials/openai-prod", NULL, 200);
    assert_string_equal(text_of(credential, "profile"), "openai");
    assert_int_equal(json_integer_value(json_object_get(credential, "version")), 2);
    done(credential);
    done(call("POST", "/v1/tenants/acme/credentials/openai-prod/disable", NULL, 200));
    done(call("POST", "/v1/tenants/acme/credentials/openai-prod/enable", NULL, 200));
    done(call("DELETE", "/v1/tenants/acme/credentials/openai-prod", NULL, 200));
    json_t *list = call("GET", "/v1/tenants/acme/credentials", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(list, "items")), 0);
    done(list);
    refused("POST", "/v1/tenants/acme/credentials/openai-prod/enable", NULL, 404, "name");
}

static void assert_put_fails(const char *name, const char *profile, enum vlt_class class,
                             const char *says) {
    struct fault fault = {0};
    vlt_result result = put_credential(VAULT_CREDENTIAL_CREATE, name, profile, MARKER, &fault);
    assert_int_equal(result.class, class);
    if (!strstr(fault.text, says))
        print_error("%s\n", fault.text);
    assert_non_null(strstr(fault.text, says));
}

static void admin_rejects_credentials(void **state) {
    struct fault fault = {0};
    assert_put_fails("c1", "no-such-profile", VLT_MALFORMED, "no-such-profile");
    assert_put_fails("c1", "generic-bearer", VLT_MALFORMED, "hosts");
    assert_true(vlt_is_ok(put_credential(VAULT_CREDENTIAL_CREATE, "c2", "openai", MARKER, &fault)));
    assert_put_fails("c2", "openai", VLT_CONFLICT, "already");
    assert_int_equal(put_credential(VAULT_CREDENTIAL_ROTATE, "c3", NULL, MARKER, &fault).class,
                     VLT_NOT_FOUND);
    static const char path[] = "/v1/tenants/acme/credentials/c4";
    refused("POST", path, "{\"profile\":\"openai\"}", 400, "jwe");
    refused("POST", path, "{\"profile\":\"openai\",\"jwe\":\"a.b.c.d.e\"}", 400, "jwe");
    refused("POST", path, "{\"profile\":\"openai\",\"jwe\":\"sk-plain\"}", 400, "jwe");
    refused("POST", path, "{\"profile\":\"openai\",\"value\":\"sk-plain\"}", 400, "value");
    refused("POST", path, "{\"jwe\":\"a.b.c.d.e\"}", 400, "profile");
    refused("POST", "/v1/tenants/acme/credentials/c2/rotate",
            "{\"jwe\":\"a.b.c.d.e\",\"grace_s\":-1}", 400, "grace_s");
    refused("POST", "/v1/tenants/acme/credentials/C2", "{}", 400, "name");
    refused("GET", "/v1/tenants/nobody/credentials", NULL, 404, "tenant");
}

static void admin_rejects_hosts_outside_the_profile(void **state) {
    struct secret *secret = secret_of("x");
    json_t *hosts = json_pack("[s]", "evil.example"), *answer = NULL;
    struct vault_credential credential = {
        .tenant = "acme", .name = "c5", .profile = "openai", .hosts = hosts};
    struct fault fault = {0};
    vlt_result result =
        vault_credential_put(vault, VAULT_CREDENTIAL_CREATE, &credential, secret, &fault, &answer);
    assert_int_equal(result.class, VLT_MALFORMED);
    assert_non_null(strstr(fault.text, "evil.example"));
    credential.profile = "generic-bearer"; // goes anywhere, when said
    assert_true(vlt_is_ok(vault_credential_put(vault, VAULT_CREDENTIAL_CREATE, &credential, secret,
                                               &fault, &answer)));
    json_decref(answer);
    json_decref(hosts);
    secret_end(secret);
}

// ---- Administrators over TLS ----

static EVP_PKEY *idp_key;

// Tenant "ops" trusts an issuer whose key is in idp_key; group "admins" may do
// everything, group "readers" may read, in tenant acme too.
static int start_remote(void **state) {
    start(&(struct harness_settings){.oidc_tenant = "ops"});
    struct jwk *jwk = NULL;
    json_t *public_key = NULL;
    assert_true(vlt_is_ok(pkey_generate(PKEY_P256, &idp_key)));
    EVP_PKEY_up_ref(idp_key);
    assert_true(vlt_is_ok(jwk_of_pkey(idp_key, "k1", &jwk)));
    assert_true(vlt_is_ok(jwk_export(jwk, "ES256", "sig", &public_key)));
    jwk_free(jwk);
    done(call("POST", "/v1/init", INIT, 201));
    done(call("POST", "/v1/tenants", "{\"name\":\"ops\"}", 201));
    done(call("POST", "/v1/tenants", "{\"name\":\"acme\"}", 201));
    json_t *issuer =
        json_pack("{s:s,s:[s],s:[s],s:s,s:{s:[o]},s:[{s:s,s:s}]}", "issuer", "https://idp.test",
                  "audiences", "vault", "algorithms", "ES256", "kind", "user", "jwks", "keys",
                  public_key, "groups", "claim", "groups", "value", "*");
    char *text = json_dumps(issuer, 0);
    done(call("PUT", "/v1/tenants/ops/issuers/corp", text, 201));
    free(text);
    json_decref(issuer);
    done(call("PUT", "/v1/tenants/ops/policies",
              "{\"documents\":[{\"name\":\"admin.cedar\",\"text\":"
              "\"permit(principal in Group::\\\"admins\\\", action in Action::\\\"administer\\\", "
              "resource);"
              "permit(principal in Group::\\\"readers\\\", action == Action::\\\"readTenant\\\", "
              "resource == Tenant::\\\"acme\\\");"
              "permit(principal in Group::\\\"rotators\\\", action == "
              "Action::\\\"rotateCredential\\\", resource)"
              "when { resource has profile && resource.profile == \\\"openai\\\" };\"}]}",
              200));
    return 0;
}

static int stop_remote(void **state) {
    EVP_PKEY_free(idp_key);
    idp_key = NULL;
    return stop(state);
}

static char *token_of(const char *group, const char *audience, int64_t lifetime_s) {
    struct jwk *jwk = NULL;
    struct buf out;
    EVP_PKEY_up_ref(idp_key);
    assert_true(vlt_is_ok(jwk_of_pkey(idp_key, "k1", &jwk)));
    json_t *claims = json_pack("{s:s,s:s,s:s,s:I,s:I,s:[s]}", "iss", "https://idp.test", "sub",
                               "alice", "aud", audience, "iat", (json_int_t)clock_now_s() - 600,
                               "exp", (json_int_t)(clock_now_s() + lifetime_s), "groups", group);
    char *text = json_dumps(claims, 0);
    buf_init(&out, 8192);
    assert_true(
        vlt_is_ok(jws_sign(jwk, BYTES_LITERAL("{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"JWT\"}"),
                           bytes_of_text(text), &out)));
    char *token = strdup(buf_text(&out));
    buf_done(&out);
    free(text);
    json_decref(claims);
    jwk_free(jwk);
    return token;
}

// One GET or change over TLS with this token; the status.
static unsigned remote(const char *token, const char *method, const char *path, const char *body) {
    struct vault *client;
    const struct vault_settings settings = {
        .server = harness.tls_server, .ca_file = harness.ca_file, .bearer = token};
    json_t *root = body ? json_loads(body, 0, NULL) : NULL;
    const struct vault_call c = {.method = method, .path = path, .body = root};
    struct fault fault = {0};
    assert_true(vlt_is_ok(vault_open(&settings, NULL, &client)));
    vlt_result result = vault_call(client, &c, &fault, NULL, NULL);
    unsigned status = vault_status(client);
    if (!status)
        print_error("%s\n", fault_or_reason(&fault, result));
    vault_close(client);
    json_decref(root);
    return status;
}

static void admin_accepts_remote_administrators(void **state) {
    char *admin = token_of("admins", "vault", 300), *reader = token_of("readers", "vault", 300);
    assert_int_equal(remote(admin, "GET", "/v1/status", NULL), 200);
    assert_int_equal(remote(admin, "POST", "/v1/tenants", "{\"name\":\"made-remotely\"}"), 201);
    assert_int_equal(remote(admin, "GET", "/v1/tenants/acme/credentials", NULL), 200);
    assert_int_equal(remote(reader, "GET", "/v1/tenants/acme", NULL), 200);
    assert_int_equal(remote(reader, "GET", "/v1/health", NULL), 200);
    json_t *page = call("GET", "/v1/audit", NULL, 200);
    bool is_named = false;
    size_t i;
    const json_t *entries = json_object_get(page, "entries");
    for (i = 0; i < json_array_size(entries); i++)
        is_named |= !strcmp(text_of(json_array_get(entries, i), "administrator"),
                            "https://idp.test|alice") &&
                    !strcmp(text_of(json_array_get(entries, i), "operation"), "tenant.create");
    assert_true(is_named);
    done(page);
    free(admin);
    free(reader);
}

static void admin_rejects_remote_administrators(void **state) {
    char *reader = token_of("readers", "vault", 300), *stranger = token_of("others", "vault", 300);
    char *elsewhere = token_of("admins", "another", 300),
         *expired = token_of("admins", "vault", -120);
    assert_int_equal(remote(NULL, "GET", "/v1/status", NULL), 401);
    assert_int_equal(remote("not.a.token", "GET", "/v1/status", NULL), 401);
    assert_int_equal(remote(elsewhere, "GET", "/v1/status", NULL), 401);
    assert_int_equal(remote(expired, "GET", "/v1/status", NULL), 401);
    assert_int_equal(remote(stranger, "GET", "/v1/status", NULL), 403);
    assert_int_equal(remote(reader, "GET", "/v1/tenants/ops", NULL), 403); // another tenant
    assert_int_equal(remote(reader, "PATCH", "/v1/tenants/acme", "{\"disabled\":true}"), 403);
    assert_int_equal(remote(reader, "POST", "/v1/seal", NULL), 403);
    json_t *page = call("GET", "/v1/audit?count=100", NULL, 200);
    size_t denials = 0, i;
    const json_t *entries = json_object_get(page, "entries");
    for (i = 0; i < json_array_size(entries); i++)
        denials += !strcmp(text_of(json_array_get(entries, i), "outcome"), "deny");
    assert_int_equal(denials, 8); // each of the above is on record
    done(page);
    // The tenant's word ends it at once.
    done(call("PATCH", "/v1/tenants/ops", "{\"disabled\":true}", 200));
    assert_int_equal(remote(reader, "GET", "/v1/tenants/acme", NULL), 401);
    free(reader);
    free(stranger);
    free(elsewhere);
    free(expired);
}

static void admin_accepts_policies_about_a_credential(void **state) {
    struct fault fault = {0};
    char *rotator = token_of("rotators", "vault", 300);
    assert_true(vlt_is_ok(put_credential(VAULT_CREDENTIAL_CREATE, "c1", "openai", MARKER, &fault)));
    assert_true(
        vlt_is_ok(put_credential(VAULT_CREDENTIAL_CREATE, "c2", "anthropic", MARKER, &fault)));
    // Permitted, so the body is looked at and found wanting; and not permitted.
    assert_int_equal(remote(rotator, "POST", "/v1/tenants/acme/credentials/c1/rotate", "{}"), 400);
    assert_int_equal(remote(rotator, "POST", "/v1/tenants/acme/credentials/c2/rotate", "{}"), 403);
    assert_int_equal(remote(rotator, "GET", "/v1/intake-key", NULL), 200);
    free(rotator);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        READY(admin_accepts_credentials),
        READY(admin_rejects_credentials),
        READY(admin_rejects_hosts_outside_the_profile),
        cmocka_unit_test_setup_teardown(admin_accepts_remote_administrators, start_remote,
                                        stop_remote),
        cmocka_unit_test_setup_teardown(admin_rejects_remote_administrators, start_remote,
                                        stop_remote),
        cmocka_unit_test_setup_teardown(admin_accepts_policies_about_a_credential, start_remote,
                                        stop_remote),
    };
    return cmocka_run_group_tests_name("admin: credentials, remote administrators", tests, NULL,
                                       NULL);
}
