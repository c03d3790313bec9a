// SPDX-License-Identifier: Apache-2.0
// How many tokens an answer cost: by the profiles as they are shipped.
#include <stdio.h>
#include <stdlib.h>

#include "forward/core/usage_scan.h"
#include "tests/unit/check.h"
#include "tests/unit/forward_fixture.h"

#define NONE (-1)
#define TEXT_FAKE "{\\\"usage\\\":{\\\"prompt_tokens\\\":900,\\\"input_tokens\\\":901}}"

static const struct profile_usage *usage_of(const char *profile) {
    const struct profile_usage *usage = profile_usage(profile_find(shipped, profile));
    assert_non_null(usage);
    return usage;
}

struct found {
    int64_t input, output;
};

static struct found found_by(const struct usage_scan *scan) {
    uint64_t input, output;
    return (struct found){usage_scan_input(scan, &input) ? (int64_t)input : NONE,
                          usage_scan_output(scan, &output) ? (int64_t)output : NONE};
}

// Each piece in memory of its own size, for a sanitizer.
static void feed(struct usage_scan *scan, struct bytes piece) {
    uint8_t *copy = malloc(piece.size + 1);
    assert_non_null(copy);
    if (piece.size)
        memcpy(copy + 1, piece.at, piece.size);
    usage_scan_feed(scan, bytes_of(copy + 1, piece.size));
    free(copy);
}

static struct found scan_steps(const struct profile_usage *usage, bool is_events,
                               struct bytes answer, size_t step) {
    struct usage_scan scan;
    usage_scan_init(&scan, usage, is_events);
    for (size_t at = 0; at < answer.size; at += step)
        feed(&scan, bytes_of(answer.at + at, answer.size - at < step ? answer.size - at : step));
    return found_by(&scan);
}

static struct found scan_split(const struct profile_usage *usage, bool is_events,
                               struct bytes answer, size_t split) {
    struct usage_scan scan;
    usage_scan_init(&scan, usage, is_events);
    feed(&scan, bytes_of(answer.at, split));
    feed(&scan, bytes_from(answer, split));
    return found_by(&scan);
}

static void expect(const char *profile, bool is_events, const char *text, int64_t input,
                   int64_t output) {
    const struct profile_usage *usage = usage_of(profile);
    struct bytes answer = bytes_of_text(text);
    for (size_t split = 0; split <= answer.size; split++) {
        struct found found = scan_split(usage, is_events, answer, split);
        if (found.input != input || found.output != output)
            fail_msg("%s: %s split at %zu: %lld, %lld", profile, text, split,
                     (long long)found.input, (long long)found.output);
    }
    for (size_t step = 1; step < 40; step++) {
        struct found found = scan_steps(usage, is_events, answer, step);
        if (found.input != input || found.output != output)
            fail_msg("%s: %s in pieces of %zu: %lld, %lld", profile, text, step,
                     (long long)found.input, (long long)found.output);
    }
}

// ---- Answers as providers write them ----

static const char chat[] =
    "{\n  \"id\": \"chatcmpl-B9\",\n  \"object\": \"chat.completion\",\n  \"created\": "
    "1741569952,\n"
    "  \"model\": \"gpt-4.1-2025-04-14\",\n  \"choices\": [\n    {\n      \"index\": 0,\n"
    "      \"message\": {\n        \"role\": \"assistant\",\n"
    "        \"content\": \"He said: " TEXT_FAKE " \\\\\",\n"
    "        \"refusal\": null,\n        \"annotations\": [],\n        \"usage\": "
    "{\"prompt_tokens\": 7}\n      },\n      \"logprobs\": null,\n"
    "      \"finish_reason\": \"stop\"\n    }\n  ],\n  \"usage\": {\n    \"prompt_tokens\": 19,\n"
    "    \"completion_tokens\": 10,\n    \"total_tokens\": 29,\n    \"prompt_tokens_details\": {\n"
    "      \"cached_tokens\": 3,\n      \"prompt_tokens\": 77\n    },\n"
    "    \"completion_tokens_details\": {\"reasoning_tokens\": 4}\n  },\n"
    "  \"service_tier\": \"default\"\n}\n";

static const char chat_events[] =
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":"
    "{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n"
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" TEXT_FAKE
    "\"}}],\"usage\":null}\n\n"
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,"
    "\"total_tokens\":29,\"prompt_tokens_details\":{\"cached_tokens\":0}}}\n\n"
    "data: [DONE]\n\n";

static const char responses[] =
    "{\"id\":\"resp_67\",\"object\":\"response\",\"status\":\"completed\",\"error\":null,"
    "\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"" TEXT_FAKE
    "\",\"usage\":{\"input_tokens\":5}}]}],\"temperature\":1.0,\"usage\":{\"input_tokens\":36,"
    "\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":87,"
    "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":123},\"metadata\":{}}";

static const char responses_events[] =
    "event: response.created\r\n"
    "data: "
    "{\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"output\":[],\"usage\":null}}\r\n"
    "\r\n"
    "event: response.output_text.delta\r\n"
    "data: {\"type\":\"response.output_text.delta\",\"delta\":\"" TEXT_FAKE "\"}\r\n\r\n"
    ": still here\r\n\r\n"
    "event: response.completed\r\n"
    "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"output\":[{\"usage\":"
    "{\"input_tokens\":1}}],\"usage\":{\"input_tokens\":37,\"output_tokens\":11,"
    "\"total_tokens\":48}}}\r\n\r\n";

static const char messages[] =
    "{\"id\":\"msg_01\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":"
    "\"text\","
    "\"text\":\"" TEXT_FAKE
    "\"},{\"type\":\"tool_use\",\"input\":{\"usage\":{\"input_tokens\":8}}}],"
    "\"usage\":{\"input_tokens\":2095,\"cache_creation_input_tokens\":100,"
    "\"cache_read_input_tokens\":20,\"cache_creation\":{\"ephemeral_5m_input_tokens\":100},"
    "\"output_tokens\":503,\"server_tool_use\":{\"web_search_requests\":1},"
    "\"service_tier\":\"standard\"}}";

static const char messages_events[] =
    "event: message_start\n"
    "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"content\":[],\"usage\":"
    "{\"input_tokens\":25,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":7,"
    "\"output_tokens\":1}}}\n\n"
    "event: ping\ndata: {\"type\": \"ping\"}\n\n"
    "event: content_block_delta\n"
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\","
    "\"partial_json\":\"" TEXT_FAKE "\",\"usage\":{\"output_tokens\":6}}}\n\n"
    "event: message_delta\n"
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":"
    "{\"output_tokens\":15}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

#define GEMINI_CHUNK(text, usage)                                                                  \
    "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" text "\"}],\"role\":\"model\"},"      \
    "\"usageMetadata\":{\"promptTokenCount\":9}}],\"usageMetadata\":{" usage                       \
    ",\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":8}]},"                        \
    "\"modelVersion\":\"gemini-2.5-flash\"}"
#define GEMINI_FIRST GEMINI_CHUNK(TEXT_FAKE, "\"promptTokenCount\":8,\"totalTokenCount\":8")
#define GEMINI_NEXT                                                                                \
    GEMINI_CHUNK("b", "\"promptTokenCount\":8,\"candidatesTokenCount\":4,\"totalTokenCount\":12")
#define GEMINI_LAST                                                                                \
    GEMINI_CHUNK("c", "\"promptTokenCount\":8,\"candidatesTokenCount\":21,"                        \
                      "\"thoughtsTokenCount\":100,\"toolUsePromptTokenCount\":1000")

static void usage_accepts_each_provider(void **state) {
    expect("openai", false, chat, 19, 10);
    expect("azure-openai", false, chat, 19, 10);
    expect("generic-bearer", false, chat, 19, 10);
    expect("openai", false, responses, 36, 87);
    expect("anthropic", false, messages, 2215, 503);
    expect("gemini", false, GEMINI_LAST, 1008, 121);
    expect("gemini", false, chat, 19, 10);
    expect("openai", false,
           "{\"object\":\"list\",\"data\":[{\"embedding\":[0.01,-2e-3]}],\"usage\":"
           "{\"prompt_tokens\":8,\"total_tokens\":8}}",
           8, NONE);
}

static void usage_accepts_each_provider_streaming(void **state) {
    expect("openai", true, chat_events, 19, 10);
    expect("azure-openai", true, chat_events, 19, 10);
    expect("openai", true, responses_events, 37, 11);
    expect("anthropic", true, messages_events, 32, 15);
    expect("gemini", true,
           "data: " GEMINI_FIRST "\r\n\r\ndata: " GEMINI_NEXT "\r\n\r\ndata: " GEMINI_LAST
           "\r\n\r\n",
           1008, 121);
    expect("gemini", true, "data: " GEMINI_FIRST "\n\ndata: " GEMINI_NEXT "\n\n", 8, 4);
    expect("gemini", false, "[" GEMINI_FIRST "\n,\r\n" GEMINI_NEXT ",\n" GEMINI_LAST "\n]\n", 1008,
           121);
    expect("gemini", false, "[" GEMINI_FIRST ",\n" GEMINI_NEXT, 8, 4); // cut there
}

// Each kind of line end, data over several lines, no blank before the colon.
static void usage_accepts_the_forms_of_events(void **state) {
    static const char *const ends[] = {"\n", "\r\n", "\r"};
    char text[512];
    for (size_t i = 0; i < 3; i++) {
        const char *e = ends[i];
        snprintf(text, sizeof text,
                 "retry: 5%s:comment%sdata:{\"usage\":%sdata: {\"prompt_tokens\":%sdata:3%sdata: "
                 ",\"completion_tokens\":4}%sdata%sdata:}%s%sid: 7%sdata: {\"usage\":{}}%s%s",
                 e, e, e, e, e, e, e, e, e, e, e, e);
        expect("openai", true, text, 3, 4);
    }
    static const char *const no_counts[] = {
        "data: {\"usage\":\n\ndata: {\"prompt_tokens\":3}}\n\n", // two events
        "event: {\"usage\":{\"prompt_tokens\":3}}\n\n",
        "datas: {\"usage\":{\"prompt_tokens\":3}}\n\n",
        " data: {\"usage\":{\"prompt_tokens\":3}}\n\n",
        "DATA: {\"usage\":{\"prompt_tokens\":3}}\n\n",
        ":data: {\"usage\":{\"prompt_tokens\":3}}\n\n",
        "data: \"\ndata: {\"usage\":{\"prompt_tokens\":3}}\n\n",
        "data: {\"a\":\"\ndata: \",\"usage\":{\"prompt_tokens\":3}}\n\n",
        "data: [DONE]\ndata: {\"usage\":{\"prompt_tokens\":3}}\n\n",
        "{\"usage\":{\"prompt_tokens\":3}}",
        "data: {\"usage\":{\"prompt_tokens\":3", // may go on: 37
    };
    for (size_t i = 0; i < sizeof no_counts / sizeof *no_counts; i++)
        expect("openai", true, no_counts[i], NONE, NONE);
    expect("openai", true,
           "data: {\"usage\":{\"x\n\ndata: ]\n\ndata: {\"usage\":{\"prompt_tokens\":3}}\n\n", 3,
           NONE);
}

static void usage_accepts_whole_numbers_only(void **state) {
    static const char *const values[] = {"null",
                                         "true",
                                         "-1",
                                         "-0",
                                         "1.0",
                                         "1e3",
                                         "1E2",
                                         "01",
                                         "00",
                                         "\"5\"",
                                         "[5]",
                                         "{}",
                                         "+5",
                                         "0x5",
                                         "5a",
                                         "5.",
                                         "5e",
                                         "nul",
                                         "[[5]]",
                                         "{\"prompt_tokens\":5}",
                                         "9007199254740993",
                                         "18446744073709551621",
                                         "100000000000000000000000000000000005"};
    char text[256];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        snprintf(text, sizeof text, "{\"usage\":{\"prompt_tokens\":%s,\"completion_tokens\":6}}",
                 values[i]);
        expect("openai", false, text, NONE, 6);
        // What was said before stays.
        snprintf(text, sizeof text, "{\"usage\":{\"prompt_tokens\":4,\"prompt_tokens\":%s}}",
                 values[i]);
        expect("openai", false, text, 4, NONE);
    }
    expect("openai", false, "{\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}", 0, 0);
    expect("openai", false, "{\"usage\":{\"prompt_tokens\" :\t9007199254740992\n}}",
           INT64_C(9007199254740992), NONE);
}

// As any reader of JSON sees them.
static void usage_accepts_names_however_spelled(void **state) {
    static const char *const good[] = {
        "{\"usag\\u0065\":{\"prompt_tokens\":5}}", "{\"\\u0075sage\":{\"prompt\\u005ftokens\":5}}",
        "{\"\\u0075\\u0073\\u0061\\u0067\\u0065\":{\"prompt\\u005Ftoken\\u0073\":5}}",
        "{\"x\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\":1,\"usage\":{\"prompt_tokens\":5}}",
        "{\"\\ud83d\\ude00\":{},\"usage\":{\"\\uD83D\":1,\"prompt_tokens\":5}}"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        expect("openai", false, good[i], 5, NONE);
    expect("openai", true,
           "data: {\"\\u0075sage\":{\"prompt\\u005ftokens\":5,\"completion_token\\u0073\":6}}\n\n",
           5, 6);
    static const char *const others[] = {
        "{\"\\u0055sage\":{\"prompt_tokens\":5}}", // of another letter
        "{\"usage\\u0000\":{\"prompt_tokens\":5}}",
        "{\"usage\\ud83d\":{\"prompt_tokens\":5}}",
        "{\"us\\uude00age\":{\"prompt_tokens\":5}}",
        "{\"us\\u061\":{\"prompt_tokens\":5}}", // broken
        "{\"us\\u\":1,\"us\\u006\":{\"prompt_tokens\":5}}",
        "{\"us\\u00g1ge\":{\"prompt_tokens\":5}}",
        "{\"us\\U0061ge\":{\"prompt_tokens\":5}}",
        "{\"usag\\e\":{\"prompt_tokens\":5}}",
        "{\"usag\\x65\":{\"prompt_tokens\":5}}",
        "{\"\\\\u0075sage\":{\"prompt_tokens\":5}}"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        expect("openai", false, others[i], NONE, NONE);
    // The one after a broken one is a name of its own.
    expect("openai", false, "{\"\\u00\":1,\"\\u007\":2,\"usage\":{\"prompt_tokens\":5}}", 5, NONE);
    // Bytes that an escape spells count against the room like others.
    char text[1024];
    for (size_t count = 60; count < 68; count++) {
        char *at = stpcpy(text, "{\"");
        for (size_t i = 0; i < count; i++)
            at = stpcpy(at, i % 2 ? "\\u20ac" : "x");
        stpcpy(at, "usage\":{\"prompt_tokens\":5},\"usage\":{\"prompt_tokens\":6}}");
        expect("openai", false, text, 6, NONE);
    }
}

#define MARK "\xef\xbb\xbf"

static void usage_accepts_a_byte_order_mark_at_the_beginning(void **state) {
    char text[8192];
    snprintf(text, sizeof text, MARK "%s", chat);
    expect("openai", false, text, 19, 10);
    snprintf(text, sizeof text, MARK "%s", chat_events);
    expect("openai", true, text, 19, 10);
    expect("openai", true, MARK "data: {\"usage\":{\"prompt_tokens\":5}}\n\n", 5, NONE);
    expect("gemini", false, MARK "[" GEMINI_FIRST "," GEMINI_LAST "]", 1008, 121);
    static const char *const broken[] = {
        MARK MARK "{\"usage\":{\"prompt_tokens\":5}}", // one is enough
        "\xef\xbb{\"usage\":{\"prompt_tokens\":5}}",   // half of one
        "\xef{\"usage\":{\"prompt_tokens\":5}}",
        "\xef\xef\xbb\xbf{\"usage\":{\"prompt_tokens\":5}}",
        "\xff\xfe{\"usage\":{\"prompt_tokens\":5}}",
        " " MARK "{\"usage\":{\"prompt_tokens\":5}}",
        "[" MARK "{\"usage\":{\"prompt_tokens\":5}}]",
        MARK};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        expect("openai", false, broken[i], NONE, NONE);
    static const char *const broken_events[] = {
        MARK MARK "data: {\"usage\":{\"prompt_tokens\":5}}\n\n",
        "\xef\xbb" "data: {\"usage\":{\"prompt_tokens\":5}}\n\n",
        "\n" MARK "data: {\"usage\":{\"prompt_tokens\":5}}\n\n",
        "data: " MARK "{\"usage\":{\"prompt_tokens\":5}}\n\n"};
    for (size_t i = 0; i < sizeof broken_events / sizeof *broken_events; i++)
        expect("openai", true, broken_events[i], NONE, NONE);
    // What follows a line that was spoiled counts.
    expect("openai", true, "\xef\xbb\n\ndata: {\"usage\":{\"prompt_tokens\":5}}\n\n", 5, NONE);
}

static void usage_rejects_what_stands_elsewhere(void **state) {
    static const char *const others[] = {
        "{\"prompt_tokens\":5}",
        "{\"a\":{\"usage\":{\"prompt_tokens\":5}}}",
        "{\"usage\":[{\"prompt_tokens\":5}]}",
        "{\"usage\":{\"a\":{\"prompt_tokens\":5}}}",
        "{\"usage\":{\"usage\":{\"prompt_tokens\":5}}}",
        "{\"response\":{\"prompt_tokens\":5,\"a\":{\"usage\":{\"prompt_tokens\":5}}}}",
        "{\"response\":[{\"usage\":{\"prompt_tokens\":5}}]}",
        "{\"Usage\":{\"prompt_tokens\":5}}",
        "{\"usage \":{\"prompt_tokens\":5}}",
        "{\"usage\":{\"prompt_tokens_details\":5,\"total\":6}}",
        "{\"usage\":\"prompt_tokens\",\"x\":5}",
        "{\"x\":\"{\\\"usage\\\":{\\\"prompt_tokens\\\":5}}\"}",
        "{\"x\\\":{}\":1,\"y\\\"usage\":{\"prompt_tokens\":5}}",
        "[[{\"usage\":{\"prompt_tokens\":5}}]]",
        "\"usage\"",
        "{\"a\":1}{\"usage\":{\"prompt_tokens\":5}}", // something follows
        "{\"a\":1}]{\"usage\":{\"prompt_tokens\":5}}",
        "{\"a\" 1,\"usage\":{\"prompt_tokens\":5}}",
        "{\"a\":1 2,\"usage\":{\"prompt_tokens\":5}}",
        "{a:1,\"usage\":{\"prompt_tokens\":5}}",
        "{\"a\":],\"usage\":{\"prompt_tokens\":5}}",
        "{\"a\":\"\n\",\"usage\":{\"prompt_tokens\":5}}",
        "<html>{\"usage\":{\"prompt_tokens\":5}}",
        ""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        expect("openai", false, others[i], NONE, NONE);
    // A name may not be taken for the end of a longer one.
    char text[512], name[200];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t size = 0; size < 140; size++) {
        snprintf(text, sizeof text, "{\"%.*susage\":{\"prompt_tokens\":5}}", (int)size, name);
        struct found found =
            scan_steps(usage_of("openai"), false, bytes_of_text(text), size % 9 + 1);
        assert_int_equal(found.input, size ? NONE : 5);
    }
}

// As deep as one likes: texts and brackets inside are no end of it.
static void usage_accepts_deep_nesting(void **state) {
    enum { DEPTH = 100000 };
    static char text[6 * DEPTH + 200];
    for (unsigned more = 0; more < 2; more++) { // and one bracket too many
        char *at = stpcpy(text, "{\"a\":");
        for (size_t i = 0; i < DEPTH; i++)
            at = stpcpy(at, i % 2 ? "[" : "{\"}\":");
        at = stpcpy(at, "\"]}\\\"\"");
        for (size_t i = DEPTH; i-- > 0;)
            *at++ = i % 2 ? ']' : '}';
        if (more)
            *at++ = '}';
        at = stpcpy(at, ",\"usage\":{\"prompt_tokens\":5}}");
        struct bytes answer = bytes_of(text, (size_t)(at - text));
        struct found whole = scan_steps(usage_of("openai"), false, answer, answer.size),
                     pieces = scan_steps(usage_of("openai"), false, answer, 7);
        assert_int_equal(whole.input, more ? NONE : 5);
        assert_int_equal(pieces.input, whole.input);
    }
}

// Texts of all lengths and kinds, so that each end stands in each lane once.
static void usage_accepts_long_texts(void **state) {
    static const char *const fillers[] = {"x",    "\xc3\xa9", "\xf0\x9f\x98\x80", "\\\"", "\\\\",
                                          "\x7f", "\xff"};
    char text[2048];
    for (size_t kind = 0; kind < sizeof fillers / sizeof *fillers; kind++)
        for (size_t size = 0; size < 150; size++) {
            char *at = stpcpy(text, "data: {\"t\":\"");
            for (size_t i = 0; i < size; i++)
                at = stpcpy(at, fillers[kind]);
            at = stpcpy(at, "\",\"usage\":{\"prompt_tokens\":5}}\n\n");
            struct bytes answer = bytes_of(text, (size_t)(at - text));
            for (size_t step = 1; step < 200; step += 13)
                assert_int_equal(scan_steps(usage_of("openai"), true, answer, step).input, 5);
            assert_int_equal(scan_steps(usage_of("openai"), true, answer, answer.size).input, 5);
            text[strlen("data: {\"t\":\"") + size * strlen(fillers[kind])] = '\t'; // goes on
            assert_int_equal(scan_steps(usage_of("openai"), true, answer, answer.size).input, NONE);
        }
}

static void survive(const char *profile, bool is_events, const char *text) {
    const struct profile_usage *usage = usage_of(profile);
    const size_t size = strlen(text);
    char *changed = malloc(size);
    assert_non_null(changed);
    for (size_t at = 0; at < size; at++)
        for (unsigned change = 1; change < 256; change += at % 3 + 4) {
            memcpy(changed, text, size);
            changed[at] = (char)(changed[at] ^ (int)change);
            if (change % 5 == 0) // and another one
                changed[(at * 7 + change) % size] = "\"\\{}[],:\n\r0"[change % 11];
            struct bytes answer = bytes_of(changed, size);
            struct found whole = scan_steps(usage, is_events, answer, size),
                         pieces = scan_steps(usage, is_events, answer, change % 37 + 1);
            assert_int_equal(whole.input, pieces.input);
            assert_int_equal(whole.output, pieces.output);
        }
    free(changed);
}

static void usage_survives_mutation(void **state) {
    survive("openai", false, responses);
    survive("openai", false, MARK "{\"\\u0075sage\":{\"prompt\\u005ftokens\":5,\"\\ud83d\":{}}}");
    survive("openai", true, chat_events);
    survive("openai", true, responses_events);
    survive("anthropic", true, messages_events);
    survive("gemini", false, "[" GEMINI_FIRST "," GEMINI_LAST "]");
}

static void usage_survives_garbage(void **state) {
    static const char bytes[] = "{}[]\",:\\0123456789.eE-+ \t\r\ndata: usageprompt_tokens\xc3\xa9";
    uint32_t seed = 1;
    uint8_t text[512];
    for (unsigned round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof text; i++) {
            seed = seed * 1664525 + 1013904223;
            text[i] = (uint8_t)bytes[(seed >> 16) % (sizeof bytes - 1)];
        }
        struct bytes answer = bytes_of(text, sizeof text);
        bool is_events = round % 2;
        struct found whole = scan_steps(usage_of("openai"), is_events, answer, sizeof text),
                     pieces = scan_steps(usage_of("openai"), is_events, answer, round % 50 + 1);
        assert_int_equal(whole.input, pieces.input);
    }
}

// What two names say about one number is that number once; what is beside it is added.
static void usage_accepts_names_of_one_count_once(void **state) {
    expect("openai", false, "{\"usage\":{\"prompt_tokens\":5,\"input_tokens\":5}}", 5, NONE);
    expect("openai", false,
           "{\"usage\":{\"input_tokens\":5},\"response\":{\"usage\":{\"input_tokens\":6}}}", 6,
           NONE);
    expect("anthropic", false, "{\"usage\":{\"cache_read_input_tokens\":5}}", 5, NONE);
    expect("anthropic", false,
           "{\"message\":{\"usage\":{\"input_tokens\":9007199254740992,"
           "\"cache_read_input_tokens\":9007199254740992}}}",
           INT64_C(18014398509481984), NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_accepts_each_provider),
        cmocka_unit_test(usage_accepts_each_provider_streaming),
        cmocka_unit_test(usage_accepts_the_forms_of_events),
        cmocka_unit_test(usage_accepts_whole_numbers_only),
        cmocka_unit_test(usage_accepts_names_of_one_count_once),
        cmocka_unit_test(usage_accepts_names_however_spelled),
        cmocka_unit_test(usage_accepts_a_byte_order_mark_at_the_beginning),
        cmocka_unit_test(usage_rejects_what_stands_elsewhere),
        cmocka_unit_test(usage_accepts_deep_nesting),
        cmocka_unit_test(usage_accepts_long_texts),
        cmocka_unit_test(usage_survives_mutation),
        cmocka_unit_test(usage_survives_garbage),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
