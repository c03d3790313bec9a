// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "libvault/policy/policy_ext.h"
#include "tests/unit/check.h"

static void ip_accepts_addresses_and_ranges(void **state) {
    static const struct {
        const char *text;
        bool is_v6;
        unsigned prefix, first, last;
    } cases[] = {
        {"0.0.0.0", false, 32, 0, 0},         {"255.255.255.255", false, 32, 255, 255},
        {"10.1.2.3/0", false, 0, 10, 3},      {"10.1.2.3/32", false, 32, 10, 3},
        {"::", true, 128, 0, 0},              {"::1", true, 128, 0, 1},
        {"1::", true, 128, 0, 0},             {"fF02::Ab/8", true, 8, 255, 0xab},
        {"1:2:3:4:5:6:7:8", true, 128, 0, 8}, {"1:2:3:4:5:6:7::", true, 128, 0, 0},
        {"::2:3:4:5:6:7:8", true, 128, 0, 8}, {"0001::0002/128", true, 128, 0, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy_ip ip;
        assert_true(vlt_is_ok(policy_ip_parse(bytes_of_text(cases[i].text), &ip)));
        assert_int_equal(ip.is_v6, cases[i].is_v6);
        assert_int_equal(ip.prefix, cases[i].prefix);
        assert_int_equal(ip.address[0], cases[i].first);
        assert_int_equal(ip.address[ip.is_v6 ? 15 : 3], cases[i].last);
    }
}

static void ip_rejects_other_spellings(void **state) {
    static const char *const wrong[] = {"",
                                        "1",
                                        "1.2.3",
                                        "1.2.3.4.5",
                                        "1.2.3.256",
                                        "01.2.3.4",
                                        "1.2.3.4 ",
                                        " 1.2.3.4",
                                        "1.2.3.4/",
                                        "1.2.3.4/33",
                                        "1.2.3.4/032",
                                        "1.2.3.4/00",
                                        "1.2.3.4/+8",
                                        "1.2.3.4/8/8",
                                        "1..2.3",
                                        ".1.2.3.4",
                                        "1.2.3.4.",
                                        "0x1.2.3.4",
                                        "1.2.3.1000",
                                        ":",
                                        ":::",
                                        "1:",
                                        ":1",
                                        "1::2::3",
                                        "1:2:3:4:5:6:7",
                                        "1:2:3:4:5:6:7:8:9",
                                        "1:2:3:4:5:6:7:8::",
                                        "::1:2:3:4:5:6:7:8",
                                        "12345::",
                                        "g::",
                                        "::1/129",
                                        "::1/0128",
                                        "::ffff:1.2.3.4",
                                        "::1%lo",
                                        "[::1]",
                                        "1:2:3:4:5:6:7::8:9",
                                        "0000:0000:0000:0000:0000:0000:0000:0000/1280"};
    struct policy_ip ip;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (vlt_is_ok(policy_ip_parse(bytes_of_text(wrong[i]), &ip)))
            fail_msg("accepted %s", wrong[i]);
}

static bool ask_ip(policy_ext_fn *question, const char *a, const char *b) {
    struct policy_ip ips[2];
    struct policy_value arguments[2], value;
    assert_true(vlt_is_ok(policy_ip_parse(bytes_of_text(a), &ips[0])));
    assert_true(vlt_is_ok(policy_ip_parse(bytes_of_text(b), &ips[1])));
    for (int i = 0; i < 2; i++)
        arguments[i] = (struct policy_value){.kind = POLICY_IP, .ip = &ips[i]};
    assert_true(vlt_is_ok(question(arguments, NULL, &value)));
    return value.boolean;
}

static void ip_accepts_questions(void **state) {
    assert_true(ask_ip(policy_ext_is_loopback, "127.0.0.1", "::"));
    assert_true(ask_ip(policy_ext_is_loopback, "127.0.0.0/8", "::"));
    assert_false(ask_ip(policy_ext_is_loopback, "127.0.0.0/7", "::"));
    assert_true(ask_ip(policy_ext_is_loopback, "::1", "::"));
    assert_false(ask_ip(policy_ext_is_loopback, "::1/127", "::"));
    assert_true(ask_ip(policy_ext_is_multicast, "239.1.1.1", "::"));
    assert_false(ask_ip(policy_ext_is_multicast, "240.0.0.0", "::"));
    assert_false(ask_ip(policy_ext_is_multicast, "224.0.0.0/3", "::"));
    assert_true(ask_ip(policy_ext_is_multicast, "ff00::/8", "::"));
    assert_true(ask_ip(policy_ext_is_in_range, "10.1.2.3", "10.0.0.0/8"));
    assert_true(ask_ip(policy_ext_is_in_range, "10.1.2.3", "10.1.2.2/31"));
    assert_false(ask_ip(policy_ext_is_in_range, "10.1.2.3", "10.1.2.4/31"));
    assert_false(ask_ip(policy_ext_is_in_range, "10.0.0.0/7", "10.0.0.0/8"));
    assert_true(ask_ip(policy_ext_is_in_range, "10.0.0.0/8", "10.0.0.0/8"));
    assert_true(ask_ip(policy_ext_is_in_range, "1.2.3.4", "9.9.9.9/0"));
    assert_false(ask_ip(policy_ext_is_in_range, "1.2.3.4", "::/0"));
    assert_true(ask_ip(policy_ext_is_in_range, "2001:db8::1", "2001:db8::/33"));
    assert_false(ask_ip(policy_ext_is_in_range, "2001:db8:8000::1", "2001:db8::/33"));
}

typedef vlt_result parser(struct bytes text, int64_t *ret_number);
struct number_case {
    const char *text;
    int64_t number;
};

static void assert_numbers(parser *parse, const struct number_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int64_t number = 0;
        if (!vlt_is_ok(parse(bytes_of_text(cases[i].text), &number)) || number != cases[i].number)
            fail_msg("%s is %lld", cases[i].text, (long long)number);
    }
}

static void assert_wrong(parser *parse, const char *const *wrong, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int64_t number = 42;
        if (vlt_is_ok(parse(bytes_of_text(wrong[i]), &number)))
            fail_msg("accepted %s", wrong[i]);
        assert_int_equal(number, 42);
    }
}

static void decimal_accepts_one_to_four_places(void **state) {
    static const struct number_case cases[] = {{"0.0", 0},
                                               {"-0.0", 0},
                                               {"1.5", 15000},
                                               {"-1.05", -10500},
                                               {"0.0001", 1},
                                               {"-0.0001", -1},
                                               {"00012.3400", 123400},
                                               {"922337203685477.5807", INT64_MAX},
                                               {"-922337203685477.5808", INT64_MIN}};
    static const char *const wrong[] = {"",
                                        "1",
                                        "1.",
                                        ".1",
                                        "-",
                                        "-.1",
                                        "+1.0",
                                        "1.00000",
                                        "1.0 ",
                                        "1,0",
                                        "1.-0",
                                        "1e1.0",
                                        "0x1.0",
                                        "922337203685477.5808",
                                        "-922337203685477.5809",
                                        "99999999999999999999999.0",
                                        "1.0.0",
                                        "١.٠"};
    assert_numbers(policy_decimal_parse, cases, sizeof cases / sizeof *cases);
    assert_wrong(policy_decimal_parse, wrong, sizeof wrong / sizeof *wrong);
}

static void datetime_accepts_five_shapes(void **state) {
    static const struct number_case cases[] = {
        {"1970-01-01", 0},
        {"1970-01-02T00:00:00Z", 86400000},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2024-02-29", INT64_C(1709164800000)},
        {"2024-01-01T12:00:00+0100", INT64_C(1704106800000)},
        {"2024-01-01T12:00:00.250-0030", INT64_C(1704112200250)},
        {"0000-01-01", INT64_C(-62167219200000)},
        {"9999-12-31T23:59:59.999Z", INT64_C(253402300799999)},
        {"2000-02-29", INT64_C(951782400000)},
        {"1970-01-01T00:00:00-2359", 86340000}};
    static const char *const wrong[] = {"",
                                        "1970",
                                        "1970-1-1",
                                        "1970-01-01T",
                                        "1970-01-01T00:00Z",
                                        "1970-01-01T00:00:00",
                                        "1970-01-01T00:00:00.1Z",
                                        "1970-01-01T00:00:00.1234Z",
                                        "1970-01-01 00:00:00Z",
                                        "1970-01-01t00:00:00Z",
                                        "1970-01-01T00:00:00z",
                                        "1970-01-01T24:00:00Z",
                                        "1970-01-01T00:60:00Z",
                                        "1970-01-01T23:59:60Z",
                                        "1970-01-01T00:00:00+01:00",
                                        "1970-01-01T00:00:00+2400",
                                        "1970-01-01T00:00:00+0060",
                                        "1970-01-01T00:00:00+01",
                                        "1970-00-01",
                                        "1970-13-01",
                                        "1970-01-00",
                                        "1970-01-32",
                                        "2023-02-29",
                                        "1900-02-29",
                                        "2024-04-31",
                                        "19700-01-01",
                                        "-1970-01-01",
                                        "1970-01-01Z",
                                        "1970-01-01T00:00:00ZZ"};
    assert_numbers(policy_datetime_parse, cases, sizeof cases / sizeof *cases);
    assert_wrong(policy_datetime_parse, wrong, sizeof wrong / sizeof *wrong);
}

static void duration_accepts_units_in_order(void **state) {
    static const struct number_case cases[] = {{"0ms", 0},
                                               {"1d2h3m4s5ms", 93784005},
                                               {"-1d", -86400000},
                                               {"5ms", 5},
                                               {"5m", 300000},
                                               {"5m5ms", 300005},
                                               {"-0d", 0},
                                               {"90m", 5400000},
                                               {"9223372036854775807ms", INT64_MAX},
                                               {"-9223372036854775808ms", INT64_MIN},
                                               {"106751991167d7h12m55s807ms", INT64_MAX},
                                               {"0000001h", 3600000}};
    static const char *const wrong[] = {"",
                                        "-",
                                        "1",
                                        "d",
                                        "1d1d",
                                        "1h1d",
                                        "1ms1s",
                                        "+1d",
                                        "1.5h",
                                        " 1d",
                                        "1d ",
                                        "1D",
                                        "--1d",
                                        "1d-1h",
                                        "9223372036854775808ms",
                                        "-9223372036854775809ms",
                                        "106751991168d",
                                        "106751991167d7h12m55s808ms",
                                        "99999999999999999999d",
                                        "1mss",
                                        "1y"};
    assert_numbers(policy_duration_parse, cases, sizeof cases / sizeof *cases);
    assert_wrong(policy_duration_parse, wrong, sizeof wrong / sizeof *wrong);
}

static int64_t call_one(policy_ext_fn *call, enum policy_kind kind, int64_t number) {
    struct policy_value argument = policy_value_number(kind, number), value = {0};
    assert_true(vlt_is_ok(call(&argument, NULL, &value)));
    return value.number;
}

static void time_accepts_dates_before_1970(void **state) {
    assert_int_equal(call_one(policy_ext_to_date, POLICY_DATETIME, -1), -86400000);
    assert_int_equal(call_one(policy_ext_to_time, POLICY_DATETIME, -1), 86399999);
    assert_int_equal(call_one(policy_ext_to_date, POLICY_DATETIME, -86400000), -86400000);
    assert_int_equal(call_one(policy_ext_to_time, POLICY_DATETIME, -86400000), 0);
    assert_int_equal(call_one(policy_ext_to_days, POLICY_DURATION, -86400001), -1);
    assert_int_equal(call_one(policy_ext_to_seconds, POLICY_DURATION, -1999), -1);
    assert_int_equal(call_one(policy_ext_to_hours, POLICY_DURATION, 7199999), 1);
}

static void time_rejects_overflow(void **state) {
    struct policy_value arguments[2] = {policy_value_number(POLICY_DATETIME, INT64_MIN),
                                        policy_value_number(POLICY_DURATION, -1)},
                        value;
    assert_false(vlt_is_ok(policy_ext_offset(arguments, NULL, &value)));
    assert_false(vlt_is_ok(policy_ext_to_date(arguments, NULL, &value)));
    arguments[1] = policy_value_number(POLICY_DATETIME, 1);
    assert_false(vlt_is_ok(policy_ext_duration_since(arguments, NULL, &value)));
}

// Every function refuses every kind that it does not take.
static void functions_reject_other_kinds(void **state) {
    struct policy_ip ip = {.prefix = 32};
    struct policy_arena arena;
    policy_arena_init(&arena, 256, 65536);
    for (size_t i = 0; policy_ext_at(i); i++) {
        const struct policy_ext *function = policy_ext_at(i);
        size_t accepted = 0;
        for (int kind = POLICY_BOOL; kind <= POLICY_IP; kind++) {
            struct policy_value arguments[2] = {{0}, {0}}, value;
            arguments[0].kind = arguments[1].kind = (enum policy_kind)kind;
            if (kind == POLICY_IP)
                arguments[0].ip = arguments[1].ip = &ip;
            accepted += vlt_is_ok(function->call(arguments, &arena, &value));
        }
        // offset takes two kinds, constructors refuse the empty string.
        bool takes_none = !function->is_method || strcmp(function->name, "offset") == 0;
        assert_int_equal(accepted, takes_none ? 0 : 1);
        assert_ptr_equal(policy_ext_find(bytes_of_text(function->name)), function);
    }
    assert_null(policy_ext_find(BYTES_LITERAL("unknown")));
    policy_arena_done(&arena);
}

static void parsers_survive_mutation(void **state) {
    static const char *const seeds[] = {"2001:db8::ff/64", "10.20.30.40/24",
                                        "-922337203685477.5808", "2024-02-29T12:30:45.123+0530",
                                        "-1d2h3m4s5ms"};
    for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++)
        for (size_t i = 0; i <= strlen(seeds[s]); i++)
            for (unsigned c = 0; c < 256; c++) {
                char text[64];
                int64_t number;
                struct policy_ip ip;
                int size = snprintf(text, sizeof text, "%s", seeds[s]);
                text[i] = (char)c;
                struct bytes bytes = bytes_of(text, c == 0 ? i : (size_t)size);
                (void)!vlt_is_ok(policy_ip_parse(bytes, &ip));
                (void)!vlt_is_ok(policy_decimal_parse(bytes, &number));
                (void)!vlt_is_ok(policy_datetime_parse(bytes, &number));
                (void)!vlt_is_ok(policy_duration_parse(bytes, &number));
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ip_accepts_addresses_and_ranges),
        cmocka_unit_test(ip_rejects_other_spellings),
        cmocka_unit_test(ip_accepts_questions),
        cmocka_unit_test(decimal_accepts_one_to_four_places),
        cmocka_unit_test(datetime_accepts_five_shapes),
        cmocka_unit_test(duration_accepts_units_in_order),
        cmocka_unit_test(time_accepts_dates_before_1970),
        cmocka_unit_test(time_rejects_overflow),
        cmocka_unit_test(functions_reject_other_kinds),
        cmocka_unit_test(parsers_survive_mutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
