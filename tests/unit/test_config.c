// SPDX-License-Identifier: Apache-2.0
// vaultd.conf as people write it, rightly and wrongly.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "vaultd/supervisor/config.h"

#define HEAD "issuer: https://vault.example.test\n"          /* line 1 */
#define DEVICE "device:\n  kind: tpm\n"                      /* lines 2, 3 */
#define BROKER "broker:\n  tls_certificate: c\n  tls_key: k\n" /* lines 4 to 6 */
#define GOOD HEAD DEVICE BROKER

static char path[] = "/tmp/test_config.XXXXXX";

static int make_file(void **state) {
    int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int remove_file(void **state) { return unlink(path); }

static void write_file(const char *text, size_t size) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static vlt_result load(const char *text, struct fault *fault, struct config **ret_config) {
    write_file(text, strlen(text));
    *ret_config = NULL;
    *fault = (struct fault){0};
    return config_load(path, fault, ret_config);
}

static void config_accepts_the_least(void **state) {
    struct fault fault;
    struct config *config;
    assert_true(vlt_is_ok(load(GOOD, &fault, &config)));
    assert_string_equal(config->issuer, "https://vault.example.test");
    assert_string_equal(config->store, "/var/lib/vaultd/store");
    assert_string_equal(config->log_level, "info");
    assert_string_equal(config->admin.listen, "");
    assert_int_equal(config->broker.workers, 1);
    assert_int_equal(config->tokens.lifetime_s, 300);
    assert_int_equal(config->keeper.secret_heap_kib, 24576);
    config_free(config);
}

static void config_accepts_the_published_file(void **state) {
    struct fault fault = {0};
    struct config *config = NULL;
    assert_true(vlt_is_ok(config_load(VAULT_SOURCE_DIR "/deploy/vaultd.conf", &fault, &config)));
    assert_string_equal(config->users.keeper, "vault-keeper");
    assert_int_equal(config->redeemer.cache_max_s, 30);
    config_free(config);
}

static void config_accepts_json_and_lists(void **state) {
    struct fault fault;
    struct config *config;
    assert_true(vlt_is_ok(load("{\"issuer\": \"https://x.test\", \"device\": {\"kind\": "
                               "\"pkcs11\", \"uri\": \"pkcs11:token=a\","
                               " \"environment\": [\"A=1\", \"B=2\"]}, \"broker\": "
                               "{\"tls_certificate\": \"c\", \"tls_key\": \"k\"}}",
                               &fault, &config)));
    assert_int_equal(config->device.environment_count, 2);
    assert_string_equal(config->device.environment[1], "B=2");
    config_free(config);
}

struct bad {
    const char *text;
    unsigned line; // 0: the file has no such line
    const char *says;
};

static void config_rejects_by_line_and_key(void **state) {
    static const struct bad bad[] = {
        {GOOD "nonsense: 1\n", 7, "nonsense: there is no such key"},
        {HEAD "device:\n  kind: tpm\n  knd: x\n" BROKER, 4, "device.knd: there is no such key"},
        {HEAD DEVICE "broker: {tls_certificate: c,\n tls_key: k,\n  werkers: 1}\n", 6,
         "broker.werkers: there is no such key"},
        {HEAD "device:\n  kind: tpm\n  kind: pkcs11\n" BROKER, 4, "device.kind: is there twice"},
        {GOOD "issuer: https://b.test\n", 7, "issuer: is there twice"},
        {GOOD "  workers: many\n", 7, "broker.workers: must be a whole number"},
        {GOOD "  workers: 0\n", 7, "broker.workers: must be a whole number from 1"},
        {GOOD "  workers: -1\n", 7, "broker.workers: must be a whole number"},
        {GOOD "  workers: 1.5\n", 7, "broker.workers: must be a whole number"},
        {GOOD "  workers: 4294967296\n", 7, "broker.workers: must be a whole number"},
        {GOOD "  workers: 99\n", 7, "broker.workers: 99 is not between 1 and 16"},
        {GOOD "  workers: [1]\n", 7, "broker.workers: must be a whole number"},
        {GOOD "  idle_ms: 1\n", 7, "broker.idle_ms: 1 is not between"},
        {GOOD "tokens: {lifetime_s: 4000}\n", 7,
         "tokens.lifetime_s: 4000 is not between 1 and 3600"},
        {GOOD "tokens:\n  signing_key: cloud\n", 8, "tokens.signing_key: must be memory or device"},
        {GOOD "tokens:\n  signing_key: device\n", 8,
         "tokens.signing_key: device needs a device of kind pkcs11"},
        {GOOD "tokens:\n  max_lifetime_s: 86401\n", 8, "tokens.max_lifetime_s: 86401"},
        {GOOD "keeper:\n  secret_heap_kib: 1\n", 8, "keeper.secret_heap_kib: 1 is not"},
        {GOOD "store: [a]\n", 7, "store: must be a text"},
        {GOOD "store: {a: b}\n", 7, "store: must be a text"},
        {GOOD "store: \"a\\0b\"\n", 7, "store: must be a text"},
        {GOOD "store: here\n", 7, "store: must be an absolute path"},
        {GOOD "recipes: ./recipes\n", 7, "recipes: must be an absolute path"},
        {GOOD "audit:\n  directory: ../log\n", 8, "audit.directory: must be an absolute path"},
        {GOOD "audit: here\n", 7, "audit: must have keys of its own"},
        {GOOD "audit:\n", 7, "audit: must have keys of its own"},
        {GOOD "log_level: loud\n", 7, "log_level: must be error, warning, notice, info or debug"},
        {GOOD "admin:\n  allow_users: root\n", 8, "admin.allow_users: must be a list"},
        {GOOD "admin:\n  allow_users: [[a]]\n", 8, "admin.allow_users: must be a list"},
        {GOOD "admin:\n  listen: 127.0.0.1:1\n", 8, "admin.listen: needs tls_certificate"},
        {GOOD "admin: {listen: \"127.0.0.1:1\", tls_certificate: a, tls_key: b}\n", 0,
         "admin.oidc_tenant: is required"},
        {GOOD "redeemer:\n\n  listen: 127.0.0.1:1\n", 9, "redeemer.listen: needs tls_certificate"},
        {GOOD "users:\n  broker: a\n", 7, "users: name a group and a user for each"},
        {GOOD "users:\n  shipper: a\n", 7, "users: name a group and a user for each"},
        {GOOD "users:\n  {broker: a, admin: b, redeemer: c, keeper: d, auditor: e, rotator: f,\n"
              "   shipper: g}\n", 7, "users: name a group and a user for each"},
        {GOOD "users:\n  {group: g, broker: a, admin: b, redeemer: c, keeper: d, auditor: e,\n"
              "   rotator: d}\n", 7, "users: each process needs a user of its own"},
        {GOOD "users:\n  {group: g, broker: a, admin: b, redeemer: c, keeper: d, auditor: e,\n"
              "   rotator: f, shipper: a}\n", 7, "users: each process needs a user of its own"},
        {GOOD "admin:\n  socket: run/admin.sock\n", 8, "admin.socket: must be an absolute path"},
        {GOOD "redeemer:\n  socket: redeem\n", 8, "redeemer.socket: must be an absolute path"},
        {GOOD "  listen: nonsense\n", 7, "broker.listen: must be an IP address and a port"},
        {GOOD "  listen: localhost:8443\n", 7, "broker.listen: must be an IP address and a port"},
        {GOOD "  listen: 127.0.0.1:99999\n", 7, "broker.listen: must be an IP address and a port"},
        {GOOD "  listen: 127.0.0.1:0\n", 7, "broker.listen: must be an IP address and a port"},
        {GOOD "  listen: \"[::1]:-1\"\n", 7, "broker.listen: must be an IP address and a port"},
        {HEAD DEVICE, 0, "broker.listen: needs tls_certificate"},
        {HEAD BROKER, 0, "device.kind: must be tpm or pkcs11"},
        {GOOD "more_devices: spare\n", 7, "more_devices: must be a short list"},
        {GOOD "more_devices:\n  - spare\n", 8, "more_devices: every entry must have keys"},
        {GOOD "more_devices:\n  - name: spare\n    colour: red\n", 9,
         "more_devices.colour: there is no such key"},
        {GOOD "more_devices:\n  - kind: tpm\n", 7, "more_devices: every entry needs a name"},
        {GOOD "more_devices:\n  - {name: Spare, kind: tpm}\n", 7,
         "more_devices: every entry needs a name"},
        {GOOD "more_devices:\n  - {name: main, kind: tpm}\n", 7,
         "more_devices: two devices have the same name"},
        {GOOD "more_devices:\n  - {name: a, kind: tpm}\n  - {name: a, kind: tpm}\n", 7,
         "more_devices: two devices have the same name"},
        {GOOD "more_devices:\n  - {name: a, kind: soft}\n", 7,
         "more_devices: the kind of every entry"},
        {GOOD "more_devices:\n  - {name: a, kind: pkcs11}\n", 7,
         "more_devices: an entry of kind pkcs11 needs a uri"},
        {GOOD "more_devices:\n  - {name: a, kind: tpm, environment: [A=b]}\n", 8,
         "more_devices.environment: there is no such key"},
        {HEAD "device:\n  kind: tpm\n  name: -x\n" BROKER, 4, "device.name: must be 1 to 32"},
        {HEAD "device:\n  kind: software\n" BROKER, 3, "device.kind: must be tpm or pkcs11"},
        {HEAD "device:\n  kind: pkcs11\n" BROKER, 0, "device.uri: is required for kind pkcs11"},
        {HEAD "device:\n  kind: tpm\n  environment: [novalue]\n" BROKER, 4,
         "device.environment: every entry must be NAME=value"},
        {HEAD "device:\n  kind: tpm\n  environment: [=x]\n" BROKER, 4,
         "device.environment: every entry must be NAME=value"},
        {DEVICE BROKER, 0, "issuer: must be the https URL"},
        {"issuer: http://x.test\n" DEVICE BROKER, 1, "issuer: must be the https URL"},
        {"issuer: https://x.test/\n" DEVICE BROKER, 1, "issuer: must be the https URL"},
        {"issuer: https://x.test/a?b\n" DEVICE BROKER, 1, "issuer: must be the https URL"},
        {"issuer: \"https://x.test/a#b\"\n" DEVICE BROKER, 1, "issuer: must be the https URL"},
        {"issuer: https://x y.test\n" DEVICE BROKER, 1, "issuer: must be the https URL"},
        {"- a\n- b\n", 1, "must be keys with values"},
        {"text", 1, "must be keys with values"},
        {"", 0, "the file is empty"},
        {"# nothing\n", 0, "the file is empty"},
        {GOOD "---\nstore: /b\n", 7, "a second YAML document"},
        {HEAD "device:\n  kind: tpm\n bad\n" BROKER, 4, "did not find expected key"},
        {HEAD "\tdevice: x\n", 2, "line 2"},
        {"? [a]\n: b\n", 1, "there is no such key"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fault fault;
        struct config *config;
        char line[32];
        vlt_result result = load(bad[i].text, &fault, &config);
        if (result.class != VLT_MALFORMED || !strstr(fault.text, bad[i].says) ||
            fault.line != bad[i].line)
            print_error("case %zu: %s (line %u)\n", i, fault.text, fault.line);
        assert_int_equal(result.class, VLT_MALFORMED);
        assert_null(config);
        assert_non_null(strstr(fault.text, bad[i].says));
        assert_non_null(strstr(fault.text, path));
        assert_int_equal(fault.line, bad[i].line);
        snprintf(line, sizeof line, ", line %u: ", bad[i].line);
        assert_int_equal(strstr(fault.text, line) != NULL, bad[i].line != 0);
    }
}

static void config_rejects_long_values(void **state) {
    static char text[80000];
    struct fault fault;
    struct config *config;
    snprintf(text, sizeof text, GOOD "store: %01025d\n", 1);
    assert_int_equal(load(text, &fault, &config).class, VLT_MALFORMED);
    assert_non_null(strstr(fault.text, "line 7: store: must be a text of at most 1024 bytes"));
    snprintf(text, sizeof text, GOOD "store: /%01023d\n", 1);
    assert_true(vlt_is_ok(load(text, &fault, &config)));
    config_free(config);
    size_t size = (size_t)snprintf(text, sizeof text, GOOD "admin:\n  allow_users:\n");
    for (int i = 0; i < CONFIG_ADMINS_MAX + 1; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "    - user%d\n", i);
    assert_int_equal(load(text, &fault, &config).class, VLT_MALFORMED);
    assert_non_null(strstr(fault.text, "line 8: admin.allow_users: must be at most 63 users"));
    snprintf(text + size, sizeof text - size, "    - user65\n");
    assert_int_equal(load(text, &fault, &config).class, VLT_MALFORMED);
    assert_non_null(
        strstr(fault.text, "line 8: admin.allow_users: must be a list of at most 64 texts"));
    memset(text, '#', 65537);
    text[65537] = 0;
    assert_int_equal(load(text, &fault, &config).class, VLT_LIMIT);
    assert_non_null(strstr(fault.text, "more than 65536 bytes"));
}

static void config_rejects_files_that_are_none(void **state) {
    struct fault fault = {0};
    struct config *config = NULL;
    assert_int_equal(config_load("/nonexistent/vaultd.conf", &fault, &config).class, VLT_NOT_FOUND);
    assert_non_null(strstr(fault.text, "/nonexistent/vaultd.conf can not be read: No such file"));
    assert_non_null(strstr(fault.text, "--config"));
    assert_int_equal(config_load("/tmp", &fault, &config).class, VLT_NOT_FOUND);
    assert_int_equal(config_load("/dev/zero", &fault, &config).class, VLT_NOT_FOUND);
    assert_null(config);
}

static void try_bytes(const char *text, size_t size) {
    struct fault fault = {0};
    struct config *config = NULL;
    write_file(text, size);
    vlt_result result = config_load(path, &fault, &config);
    assert_int_equal(vlt_is_ok(result), config != NULL);
    assert_true(vlt_is_ok(result) || fault_or_reason(&fault, result)[0]);
    if (config)
        config_free(config);
}

static void config_survives_mutation(void **state) {
    static const char good[] = GOOD "  workers: 2\nadmin: {allow_users: [a, \"b\"]}\nstore: &s "
                                    "/var/x\nprofiles: *s\ndrain_ms: 12\n";
    static const char bytes[] = {0,   '\n', ':',  '"', '{',    '[',    '&', '*',
                                 '-', ' ',  '\t', '#', '\xFF', '\xC3', '9'};
    char text[sizeof good + 1];
    for (size_t size = 0; size < sizeof good; size++)
        try_bytes(good, size);
    for (size_t at = 0; at < sizeof good - 1; at++) {
        for (size_t b = 0; b < sizeof bytes; b++) {
            memcpy(text, good, sizeof good);
            text[at] = bytes[b];
            try_bytes(text, sizeof good - 1);
        }
        memcpy(text, good, at); // one byte doubled
        memcpy(text + at + 1, good + at, sizeof good - 1 - at);
        text[at] = good[at];
        try_bytes(text, sizeof good);
    }
}

// References that repeat references would be large when written out.
static void config_survives_a_bomb_of_references(void **state) {
    char text[4096];
    size_t size = (size_t)snprintf(
        text, sizeof text, GOOD "admin:\n  allow_users:\n  - &a0 [x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 20; i++)
        size += (size_t)snprintf(text + size, sizeof text - size,
                                 "  - &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i - 1, i - 1,
                                 i - 1, i - 1, i - 1, i - 1);
    struct fault fault;
    struct config *config;
    assert_int_equal(load(text, &fault, &config).class, VLT_MALFORMED);
    assert_non_null(strstr(fault.text, "line 8: admin.allow_users: must be a list"));
}

static void changes_are(const char *before, const char *now, const char *expected) {
    struct fault fault;
    struct config *one, *other;
    struct buf text;
    assert_true(vlt_is_ok(load(before, &fault, &one)));
    assert_true(vlt_is_ok(load(now, &fault, &other)));
    buf_init(&text, 4096);
    config_changes(other, one, &text);
    assert_string_equal(text.size ? buf_text(&text) : "", expected);
    buf_done(&text);
    config_free(one);
    config_free(other);
}

static void config_names_what_differs(void **state) {
    static const char programs[] = GOOD "rotator: {programs: [\"a=/a\", \"b=/b secret\"]}\n";
    static const char devices[] =
        GOOD "more_devices: [{name: b, kind: tpm, tcti: \"device:/dev/b\"}]\n";
    changes_are(GOOD, GOOD, "");
    changes_are(programs, programs, "");
    changes_are(devices, devices, "");
    changes_are(GOOD, GOOD "log_level: info\n", ""); // the default
    changes_are(GOOD, GOOD "log_level: debug\nkeeper: {device_probe_s: 11}\n",
                "log_level, keeper.device_probe_s");
    changes_are(GOOD, programs, "rotator.programs");
    changes_are(programs, GOOD "rotator: {programs: [\"a=/a\", \"b=/b other\"]}\n",
                "rotator.programs");
    changes_are(GOOD, devices, "more_devices");
    changes_are(devices, GOOD "more_devices: [{name: b, kind: tpm, tcti: \"device:/dev/c\"}]\n",
                "more_devices");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_accepts_the_least),
        cmocka_unit_test(config_accepts_the_published_file),
        cmocka_unit_test(config_accepts_json_and_lists),
        cmocka_unit_test(config_rejects_by_line_and_key),
        cmocka_unit_test(config_rejects_long_values),
        cmocka_unit_test(config_rejects_files_that_are_none),
        cmocka_unit_test(config_survives_mutation),
        cmocka_unit_test(config_survives_a_bomb_of_references),
        cmocka_unit_test(config_names_what_differs),
    };
    return cmocka_run_group_tests_name("config", tests, make_file, remove_file);
}
