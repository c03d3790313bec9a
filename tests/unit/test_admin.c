// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvault/base/clock.h"
#include "libvault/base/hex.h"
#include "libvault/client/client_http.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"
#include "tests/unit/admin_harness.h"

#define INIT                                                                                       \
    "{\"reply_key\":{\"kty\":\"EC\",\"crv\":\"P-256\","                                            \
    "\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\","                                       \
    "\"y\":\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"}}"
#include "vaultd/admin/ops.h"

#define MARKER "sk-marker-7f1c-not-to-be-seen"

static struct harness harness;
static struct vault *vault;

static int start(const struct harness_settings *settings) {
    harness_start(&harness, settings);
    const struct vault_settings client = {.server = harness.server};
    assert_true(vlt_is_ok(vault_open(&client, NULL, &vault)));
    return 0;
}

static int stop(void **state) {
    vault_close(vault);
    harness_stop(&harness);
    return 0;
}

// One call; the body is JSON text or NULL. Returns the answer (to be decref'd),
// or an error's problem.
static json_t *call_if(const char *method, const char *path, const char *body, uint64_t revision,
                       unsigned expected_status) {
    json_t *root = body ? json_loads(body, 0, NULL) : NULL, *answer = NULL;
    assert_true(!body || root);
    const struct vault_call c = {
        .method = method, .path = path, .body = root, .expected_revision = revision};
    struct fault fault = {0};
    vlt_result result = vault_call(vault, &c, &fault, &answer, NULL);
    json_decref(root);
    if (vault_status(vault) != expected_status)
        print_error("%s %s: %u, %s\n", method, path, vault_status(vault),
                    fault_or_reason(&fault, result));
    assert_int_equal(vault_status(vault), expected_status);
    return vlt_is_ok(result) ? answer : json_incref((json_t *)(uintptr_t)vault_problem(vault));
}

static json_t *call(const char *method, const char *path, const char *body, unsigned status) {
    return call_if(method, path, body, 0, status);
}

static void done(json_t *answer) { json_decref(answer); }

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

// The call is refused with this status and names this field.
static void refused(const char *method, const char *path, const char *body, unsigned status,
                    const char *field) {
    json_t *problem = call(method, path, body, status);
    assert_string_equal(text_of(problem, "field"), field);
    assert_true(strlen(text_of(problem, "detail")) > 0);
    assert_true(strlen(text_of(problem, "title")) > 0);
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), status);
    done(problem);
}

static int start_new(void **state) { return start(&(struct harness_settings){0}); }

static int start_ready(void **state) {
    start_new(state);
    done(call("POST", "/v1/init", INIT, 201));
    done(call("POST", "/v1/tenants", "{\"name\":\"acme\"}", 201));
    return 0;
}

// ---- The vault ----

static void admin_rejects_before_init(void **state) {
    json_t *problem = call("POST", "/v1/tenants", "{\"name\":\"acme\"}", 503);
    assert_non_null(strstr(text_of(problem, "detail"), "vaultctl init"));
    done(problem);
    problem = call("GET", "/v1/intake-key", NULL, 503);
    assert_non_null(strstr(text_of(problem, "detail"), "vaultctl init"));
    done(problem);
    done(call("GET", "/v1/ready", NULL, 503));
    done(call("GET", "/v1/health", NULL, 200));
    json_t *status = call("GET", "/v1/status", NULL, 200);
    assert_string_equal(text_of(status, "state"), "uninitialised");
    done(status);
}

static void admin_accepts_init_seal_unseal(void **state) {
    done(call("POST", "/v1/init", INIT, 201));
    done(call("POST", "/v1/init", INIT, 409));
    done(call("GET", "/v1/ready", NULL, 200));
    done(call("POST", "/v1/tenants", "{\"name\":\"acme\"}", 201));
    done(call("POST", "/v1/seal", "{}", 200));
    json_t *problem = call("POST", "/v1/tenants", "{\"name\":\"other\"}", 503);
    assert_non_null(strstr(text_of(problem, "detail"), "vaultctl unseal"));
    done(problem);
    done(call("GET", "/v1/ready", NULL, 503));
    done(call("GET", "/v1/tenants", NULL, 200)); // descriptions are not secret
    done(call("POST", "/v1/unseal", NULL, 200));
    done(call("GET", "/v1/ready", NULL, 200));
}

static void admin_rejects_unknown_account(void **state) {
    json_t *problem = call("GET", "/v1/status", NULL, 403);
    assert_non_null(strstr(text_of(problem, "detail"), "allow_users"));
    done(problem);
    done(call("POST", "/v1/init", INIT, 403));
    done(call("GET", "/v1/audit", NULL, 403));
}

static void admin_survives_a_keeper_that_is_gone(void **state) {
    json_t *problem = call("GET", "/v1/status", NULL, 503);
    assert_non_null(strstr(text_of(problem, "detail"), "keeper does not answer"));
    done(problem);
    done(call("POST", "/v1/init", INIT, 503));
    done(call("GET", "/v1/health", NULL, 200));
}

// ---- Tenants ----

static void admin_accepts_tenants(void **state) {
    json_t *tenant = call("GET", "/v1/tenants/acme", NULL, 200);
    assert_string_equal(text_of(tenant, "name"), "acme");
    assert_int_equal(json_integer_value(json_object_get(tenant, "number")), 1);
    done(tenant);
    tenant = call("PATCH", "/v1/tenants/acme",
                  "{\"disabled\":true,\"description\":\"ACME \\u00e9\"}", 200);
    assert_true(json_is_true(json_object_get(tenant, "disabled")));
    done(tenant);
    tenant = call("GET", "/v1/tenants/acme", NULL, 200);
    assert_true(json_is_true(json_object_get(tenant, "disabled")));
    assert_string_equal(text_of(tenant, "description"), "ACME \xc3\xa9");
    done(tenant);
    done(call("PATCH", "/v1/tenants/acme", "{\"disabled\":false}", 200));
}

static void admin_rejects_tenants(void **state) {
    refused("POST", "/v1/tenants", "{\"name\":\"acme\"}", 409, "name");
    refused("POST", "/v1/tenants", "{\"name\":\"Acme\"}", 400, "name");
    refused("POST", "/v1/tenants", "{\"name\":5}", 400, "name");
    refused("POST", "/v1/tenants", "{}", 400, "name");
    refused("POST", "/v1/tenants", "{\"name\":\"a\",\"owner\":\"x\"}", 400, "owner");
    refused("POST", "/v1/tenants", "{\"name\":\"a\",\"description\":\"line\\nline\"}", 400,
            "description");
    refused("GET", "/v1/tenants/nobody", NULL, 404, "name");
    refused("PATCH", "/v1/tenants/nobody", "{\"disabled\":true}", 404, "tenant");
    refused("PATCH", "/v1/tenants/acme", "{\"disabled\":\"yes\"}", 400, "disabled");
    refused("PATCH", "/v1/tenants/acme", "{}", 400, "");
    refused("GET", "/v1/tenants/%41", NULL, 400, "tenant");
    refused("GET", "/v1/tenants/nobody/issuers", NULL, 404, "tenant");
    done(call("DELETE", "/v1/tenants/acme", NULL, 405));
}

static void admin_rejects_stale_changes(void **state) {
    uint64_t revision = 0;
    const struct vault_call read = {.method = "GET", .path = "/v1/tenants/acme"};
    assert_true(vlt_is_ok(vault_call(vault, &read, NULL, NULL, &revision)));
    assert_true(revision > 0);
    done(call_if("PATCH", "/v1/tenants/acme", "{\"disabled\":true}", revision + 1, 412));
    done(call_if("PATCH", "/v1/tenants/acme", "{\"disabled\":true}", revision, 200));
    done(call_if("PATCH", "/v1/tenants/acme", "{\"disabled\":false}", revision, 412));
    const struct client_header bad = {"If-Match", "W/\"1\""};
    const struct client_request request = {.method = "PATCH", .target = "/v1/tenants/acme",
        .media_type = "application/json", .body = BYTES_LITERAL("{\"disabled\":true}"),
        .headers = &bad, .header_count = 1};
    struct client_http *http;
    struct client_answer answer;
    const struct vault_settings settings = {.server = harness.server};
    assert_true(vlt_is_ok(client_http_open(&settings, NULL, &http)));
    assert_true(vlt_is_ok(client_http_send(http, &request, NULL, &answer)));
    assert_int_equal(answer.status, 400);
    client_answer_done(&answer);
    client_http_close(http);
}

static void admin_accepts_pages(void **state) {
    for (int i = 0; i < 12; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"name\":\"t%02d\"}", i);
        done(call("POST", "/v1/tenants", body, 201));
    }
    json_t *page = call("GET", "/v1/tenants?limit=5", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(page, "items")), 5);
    assert_string_equal(text_of(page, "next"), "t03");
    done(page);
    page = call("GET", "/v1/tenants?limit=8&after=t03", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(page, "items")), 8);
    assert_null(json_object_get(page, "next"));
    assert_string_equal(text_of(json_array_get(json_object_get(page, "items"), 0), "name"), "t04");
    done(page);
    refused("GET", "/v1/tenants?limit=0", NULL, 400, "limit");
    refused("GET", "/v1/tenants?limit=1001", NULL, 400, "limit");
    refused("GET", "/v1/tenants?limit=5&limit=6", NULL, 400, "limit");
    refused("GET", "/v1/tenants?colour=red", NULL, 400, "colour");
}

// ---- Bodies ----

static unsigned send_raw(const char *media_type, struct bytes body, char *detail,
                         size_t detail_size) {
    struct client_http *http;
    struct client_answer answer;
    const struct vault_settings settings = {.server = harness.server};
    const struct client_request request = {
        .method = "POST", .target = "/v1/tenants", .media_type = media_type, .body = body};
    assert_true(vlt_is_ok(client_http_open(&settings, NULL, &http)));
    assert_true(vlt_is_ok(client_http_send(http, &request, NULL, &answer)));
    unsigned status = answer.status;
    if (detail)
        snprintf(detail, detail_size, "%.*s", (int)answer.body.size, (const char *)answer.body.at);
    client_answer_done(&answer);
    client_http_close(http);
    return status;
}

static void admin_rejects_bodies(void **state) {
    char text[1024];
    assert_int_equal(send_raw("text/plain", BYTES_LITERAL("{\"name\":\"x\"}"), text, sizeof text),
                     415);
    assert_non_null(strstr(text, "\"Content-Type\""));
    assert_int_equal(send_raw("application/json", BYTES_LITERAL("{\"name\":\"x\",\"name\":\"y\"}"),
                              text, sizeof text),
                     400);
    assert_non_null(strstr(text, "name"));
    assert_int_equal(
        send_raw("application/json", BYTES_LITERAL("{\n\"name\":}"), text, sizeof text), 400);
    assert_non_null(strstr(text, "\"line\":2"));
    assert_int_equal(send_raw("application/json", BYTES_LITERAL("[]"), NULL, 0), 400);
    assert_int_equal(send_raw("application/json", BYTES_LITERAL("{\"name\":\"\xff\"}"), NULL, 0),
                     400);
    char *large = calloc(1, 20000);
    memset(large, ' ', 20000);
    assert_int_equal(send_raw("application/json", bytes_of(large, 20000), NULL, 0), 413);
    free(large);
    done(call("GET", "/v1/health", NULL, 200));
}

// Truncations, flipped bits and appended bytes: an answer each time, never 500.
static void admin_survives_mutated_bodies(void **state) {
    static const char whole[] = "{\"name\":\"mutant\",\"description\":\"d\"}";
    size_t size = sizeof whole - 1;
    uint8_t body[64];
    for (size_t cut = 1; cut < size; cut += 3)
        assert_int_equal(send_raw("application/json", bytes_of(whole, cut), NULL, 0), 400);
    for (size_t i = 0; i < size; i++) {
        memcpy(body, whole, size);
        body[i] ^= (uint8_t)(1u << (i % 8));
        unsigned status = send_raw("application/json", bytes_of(body, size), NULL, 0);
        assert_true(status == 201 || status == 400 || status == 409);
    }
    memcpy(body, whole, size);
    body[size] = '}';
    assert_int_equal(send_raw("application/json", bytes_of(body, size + 1), NULL, 0), 400);
    done(call("GET", "/v1/health", NULL, 200));
}

// ---- Issuers ----

#define ISSUER                                                                                     \
    "\"issuer\":\"https://"                                                                        \
    "idp.test\",\"audiences\":[\"vault\"],\"algorithms\":[\"RS256\"],\"kind\":\"user\""

static void admin_accepts_issuers(void **state) {
    done(call("PUT", "/v1/tenants/acme/issuers/corp",
              "{" ISSUER
              ",\"discovery_url\":\"https://idp.test/.well-known/openid-configuration\"}",
              201));
    json_t *issuer = call("GET", "/v1/tenants/acme/issuers/corp", NULL, 200);
    assert_string_equal(text_of(issuer, "issuer"), "https://idp.test");
    assert_string_equal(text_of(issuer, "name"), "corp");
    done(issuer);
    done(call("PUT", "/v1/tenants/acme/issuers/corp",
              "{" ISSUER ",\"discovery_url\":\"https://idp.test/"
                         "x\",\"groups\":[{\"claim\":\"groups\",\"value\":\"*\"}]}",
              200));
    json_t *list = call("GET", "/v1/tenants/acme/issuers", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
    done(list);
    done(call("DELETE", "/v1/tenants/acme/issuers/corp", NULL, 200));
    refused("GET", "/v1/tenants/acme/issuers/corp", NULL, 404, "name");
    refused("DELETE", "/v1/tenants/acme/issuers/corp", NULL, 404, "name");
}

static void admin_rejects_issuers(void **state) {
    static const char path[] = "/v1/tenants/acme/issuers/corp";
    refused("PUT", path, "{" ISSUER "}", 400, "discovery_url");
    refused("PUT", path, "{" ISSUER ",\"discovery_url\":\"http://idp.test\"}", 400,
            "discovery_url");
    refused("PUT", path, "{" ISSUER ",\"discovery_url\":\"https://i\",\"colour\":1}", 400,
            "colour");
    refused("PUT", path, "{" ISSUER ",\"discovery_url\":\"https://i\",\"name\":\"other\"}", 400,
            "name");
    refused("PUT", path, "{" ISSUER ",\"jwks\":{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}}", 400,
            "jwks");
    refused("PUT", path, "{" ISSUER ",\"jwks\":{\"keys\":5}}", 400, "jwks");
    refused("GET", path, NULL, 404, "name");
}

// ---- Policies ----

static void admin_accepts_policies(void **state) {
    json_t *set = call("GET", "/v1/tenants/acme/policies", NULL, 200);
    assert_int_equal(json_integer_value(json_object_get(set, "version")), 0);
    done(set);
    done(call("PUT", "/v1/tenants/acme/policies",
              "{\"documents\":[{\"name\":\"main.cedar\",\"text\":\"permit(principal, action, "
              "resource);\"}],"
              "\"expected_version\":0}",
              200));
    set = call("GET", "/v1/tenants/acme/policies?text=1", NULL, 200);
    const json_t *document = json_array_get(json_object_get(set, "documents"), 0);
    assert_string_equal(text_of(document, "text"), "permit(principal, action, resource);");
    assert_int_equal(json_integer_value(json_object_get(set, "version")), 1);
    assert_true(strncmp(text_of(set, "activated_by"), "uid ", 4) == 0);
    done(set);
    refused("PUT", "/v1/tenants/acme/policies", "{\"documents\":[],\"expected_version\":0}", 409,
            "expected_version");
}

// A set whose texts need several commits is in force only when all are there.
static void admin_accepts_large_policies(void **state) {
    json_t *documents = json_array();
    for (int i = 0; i < 9; i++) {
        struct buf text;
        char name[32];
        buf_init(&text, 96000);
        snprintf(name, sizeof name, "part%d.cedar", i);
        buf_put_format(&text, "// %d ", i);
        while (text.size < 70000)
            buf_put_text(&text, "a long explanation of the next policy ");
        buf_put_text(&text, "\npermit(principal, action, resource);\n");
        json_array_append_new(documents,
                              json_pack("{s:s,s:s}", "name", name, "text", buf_text(&text)));
        buf_done(&text);
    }
    json_t *body = json_pack("{s:o}", "documents", documents);
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    done(call("PUT", "/v1/tenants/acme/policies", text, 200));
    free(text);
    json_t *set = call("GET", "/v1/tenants/acme/policies?text=1", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(set, "documents")), 9);
    assert_true(strlen(text_of(json_array_get(json_object_get(set, "documents"), 8), "text")) >
                70000);
    done(set);
}

static void admin_rejects_policies(void **state) {
    static const char path[] = "/v1/tenants/acme/policies";
    json_t *problem =
        call("PUT", path,
             "{\"documents\":[{\"name\":\"a.cedar\",\"text\":\"permit(principal,\\n  action);\"},"
             "{\"name\":\"b.cedar\",\"text\":\"permit(principal, action, resource) when { "
             "principal.shoe == 5 };\"}]}",
             400);
    const json_t *faults = json_object_get(problem, "faults");
    assert_int_equal(json_array_size(faults), 2); // one of each document, at once
    assert_string_equal(text_of(json_array_get(faults, 0), "document"), "a.cedar");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(faults, 0), "line")), 2);
    assert_true(json_integer_value(json_object_get(json_array_get(faults, 0), "column")) > 0);
    assert_string_equal(text_of(json_array_get(faults, 1), "document"), "b.cedar");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(faults, 1), "line")), 1);
    done(problem);
    refused("PUT", path, "{\"documents\":[{\"name\":\"a.cedar\"}]}", 400, "documents");
    refused("PUT", path, "{\"documents\":[{\"name\":\"A B\",\"text\":\"\"}]}", 400, "name");
    refused("PUT", path,
            "{\"documents\":[{\"name\":\"a\",\"text\":\"\"},{\"name\":\"a\",\"text\":\"\"}]}", 400,
            "name");
    refused("PUT", path, "{}", 400, "documents");
    json_t *set = call("GET", path, NULL, 200);
    assert_int_equal(json_integer_value(json_object_get(set, "version")), 0); // nothing changed
    done(set);
}

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

// ---- Forwarders, revocation, audit ----

static void admin_accepts_forwarders(void **state) {
    done(call("POST", "/v1/forwarders", "{\"name\":\"nginx\",\"uid\":33}", 201));
    done(call("POST", "/v1/forwarders",
              "{\"name\":\"edge\",\"certificate_sha256\":"
              "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"tenants\":["
              "\"acme\"]}",
              201));
    refused("POST", "/v1/forwarders", "{\"name\":\"nginx\",\"uid\":34}", 409, "name");
    refused("POST", "/v1/forwarders", "{\"name\":\"nginx2\",\"uid\":33}", 409, "uid");
    refused("POST", "/v1/forwarders", "{\"name\":\"f\",\"uid\":35,\"tenants\":[\"nobody\"]}", 400,
            "tenants");
    refused("POST", "/v1/forwarders", "{\"name\":\"f\"}", 400, "uid");
    refused("POST", "/v1/forwarders", "{\"name\":\"f\",\"uid\":\"www-data\"}", 400, "uid");
    json_t *list = call("GET", "/v1/forwarders", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(list, "items")), 2);
    done(list);
    done(call("DELETE", "/v1/forwarders/nginx", NULL, 200));
    refused("DELETE", "/v1/forwarders/nginx", NULL, 404, "name");
}

static void admin_accepts_revocations(void **state) {
    done(call("POST", "/v1/tenants/acme/revoke",
              "{\"kind\":\"principal\",\"value\":\"https://idp.test|alice\"}", 200));
    json_t *status = call("GET", "/v1/status", NULL, 200);
    assert_string_equal(text_of(status, "rule"), "1 2 https://idp.test|alice");
    done(status);
    refused("POST", "/v1/tenants/acme/revoke", "{\"kind\":\"person\",\"value\":\"x\"}", 400,
            "kind");
    refused("POST", "/v1/tenants/acme/revoke", "{\"kind\":\"token\"}", 400, "value");
    refused("POST", "/v1/tenants/acme/revoke", "{\"kind\":\"token\",\"value\":\"\"}", 400, "value");
}

static void admin_accepts_audit_reading(void **state) {
    done(call("PATCH", "/v1/tenants/acme", "{\"disabled\":true}", 200));
    json_t *page = call("GET", "/v1/audit?count=10", NULL, 200);
    const json_t *entries = json_object_get(page, "entries");
    const json_t *last = json_array_get(entries, json_array_size(entries) - 1);
    assert_string_equal(text_of(last, "operation"), "tenant.disable");
    assert_string_equal(text_of(last, "tenant"), "acme");
    assert_true(strncmp(text_of(last, "administrator"), "uid ", 4) == 0);
    assert_true(strncmp(text_of(last, "source"), "unix uid ", 9) == 0);
    done(page);
    refused("GET", "/v1/audit?count=0", NULL, 400, "count");
    refused("GET", "/v1/audit?first=-1", NULL, 400, "first");
    refused("GET", "/v1/audit?tenant=%7E", NULL, 400, "tenant");
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

// ---- The published description ----

// Is this method under this path in the document? Reads only what its layout
// needs: paths are indented by two, methods by four.
static bool document_has(const char *document, const char *path, const char *method) {
    char line[160];
    snprintf(line, sizeof line, "\n  %s:\n", path);
    const char *at = strstr(document, line);
    if (!at)
        return false;
    at += strlen(line);
    const char *end = at;
    while ((end = strchr(end, '\n')) && !strncmp(end, "\n    ", 5))
        end++;
    snprintf(line, sizeof line, "    %s:\n", method);
    const char *found = strstr(at, line);
    return found && (!end || found < end);
}

static void admin_accepts_its_published_description(void **state) {
    static char document[131072];
    size_t count = 0, operations = 0;
    FILE *file = fopen(VAULT_SOURCE_DIR "/schemas/openapi.yaml", "r");
    assert_non_null(file);
    document[fread(document, 1, sizeof document - 1, file)] = 0;
    fclose(file);
    for (size_t i = 0; i < admin_route_count; i++, count++) {
        char method[16] = "";
        const char *name = http_method_text(admin_routes[i].method);
        for (size_t c = 0; name[c]; c++)
            method[c] = (char)(name[c] | 0x20);
        if (!document_has(document, admin_routes[i].path, method))
            print_error("not described: %s %s\n", method, admin_routes[i].path);
        assert_true(document_has(document, admin_routes[i].path, method));
    }
    for (const char *at = document; (at = strstr(at, "operationId: op_")); at++)
        operations++;
    assert_int_equal(operations, count); // and nothing is described that is not served
}

static int start_denied(void **state) {
    return start(&(struct harness_settings){.admits_nobody = true});
}
static int start_alone(void **state) {
    return start(&(struct harness_settings){.has_no_keeper = true});
}

#define READY(test) cmocka_unit_test_setup_teardown(test, start_ready, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(admin_rejects_before_init, start_new, stop),
        cmocka_unit_test_setup_teardown(admin_accepts_init_seal_unseal, start_new, stop),
        cmocka_unit_test_setup_teardown(admin_rejects_unknown_account, start_denied, stop),
        cmocka_unit_test_setup_teardown(admin_survives_a_keeper_that_is_gone, start_alone, stop),
        READY(admin_accepts_tenants),
        READY(admin_rejects_tenants),
        READY(admin_rejects_stale_changes),
        READY(admin_accepts_pages),
        READY(admin_rejects_bodies),
        READY(admin_survives_mutated_bodies),
        READY(admin_accepts_issuers),
        READY(admin_rejects_issuers),
        READY(admin_accepts_policies),
        READY(admin_accepts_large_policies),
        READY(admin_rejects_policies),
        READY(admin_accepts_credentials),
        READY(admin_rejects_credentials),
        READY(admin_rejects_hosts_outside_the_profile),
        READY(admin_accepts_forwarders),
        READY(admin_accepts_revocations),
        READY(admin_accepts_audit_reading),
        cmocka_unit_test(admin_accepts_its_published_description),
        cmocka_unit_test_setup_teardown(admin_accepts_remote_administrators, start_remote,
                                        stop_remote),
        cmocka_unit_test_setup_teardown(admin_rejects_remote_administrators, start_remote,
                                        stop_remote),
        cmocka_unit_test_setup_teardown(admin_accepts_policies_about_a_credential, start_remote,
                                        stop_remote),
    };
    return cmocka_run_group_tests_name("admin", tests, NULL, NULL);
}
