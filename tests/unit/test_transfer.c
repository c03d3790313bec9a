// SPDX-License-Identifier: Apache-2.0
// What is written down of a call to others, and what is not.
#include <stdio.h>

#include "libvault/transfer/transfer.h"
#include "tests/unit/check.h"

static void host_is_all_that_is_taken_of_a_url(void **state) {
    static const struct {
        const char *url, *host;
    } cases[] = {
        {"https://idp.example/keys?token=secret", "idp.example"},
        {"https://idp.example:8443/secret", "idp.example:8443"},
        {"https://idp.example?secret", "idp.example"},
        {"https://idp.example#secret@x", "idp.example"},
        {"https://user:secret@idp.example/", "idp.example"},
        {"https://user:sec@ret@idp.example/", "idp.example"},
        {"https://[::1]:8443/secret", "[::1]:8443"},
        {"https://", ""},
        {"secret", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!bytes_equal_text(transfer_host(cases[i].url), cases[i].host))
            fail_msg("%s", cases[i].url);
}

static unsigned told;
static struct transfer_facts heard;

static void on_told(CURL *easy, CURLcode code) {
    told++;
    transfer_facts(easy, code, &heard);
}

// Port 0: nobody can listen there.
static void facts_of_a_call_that_fails(void **state) {
    static const struct transfer_limits limits = {1000, 1000};
    CURL *easy = curl_easy_init();
    assert_non_null(easy);
    assert_true(transfer_bound(easy, &limits));
    assert_int_equal(curl_easy_setopt(easy, CURLOPT_URL, "https://a:b@127.0.0.1:0/c?d"), CURLE_OK);
    assert_int_equal(curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PATCH"), CURLE_OK);
    CURLcode code = curl_easy_perform(easy);
    assert_int_not_equal(code, CURLE_OK);
    transfer_tell(easy, code); // nobody watches
    assert_int_equal(told, 0);
    transfer_watch(on_told);
    transfer_tell(easy, code);
    assert_int_equal(told, 1);
    assert_string_equal(heard.method, "PATCH");
    assert_true(bytes_equal_text(heard.host, "127.0.0.1:0"));
    assert_int_equal(heard.status, 0);
    assert_string_equal(heard.error, curl_easy_strerror(code));
    transfer_watch(NULL);
    curl_easy_cleanup(easy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_is_all_that_is_taken_of_a_url),
        cmocka_unit_test(facts_of_a_call_that_fails),
    };
    return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
