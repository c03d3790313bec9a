// SPDX-License-Identifier: Apache-2.0
// The Admin API: the vault, tenants, issuers, policies, forwarders; bodies that are
// none; and that it is as published.
#include "tests/unit/admin_case.h"

#include "vaultd/admin/ops.h"

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

// Who has just run `vaultctl init` is not told to run it.
static void admin_rejects_init_that_the_log_can_not_record(void **state) {
    json_t *problem = call("POST", "/v1/init", INIT, 503);
    assert_non_null(strstr(text_of(problem, "detail"), "the auditor does not answer"));
    assert_null(strstr(text_of(problem, "detail"), "vaultctl init"));
    done(problem);
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
    // Only one of two would ever be asked.
    refused("PUT", "/v1/tenants/acme/issuers/twin",
            "{" ISSUER ",\"discovery_url\":\"https://idp.test/y\"}", 409, "issuer");
    done(call("PUT", "/v1/tenants/acme/issuers/twin",
              "{" ISSUER ",\"discovery_url\":\"https://idp.test/y\",\"disabled\":true}", 201));
    done(call("PUT", "/v1/tenants/acme/issuers/corp",
              "{" ISSUER ",\"discovery_url\":\"https://idp.test/z\"}", 200));
    done(call("DELETE", "/v1/tenants/acme/issuers/twin", NULL, 200));
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
    refused("POST", "/v1/tenants/acme/revoke", "{\"kind\":\"token\",\"value\":\"a.b.c\"}", 400,
            "value");
    refused("POST", "/v1/tenants/acme/revoke", "{\"kind\":\"principal\",\"value\":\"alice\"}", 400,
            "value");
    refused("POST", "/v1/tenants/acme/revoke",
            "{\"kind\":\"credential\",\"value\":\"no-such\"}", 404, "value");
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
static int start_without_log(void **state) {
    return start(&(struct harness_settings){.init_fails = "the auditor does not answer"});
}
static int start_alone(void **state) {
    return start(&(struct harness_settings){.has_no_keeper = true});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(admin_rejects_before_init, start_new, stop),
        cmocka_unit_test_setup_teardown(admin_accepts_init_seal_unseal, start_new, stop),
        cmocka_unit_test_setup_teardown(admin_rejects_unknown_account, start_denied, stop),
        cmocka_unit_test_setup_teardown(admin_survives_a_keeper_that_is_gone, start_alone, stop),
        cmocka_unit_test_setup_teardown(admin_rejects_init_that_the_log_can_not_record,
                                        start_without_log, stop),
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
        READY(admin_accepts_forwarders),
        READY(admin_accepts_revocations),
        READY(admin_accepts_audit_reading),
        cmocka_unit_test(admin_accepts_its_published_description),
    };
    return cmocka_run_group_tests_name("admin", tests, NULL, NULL);
}
