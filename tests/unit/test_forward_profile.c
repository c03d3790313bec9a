// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "forward/core/profile.h"
#include "libvault/base/jsontext.h"
#include "tests/unit/check.h"

static struct profile_set *shipped(void) {
    struct fault fault = {0};
    struct profile_set *set = NULL;
    vlt_result result = profile_set_load(VAULT_SOURCE_DIR "/forward/profiles", &fault, &set);
    if (!vlt_is_ok(result))
        fail_msg("%s", fault_or_reason(&fault, result));
    return set;
}

static vlt_result render(const struct profile *profile, const char *parameters, struct bytes secret,
                         char *text, size_t capacity) {
    json_t *object = parameters ? json_loads(parameters, 0, NULL) : NULL;
    size_t size = 0;
    vlt_result result = profile_render(profile, object, secret, text, capacity - 1, &size);
    json_decref(object);
    text[size] = '\0';
    return result;
}

static void profile_accepts_every_shipped_file(void **state) {
    struct profile_set *set = shipped();
    assert_int_equal(profile_set_count(set), 9);
    assert_string_equal(profile_title(profile_find(set, "openai")), "OpenAI");
    assert_string_equal(profile_upstream(profile_find(set, "anthropic")),
                        "https://api.anthropic.com");
    assert_null(profile_upstream(profile_find(set, "generic-query")));
    assert_null(profile_find(set, "nobody"));
    char names[256], few[8];
    assert_non_null(strstr(profile_set_names(set, names, sizeof names), "anthropic, azure-openai"));
    assert_string_equal(profile_set_names(set, few, sizeof few), "anthrop");
    assert_null(profile_set_at(set, 9));
    assert_string_equal(profile_name(profile_set_at(set, 0)), "anthropic");
    assert_int_equal(profile_errors(profile_find(set, "gemini")), PROFILE_ERRORS_GOOGLE);
    assert_true(profile_has_tool(profile_find(set, "generic-mcp")));
    struct profile_model_place place = profile_model_at(profile_find(set, "openai"), 0);
    assert_false(place.in_path);
    assert_string_equal(place.text, "model");
    struct profile_carrier carrier = profile_carrier_at(profile_find(set, "gemini"), 0);
    assert_int_equal(carrier.in, PROFILE_QUERY);
    assert_string_equal(carrier.name, "key");
    profile_set_free(set);
}

static void profile_accepts_only_its_hosts(void **state) {
    struct profile_set *set = shipped();
    const struct profile *azure = profile_find(set, "azure-openai");
    assert_true(profile_permits_host(azure, "mine.openai.azure.com"));
    assert_false(profile_permits_host(azure, "a.b.openai.azure.com"));
    assert_false(profile_permits_host(azure, ".openai.azure.com"));
    assert_false(profile_permits_host(azure, "openai.azure.com"));
    assert_false(profile_permits_host(azure, "mine.openai.azure.com.evil.example"));
    assert_true(profile_permits_host(profile_find(set, "openai"), "api.openai.com"));
    assert_false(profile_permits_host(profile_find(set, "openai"), "api.openai.com.evil.example"));
    assert_true(profile_permits_host(profile_find(set, "generic-bearer"), "anything.example"));
    assert_false(profile_permits_host(profile_find(set, "generic-bearer"), ""));
    profile_set_free(set);
}

static void profile_accepts_each_way_to_inject(void **state) {
    static const struct {
        const char *profile, *parameters, *secret, *text;
    } cases[] = {
        {"openai", NULL, "sk-1",
         "[{\"in\":\"header\",\"name\":\"authorization\",\"value\":\"Bearer sk-1\","
         "\"secret_from\":7,\"secret_to\":11}]"},
        {"openai", "{\"project\":\"proj_9\"}", "sk-1",
         "[{\"in\":\"header\",\"name\":\"authorization\",\"value\":\"Bearer sk-1\","
         "\"secret_from\":7,\"secret_to\":11},"
         "{\"in\":\"header\",\"name\":\"openai-project\",\"value\":\"proj_9\"}]"},
        {"anthropic", NULL, "a\"b\\c",
         "[{\"in\":\"header\",\"name\":\"x-api-key\",\"value\":\"a\\\"b\\\\c\","
         "\"secret_from\":0,\"secret_to\":5}]"},
        {"generic-header", "{\"header\":\"x-my-key\"}", "k",
         "[{\"in\":\"header\",\"name\":\"x-my-key\",\"value\":\"k\","
         "\"secret_from\":0,\"secret_to\":1}]"},
        {"generic-header", "{\"header\":\"authorization\",\"prefix\":\"Token \"}", "k",
         "[{\"in\":\"header\",\"name\":\"authorization\",\"value\":\"Token k\","
         "\"secret_from\":6,\"secret_to\":7}]"},
        {"generic-basic", "{\"user\":\"Aladdin\"}", "open sesame",
         "[{\"in\":\"header\",\"name\":\"authorization\",\"value\":\"Basic "
         "QWxhZGRpbjpvcGVuIHNlc2FtZQ==\",\"secret_from\":6,\"secret_to\":34}]"},
        {"generic-basic", "{\"user\":\"\"}", "x",
         "[{\"in\":\"header\",\"name\":\"authorization\",\"value\":\"Basic Ong=\","
         "\"secret_from\":6,\"secret_to\":10}]"},
        {"generic-basic", "{\"user\":\"u\"}", "\x01\xff",
         "[{\"in\":\"header\",\"name\":\"authorization\",\"value\":\"Basic dToB/w==\","
         "\"secret_from\":6,\"secret_to\":14}]"},
        {"generic-query", "{\"query\":\"appid\"}",
         "q&=",
         "[{\"in\":\"query\",\"name\":\"appid\",\"value\":\"q&=\","
         "\"secret_from\":0,\"secret_to\":3}]"},
    };
    struct profile_set *set = shipped();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        const struct profile *profile = profile_find(set, cases[i].profile);
        vlt_result result =
            render(profile, cases[i].parameters, bytes_of_text(cases[i].secret), text, sizeof text);
        assert_string_equal(result.reason, "");
        assert_string_equal(text, cases[i].text);
    }
    profile_set_free(set);
}

static void profile_rejects_what_would_split_a_header(void **state) {
    struct profile_set *set = shipped();
    const struct profile *openai = profile_find(set, "openai"),
                         *header = profile_find(set, "generic-header");
    char text[512];
    static const char *const bad[] = {"sk\r\nx-evil: 1", "sk\n", "sk\t", "s\xc3\xa9k", "\x7f", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(render(openai, NULL, bytes_of_text(bad[i]), text, sizeof text).class,
                         VLT_MALFORMED);
        assert_string_equal(text, "");
    }
    assert_int_equal(render(openai, NULL, bytes_of("a\0b", 3), text, sizeof text).class,
                     VLT_MALFORMED);
    static const char *const names[] = {
        "host", "content-length", "transfer-encoding", "X-Key", "a b", "a:b", "", "\"x"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *parameters = json_pack("{s:s}", "header", names[i]);
        size_t size = 0;
        assert_false(vlt_is_ok(
            profile_render(header, parameters, BYTES_LITERAL("k"), text, sizeof text, &size)));
        assert_false(vlt_is_ok(profile_check(header, parameters, NULL)));
        json_decref(parameters);
    }
    assert_int_equal(render(header, NULL, BYTES_LITERAL("k"), text, sizeof text).class,
                     VLT_MALFORMED);
    json_t *user = json_pack("{s:s}", "user", "a:b");
    assert_false(vlt_is_ok(profile_check(profile_find(set, "generic-basic"), user, NULL)));
    json_decref(user);
    assert_int_equal(render(profile_find(set, "generic-basic"), "{\"user\":\"a:b\"}",
                            BYTES_LITERAL("k"), text, sizeof text)
                         .class,
                     VLT_MALFORMED);
    profile_set_free(set);
}

static void profile_survives_every_capacity(void **state) {
    struct profile_set *set = shipped();
    const struct profile *profile = profile_find(set, "generic-basic");
    json_t *parameters = json_pack("{s:s}", "user", "someone");
    char room[128];
    size_t whole = 0, size = 77;
    assert_true(vlt_is_ok(profile_render(profile, parameters, BYTES_LITERAL("MARKER-secret"), room,
                                         sizeof room, &whole)));
    for (size_t capacity = 0; capacity < whole; capacity++) {
        memset(room, 'x', sizeof room);
        assert_int_equal(profile_render(profile, parameters, BYTES_LITERAL("MARKER-secret"), room,
                                        capacity, &size)
                             .class,
                         VLT_LIMIT);
        assert_int_equal(size, 77);
        for (size_t i = 0; i < sizeof room; i++)
            assert_int_equal(room[i], i < capacity ? 0 : 'x');
    }
    json_decref(parameters);
    profile_set_free(set);
}

static void profile_check_rejects_foreign_parameters(void **state) {
    struct profile_set *set = shipped();
    const struct profile *header = profile_find(set, "generic-header");
    static const struct {
        const char *parameters;
        bool good;
    } cases[] = {
        {"{\"header\":\"x-key\"}", true},
        {"{\"header\":\"x-key\",\"prefix\":\"Key \"}", true},
        {"{}", false},
        {"{\"header\":7}", false},
        {"{\"header\":\"x\",\"more\":\"y\"}", false},
        {"[]", false},
        {"{\"header\":\"x\",\"prefix\":\"a\\nb\"}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *parameters = json_loads(cases[i].parameters, 0, NULL);
        struct fault fault = {0};
        assert_int_equal(vlt_is_ok(profile_check(header, parameters, &fault)), cases[i].good);
        assert_int_equal(fault.text[0] == '\0', cases[i].good);
        json_decref(parameters);
    }
    assert_false(vlt_is_ok(profile_check(header, NULL, NULL)));
    assert_true(vlt_is_ok(profile_check(profile_find(set, "openai"), NULL, NULL)));
    profile_set_free(set);
}

static void profile_environment_accepts_forwarder_and_token(void **state) {
    struct profile_set *set = shipped();
    const struct profile *openai = profile_find(set, "openai");
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(profile_environment_count(openai), 2);
    for (size_t i = 0; i < 2; i++) {
        buf_clear(&out);
        assert_true(vlt_is_ok(profile_environment_value(openai, i, "http://f", "eyJ", &out)));
        bool is_key = !strcmp(profile_environment_name(openai, i), "OPENAI_API_KEY");
        assert_string_equal(buf_text(&out), is_key ? "eyJ" : "http://f/openai/v1");
    }
    assert_null(profile_environment_name(openai, 2));
    buf_clear(&out);
    profile_put_remove(profile_find(set, "openai"), &out);
    assert_string_equal(buf_text(&out),
                        "[\"authorization\",\"x-api-key\",\"api-key\",\"x-goog-api-key\"]");
    buf_done(&out);
    profile_set_free(set);
}

static const char good[] = "{\"name\":\"a\",\"title\":\"A\",\"inject\":[{\"in\":\"header\","
                           "\"name\":\"x-k\",\"format\":\"{secret}\"}]}";

static void profile_parse_rejects_unsound_files(void **state) {
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"name\":\"a\"}",
        "{\"name\":\"a\",\"title\":\"A\"}",
        "{\"name\":\"a\",\"title\":\"A\",\"inject\":[]}",
        "{\"name\":\"a\",\"title\":\"A\",\"inject\":{}}",
        "{\"name\":\"a\",\"title\":\"A\",\"inject\":[7]}",
        "{\"name\":\"a\",\"title\":\"A\",\"inject\":[{\"in\":\"body\",\"name\":\"x\",\"format\":\"{"
        "secret}\"}]}",
        "{\"name\":\"a\",\"title\":\"A\",\"inject\":[{\"in\":\"header\",\"name\":\"host\","
        "\"format\":\"{secret}\"}]}",
        "{\"name\":\"a\",\"title\":\"A\",\"inject\":[{\"in\":\"header\",\"name\":\"x\",\"format\":"
        "\"{secret\"}]}",
        "{\"name\":\"a\",\"title\":\"A\",\"inject\":[{\"in\":\"header\",\"name\":\"x\",\"format\":"
        "\"{other}\"}]}",
        "{\"name\":\"a\",\"title\":\"A\",\"inject\":[{\"in\":\"header\",\"name\":\"{secret}\","
        "\"format\":\"x\"}]}",
        "{\"name\":\"a\",\"title\":\"A\",\"extra\":1,\"inject\":[{\"in\":\"header\",\"name\":\"x\","
        "\"format\":\"{secret}\"}]}",
        "{\"name\":\"a\",\"title\":\"A\",\"upstream\":\"http://"
        "x\",\"inject\":[{\"in\":\"header\",\"name\":\"x\",\"format\":\"{secret}\"}]}",
        "{\"name\":\"a\",\"title\":\"A\",\"model\":[{\"in\":\"path\"}],\"inject\":[{\"in\":"
        "\"header\",\"name\":\"x\",\"format\":\"{secret}\"}]}",
        "{\"name\":\"a\",\"title\":\"A\",\"environment\":{\"K\":\"{secret}\"},\"inject\":[{\"in\":"
        "\"header\",\"name\":\"x\",\"format\":\"{secret}\"}]}",
        "{\"name\":\"a\",\"title\":\"A\",\"hosts\":[1],\"inject\":[{\"in\":\"header\",\"name\":"
        "\"x\",\"format\":\"{secret}\"}]}",
    };
    struct profile *profile = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fault fault = {0};
        if (vlt_is_ok(profile_parse(bytes_of_text(bad[i]), &fault, &profile)))
            fail_msg("accepted: %s", bad[i]);
        assert_true(fault.text[0] != '\0');
    }
    assert_null(profile);
}

static void profile_parse_survives_mutation(void **state) {
    char text[sizeof good];
    for (size_t at = 0; at + 1 < sizeof good; at++)
        for (unsigned bit = 0; bit < 9; bit++) {
            memcpy(text, good, sizeof good);
            if (bit < 8)
                text[at] = (char)(text[at] ^ (1 << bit));
            struct profile *profile = NULL;
            size_t size = bit == 8 ? at : sizeof good - 1;
            if (vlt_is_ok(profile_parse(bytes_of(text, size), NULL, &profile))) {
                size_t written;
                char room[256];
                (void)!vlt_is_ok(
                    profile_render(profile, NULL, BYTES_LITERAL("k"), room, sizeof room, &written));
                profile_free(profile);
            }
        }
}

static void profile_set_rejects_a_missing_folder(void **state) {
    struct profile_set *set = NULL;
    struct fault fault = {0};
    assert_int_equal(profile_set_load("/nonexistent/profiles", &fault, &set).class, VLT_NOT_FOUND);
    assert_non_null(strstr(fault.text, "/nonexistent/profiles"));
}

static void profile_accepts_usage_and_rejects_what_says_nothing(void **state) {
    static const struct {
        bool is_good;
        const char *usage;
    } cases[] = {
        {true, "{\"objects\":[\"a\",\"b.c\"],\"input\":[\"d\"],\"output\":[\"e\"]}"},
        {true,
         "{\"objects\":[\"a\"],\"input\":[\"d\"],\"output\":[\"e\"],\"input_besides\":[\"f\"],"
         "\"output_besides\":[\"g\"]}"},
        {true, "{\"objects\":[\"a\"],\"input\":[\"b\",\"c\",\"d\",\"e\"],\"output\":[\"f\",\"g\","
               "\"h\",\"i\"]}"},
        {false, "{\"objects\":[\"a\"],\"input\":[\"b\",\"c\",\"d\",\"e\",\"j\"],\"output\":[\"f\","
                "\"g\",\"h\",\"i\"]}"},
        {false, "{}"},
        {false, "null"},
        {false, "5"},
        {false, "[]"},
        {false, "{\"objects\":[],\"input\":[\"d\"],\"output\":[\"e\"]}"},
        {false, "{\"objects\":\"a\",\"input\":[\"d\"],\"output\":[\"e\"]}"},
        {false, "{\"objects\":[5],\"input\":[\"d\"],\"output\":[\"e\"]}"},
        {false, "{\"objects\":[\"\"],\"input\":[\"d\"],\"output\":[\"e\"]}"},
        {false, "{\"objects\":[\".a\"],\"input\":[\"d\"],\"output\":[\"e\"]}"},
        {false, "{\"objects\":[\"a.\"],\"input\":[\"d\"],\"output\":[\"e\"]}"},
        {false, "{\"objects\":[\"a.b.c\"],\"input\":[\"d\"],\"output\":[\"e\"]}"},
        {false,
         "{\"objects\":[\"a\",\"b\",\"c\",\"d\",\"e\"],\"input\":[\"d\"],\"output\":[\"e\"]}"},
        {false, "{\"objects\":[\"a\"],\"output\":[\"e\"]}"},
        {false, "{\"objects\":[\"a\"],\"input\":[\"e\"]}"},
        {false, "{\"objects\":[\"a\"],\"input\":[],\"output\":[\"e\"]}"},
        {false, "{\"objects\":[\"a\"],\"input\":[\"b.c\"],\"output\":[\"e\"]}"},
        {false, "{\"objects\":[\"a\"],\"input\":[7],\"output\":[\"e\"]}"},
        {false,
         "{\"objects\":[\"a\"],\"input\":[\"b\"],\"output\":[\"e\"],\"input_besides\":\"f\"}"},
        {false, "{\"objects\":[\"a\"],\"input\":[\"b\"],\"output\":[\"e\"],\"more\":[]}"},
        {false,
         "{\"objects\":[\"a\"],\"input\":[\"a2345678901234567890123456789012345678901234567890"
         "1234567890123x\"],\"output\":[\"e\"]}"},
    };
    char text[1024];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct profile *profile = NULL;
        struct fault fault = {0};
        snprintf(text, sizeof text,
                 "{\"name\":\"x\",\"title\":\"X\",\"inject\":[{\"in\":\"header\",\"name\":\"a\","
                 "\"format\":\"{secret}\"}],\"usage\":%s}",
                 cases[i].usage);
        vlt_result result = profile_parse(bytes_of_text(text), &fault, &profile);
        if (vlt_is_ok(result) != cases[i].is_good)
            fail_msg("%s: %s", text, fault.text);
        if (profile)
            assert_non_null(profile_usage(profile));
        profile_free(profile);
    }
    struct profile_set *set = shipped();
    assert_null(profile_usage(profile_find(set, "generic-mcp")));
    profile_set_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profile_accepts_every_shipped_file),
        cmocka_unit_test(profile_accepts_only_its_hosts),
        cmocka_unit_test(profile_accepts_each_way_to_inject),
        cmocka_unit_test(profile_rejects_what_would_split_a_header),
        cmocka_unit_test(profile_survives_every_capacity),
        cmocka_unit_test(profile_check_rejects_foreign_parameters),
        cmocka_unit_test(profile_environment_accepts_forwarder_and_token),
        cmocka_unit_test(profile_parse_rejects_unsound_files),
        cmocka_unit_test(profile_parse_survives_mutation),
        cmocka_unit_test(profile_set_rejects_a_missing_folder),
        cmocka_unit_test(profile_accepts_usage_and_rejects_what_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
