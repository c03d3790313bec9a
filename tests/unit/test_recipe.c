// SPDX-License-Identifier: Apache-2.0
// Recipes, the requests they make, the answers they read, the little XML, and
// signatures of AWS.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvault/recipe/recipe.h"
#include "libvault/recipe/sigv4.h"
#include "libvault/recipe/xmltext.h"
#include "tests/unit/check.h"

static struct recipe_set *set;

static int begin(void **state) {
    struct fault fault = {0};
    vlt_result result =
        recipe_set_load(VAULT_SOURCE_DIR "/libvault/recipe/recipes", &fault, &set);
    if (!vlt_is_ok(result))
        print_error("%s\n", fault_or_reason(&fault, result));
    return vlt_is_ok(result) ? 0 : 1;
}
static int end(void **state) {
    recipe_set_free(set);
    return 0;
}

// ---- Parsing ----

static const char small[] =
    "{\"name\":\"small\",\"title\":\"t\",\"manager\":\"self\",\"parameters\":{\"host\":{"
    "\"description\":\"d\"},\"p\":{\"description\":\"d\",\"default\":\"/"
    "keys\"}},\"auth\":{\"kind\":"
    "\"header\",\"name\":\"x-key\"},\"mint\":{\"method\":\"POST\",\"host\":\"{host}\",\"path\":"
    "\"{p}/new\",\"json\":{\"n\":\"a {mark}\"},\"value\":\"/a/b\",\"id\":\"/id\"},\"verify\":{"
    "\"method\":\"GET\",\"host\":\"{host}\",\"path\":\"/me\"},\"revoke\":{\"method\":\"DELETE\","
    "\"host\":\"{host}\",\"path\":\"/keys/{id}\",\"gone\":[404]}}";

static void recipe_accepts_what_is_installed(void **state) {
    static const char *const names[] = {"aws-iam", "generic-rest", "openai-service-account"};
    for (size_t i = 0; i < 3; i++) {
        const struct recipe *recipe = recipe_find(set, names[i]);
        assert_non_null(recipe);
        for (unsigned step = 0; step < RECIPE_STEP_COUNT; step++)
            assert_true(recipe_has_step(recipe, (enum recipe_step)step));
    }
    assert_null(recipe_find(set, "nobody"));
    assert_true(recipe_needs_manager(recipe_find(set, "openai-service-account")));
    assert_false(recipe_needs_manager(recipe_find(set, "aws-iam")));
}

static void recipe_rejects_what_it_does_not_know(void **state) {
    static const struct {
        const char *from, *to;
    } wrong[] = {{"\"small\"", "\"../small\""}, {"\"self\"", "\"nobody\""},
                 {"\"title\"", "\"tilte\""}, {"{mark}", "{secret}"}, {"{mark}", "{mark"},
                 {"{mark}", "}"}, {"\"GET\"", "\"TRACE\""}, {"\"/a/b\"", "\"a\""},
                 {"[404]", "[200]"}, {"\"x-key\"", "\"\""}, {"\"header\"", "\"query\""},
                 {"\"/me\"", "\"me\""}, {"\"verify\"", "\"try\""}, {"\"p\":{", "\"id\":{"},
                 {"\"default\"", "\"otherwise\""}};
    struct recipe *recipe = NULL;
    struct fault fault = {0};
    assert_ok(recipe_parse(bytes_of_text(small), &fault, &recipe));
    recipe_free(recipe);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[2048];
        const char *at = strstr(small, wrong[i].from);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - small), small, wrong[i].to,
                 at + strlen(wrong[i].from));
        vlt_result result = recipe_parse(bytes_of_text(text), &fault, &recipe);
        if (result.class != VLT_MALFORMED)
            fail_msg("%s: class %d", wrong[i].to, result.class);
    }
}

static void recipe_survives_mutation(void **state) {
    char text[sizeof small];
    struct recipe *recipe;
    for (size_t i = 0; i < sizeof small - 1; i++)
        for (unsigned how = 0; how < 3; how++) {
            memcpy(text, small, sizeof small);
            text[i] = how == 0 ? (char)(text[i] ^ 1) : how == 1 ? '"' : 0;
            if (vlt_is_ok(recipe_parse(bytes_of(text, how == 2 ? i : sizeof small - 1), NULL,
                                       &recipe)))
                recipe_free(recipe);
        }
}

static void recipe_rejects_parameters_that_do_not_fit(void **state) {
    struct fault fault = {0};
    const struct recipe *aws = recipe_find(set, "aws-iam");
    json_t *none = json_object(), *good = json_pack("{s:s}", "user", "ci");
    json_t *more = json_pack("{s:s,s:s}", "user", "ci", "colour", "red");
    assert_ok(recipe_check_parameters(aws, good, &fault));
    assert_int_equal(recipe_check_parameters(aws, none, &fault).class, VLT_MALFORMED);
    assert_non_null(strstr(fault.text, "\"user\""));
    assert_int_equal(recipe_check_parameters(aws, more, &fault).class, VLT_MALFORMED);
    json_decref(none);
    json_decref(good);
    json_decref(more);
}

// ---- Requests ----

static void render(const char *json, enum recipe_step step, const json_t *parameters,
                   const char *id, struct recipe_request *request) {
    struct recipe *recipe = NULL;
    struct fault fault = {0};
    struct recipe_values values = {.parameters = parameters, .id = id, .mark = "m \"1\""};
    assert_ok(recipe_parse(bytes_of_text(json), &fault, &recipe));
    assert_ok(recipe_render(recipe, step, &values, &fault, request));
    recipe_free(recipe);
}

static void text_is(struct buf *buf, const char *expected) {
    const char *text = buf_text(buf);
    assert_string_equal(text ? text : "", expected);
}

static void request_accepts_values_in_their_places(void **state) {
    struct recipe_request request;
    json_t *parameters = json_pack("{s:s}", "host", "api.example:8443");
    render(small, RECIPE_MINT, parameters, NULL, &request);
    assert_string_equal(request.host, "api.example:8443");
    assert_string_equal(request.content_type, "application/json");
    text_is(&request.target, "/keys/new");
    text_is(&request.body, "{\"n\":\"a m \\\"1\\\"\"}");
    recipe_request_done(&request);
    // What a provider calls a key can not lead elsewhere.
    render(small, RECIPE_REVOKE, parameters, "../../x?y=1#z\r\n", &request);
    text_is(&request.target, "/keys/..%2F..%2Fx%3Fy%3D1%23z%0D%0A");
    recipe_request_done(&request);
    json_decref(parameters);
}

static void request_accepts_forms(void **state) {
    struct recipe_request request;
    struct fault fault = {0};
    json_t *parameters = json_pack("{s:s}", "user", "a&Action=DeleteUser");
    struct recipe_values values = {.parameters = parameters, .id = "AKIA+1"};
    assert_ok(recipe_render(recipe_find(set, "aws-iam"), RECIPE_REVOKE, &values, &fault, &request));
    text_is(&request.body, "AccessKeyId=AKIA%2B1&Action=DeleteAccessKey&UserName="
                           "a%26Action%3DDeleteUser&Version=2010-05-08");
    assert_int_equal(request.auth, RECIPE_AUTH_SIGV4);
    assert_string_equal(request.service, "iam");
    recipe_request_done(&request);
    json_decref(parameters);
}

static void request_rejects_values_that_are_none(void **state) {
    static const struct {
        const char *host, *path;
    } wrong[] = {{"Evil.Example", "/k"}, {"a@b", "/k"}, {"a/b", "/k"}, {"api.example", "k"},
                 {"api.example", "/k k"}, {"api.example", "/k#"}, {"api.example", "//\r\nx: y"}};
    struct recipe *recipe = NULL;
    struct recipe_request request;
    struct fault fault = {0};
    assert_ok(recipe_parse(bytes_of_text(small), &fault, &recipe));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *parameters = json_pack("{s:s,s:s}", "host", wrong[i].host, "p", wrong[i].path);
        struct recipe_values values = {.parameters = parameters, .mark = "m"};
        vlt_result result = recipe_render(recipe, RECIPE_MINT, &values, &fault, &request);
        if (vlt_is_ok(result))
            fail_msg("%s %s was taken", wrong[i].host, wrong[i].path);
        json_decref(parameters);
    }
    struct recipe_values values = {.parameters = NULL};
    assert_int_equal(recipe_render(recipe, RECIPE_REVOKE, &values, &fault, &request).class,
                     VLT_MALFORMED); // no id
    recipe_free(recipe);
}

// ---- Answers ----

static vlt_result minted(const char *name, const char *answer, char *value, char *id) {
    struct secret *secret = secret_new(RECIPE_VALUE_MAX);
    assert_non_null(secret);
    vlt_result result =
        recipe_read_minted(recipe_find(set, name), bytes_of_text(answer), secret, id);
    memcpy(value, secret_borrow(secret), secret_size(secret));
    value[secret_size(secret)] = 0;
    secret_release(secret);
    secret_free(secret);
    return result;
}

static const char aws_answer[] =
    "<?xml version=\"1.0\"?><CreateAccessKeyResponse xmlns='x'><!-- c --><CreateAccessKeyResult>"
    "<AccessKey><AccessKeyId>AKIA1</AccessKeyId><SecretAccessKey>a+b/c&amp;d</SecretAccessKey>"
    "</AccessKey></CreateAccessKeyResult></CreateAccessKeyResponse>";

static void answer_accepts_new_keys(void **state) {
    char value[512], id[RECIPE_ID_MAX + 1];
    assert_ok(minted("openai-service-account", "{\"id\":\"s1\",\"api_key\":{\"value\":\"sk-9\"}}",
                     value, id));
    assert_string_equal(value, "sk-9");
    assert_string_equal(id, "s1");
    assert_ok(minted("aws-iam", aws_answer, value, id));
    assert_string_equal(value, "{\"AccessKeyId\":\"AKIA1\",\"SecretAccessKey\":\"a+b/c&d\"}");
    assert_ok(recipe_read_id(recipe_find(set, "aws-iam"), bytes_of_text(value), id));
    assert_string_equal(id, "AKIA1");
}

static void answer_rejects_what_lacks_a_key(void **state) {
    static const char *const wrong[] = {
        "", "{", "[]", "{}", "{\"id\":\"s\"}", "{\"id\":\"s\",\"api_key\":{}}", "<a/>",
        "{\"id\":\"s\",\"api_key\":{\"value\":7}}", "{\"id\":\"s\",\"api_key\":{\"value\":\"\"}}",
        "{\"id\":\"\",\"api_key\":{\"value\":\"v\"}}", "{\"api_key\":{\"value\":\"v\"}}",
        "{\"id\":\"s\\n\",\"api_key\":{\"value\":\"v\"}}",
        "{\"id\":\"s\",\"api_key\":{\"value\":\"v\\r\\nx: y\"}}"};
    char value[512], id[RECIPE_ID_MAX + 1] = "untouched";
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(minted("openai-service-account", wrong[i], value, id).class,
                         VLT_MALFORMED);
        assert_string_equal(value, "");
        assert_string_equal(id, "untouched");
    }
}

static void answer_accepts_lists(void **state) {
    struct recipe_keys *keys = calloc(1, sizeof *keys);
    const struct recipe *aws = recipe_find(set, "aws-iam"),
                        *rest = recipe_find(set, "generic-rest");
    static const char head[] = "<ListAccessKeysResponse><ListAccessKeysResult>",
                      tail[] = "</ListAccessKeysResult></ListAccessKeysResponse>";
    static const char *const members[] = {
        "<AccessKeyMetadata/>",
        "<AccessKeyMetadata><member><AccessKeyId>A</AccessKeyId></member></AccessKeyMetadata>",
        ("<AccessKeyMetadata><member><AccessKeyId>A</AccessKeyId></member><member><AccessKeyId>B"
         "</AccessKeyId></member></AccessKeyMetadata>")};
    for (size_t i = 0; i < 3; i++) { // none, one and two are three shapes
        char text[512];
        snprintf(text, sizeof text, "%s%s%s", head, members[i], tail);
        assert_ok(recipe_read_keys(aws, bytes_of_text(text), keys));
        assert_int_equal(keys->count, i);
    }
    assert_string_equal(keys->ids[1], "B");
    assert_ok(
        recipe_read_keys(rest, BYTES_LITERAL("{\"data\":[{\"id\":\"1\",\"name\":\"n\"}]}"), keys));
    assert_string_equal(keys->names[0], "n");
    assert_int_equal(recipe_read_keys(rest, BYTES_LITERAL("{}"), keys).class, VLT_MALFORMED);
    assert_int_equal(recipe_read_keys(rest, BYTES_LITERAL("{\"data\":[{}]}"), keys).class,
                     VLT_MALFORMED);
    assert_int_equal(recipe_read_keys(recipe_find(set, "openai-service-account"),
                                      BYTES_LITERAL("{\"data\":[],\"has_more\":true}"), keys)
                         .class,
                     VLT_LIMIT);
    free(keys);
}

static void answer_accepts_three_verdicts(void **state) {
    const struct recipe *rest = recipe_find(set, "generic-rest");
    assert_int_equal(recipe_judge(rest, RECIPE_REVOKE, 204), RECIPE_DONE);
    assert_int_equal(recipe_judge(rest, RECIPE_REVOKE, 404), RECIPE_DONE);
    assert_int_equal(recipe_judge(rest, RECIPE_VERIFY, 404), RECIPE_UNCLEAR);
    assert_int_equal(recipe_judge(rest, RECIPE_VERIFY, 401), RECIPE_REFUSED);
    assert_int_equal(recipe_judge(rest, RECIPE_VERIFY, 0), RECIPE_UNCLEAR);
}

// ---- XML ----

static void xml_rejects_what_expands_or_does_not_close(void **state) {
    static const char *const wrong[] = {"",
                                        "a",
                                        "<a>",
                                        "<a></b>",
                                        "<a/><b/>",
                                        "<a",
                                        "<a b></a>",
                                        "<a b=\"<\"/>",
                                        "<a>&x;</a>",
                                        "<a>&#10;</a>",
                                        "<a>&#99999;</a>",
                                        "<!DOCTYPE a []><a/>",
                                        "<a><![CDATA[x]]></a>",
                                        "<a>x<b/>y</a>",
                                        "<?xml ",
                                        "<a><!-- </a>",
                                        "<a>\xff</a>",
                                        "<1/>"};
    json_t *root = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (vlt_is_ok(xmltext_parse(bytes_of_text(wrong[i]), &root)))
            fail_msg("%s was taken", wrong[i]);
    char deep[256] = "";
    for (int i = 0; i < 20; i++)
        memcpy(deep + 3 * i, "<a>", 4);
    assert_int_equal(xmltext_parse(bytes_of_text(deep), &root).class, VLT_LIMIT);
}

static void xml_survives_mutation(void **state) {
    char text[sizeof aws_answer];
    for (size_t i = 0; i < sizeof aws_answer - 1; i++)
        for (unsigned how = 0; how < 3; how++) {
            json_t *root = NULL;
            memcpy(text, aws_answer, sizeof aws_answer);
            text[i] = how == 0 ? (char)(text[i] ^ 1) : how == 1 ? '<' : text[i];
            size_t size = how == 2 ? i : sizeof aws_answer - 1;
            if (vlt_is_ok(xmltext_parse(bytes_of(text, size), &root)))
                json_decref(root);
        }
}

// ---- AWS ----

// The example of AWS's documentation (IAM ListUsers, 30 August 2015).
static void sigv4_accepts_the_published_example(void **state) {
    struct sigv4_headers headers;
    const struct sigv4_request request = {
        .method = "GET",
        .host = "iam.amazonaws.com",
        .content_type = "application/x-www-form-urlencoded; charset=utf-8",
        .target = BYTES_LITERAL("/?Action=ListUsers&Version=2010-05-08"),
        .region = "us-east-1",
        .service = "iam",
        .now_s = 1440938160};
    assert_ok(sigv4_sign(&request,
                         BYTES_LITERAL("{\"AccessKeyId\":\"AKIDEXAMPLE\",\"SecretAccessKey\":"
                                       "\"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\"}"),
                         &headers));
    assert_string_equal(headers.date, "20150830T123600Z");
    assert_string_equal(
        headers.authorization,
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
}

static void sigv4_rejects_other_values(void **state) {
    static const char *const wrong[] = {"", "sk-1", "{}", "[]", "{\"AccessKeyId\":\"A\"}",
                                        "{\"AccessKeyId\":1,\"SecretAccessKey\":\"b\"}"};
    struct sigv4_headers headers;
    const struct sigv4_request request = {.method = "GET", .host = "h", .content_type = "",
                                          .target = BYTES_LITERAL("/"), .region = "r",
                                          .service = "s", .now_s = 1};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(sigv4_sign(&request, bytes_of_text(wrong[i]), &headers).class,
                         VLT_MALFORMED);
}

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)1 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipe_accepts_what_is_installed),
        cmocka_unit_test(recipe_rejects_what_it_does_not_know),
        cmocka_unit_test(recipe_survives_mutation),
        cmocka_unit_test(recipe_rejects_parameters_that_do_not_fit),
        cmocka_unit_test(request_accepts_values_in_their_places),
        cmocka_unit_test(request_accepts_forms),
        cmocka_unit_test(request_rejects_values_that_are_none),
        cmocka_unit_test(answer_accepts_new_keys),
        cmocka_unit_test(answer_rejects_what_lacks_a_key),
        cmocka_unit_test(answer_accepts_lists),
        cmocka_unit_test(answer_accepts_three_verdicts),
        cmocka_unit_test(xml_rejects_what_expands_or_does_not_close),
        cmocka_unit_test(xml_survives_mutation),
        cmocka_unit_test(sigv4_accepts_the_published_example),
        cmocka_unit_test(sigv4_rejects_other_values),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
