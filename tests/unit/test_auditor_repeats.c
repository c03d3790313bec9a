// SPDX-License-Identifier: Apache-2.0
// Denials that are counted together: none is lost, nothing else is swallowed.
#include <stdio.h>
#include <string.h>

#include "tests/unit/check.h"
#include "vaultd/auditor/repeats.h"
#include "vaultd/ipc/reasons.h"

#define SECOND REPEATS_SPAN_US
#define AT (UINT64_C(1000) * SECOND)

static struct repeats *repeats;
static uint64_t sequence;          // of the entry that was written last
static uint64_t written, counted;  // by flush: entries, and what they stand for
static bool disk_is_full;
static uint8_t flushed_outcome = AUDIT_DENY; // of every count

static int begin(void **state) {
    sequence = written = counted = 0;
    disk_is_full = false;
    repeats = repeats_new();
    return repeats == NULL;
}

static int end(void **state) {
    repeats_free(repeats);
    return 0;
}

static struct audit_event denial(const char *source, const char *reason) {
    return (struct audit_event){.kind = AUDIT_REDEEM,
                                .outcome = AUDIT_DENY,
                                .operation = BYTES_LITERAL("token.redeem"),
                                .tenant = BYTES_LITERAL("default"),
                                .forwarder = BYTES_LITERAL("edge"),
                                .source = bytes_of_text(source),
                                .reason = bytes_of_text(reason)};
}

// As the auditor does it. True: it got an entry of its own.
static bool arrives(const struct audit_event *event, uint64_t now_us) {
    uint64_t got = 0;
    if (repeats_count(repeats, event, now_us, &got)) {
        assert_in_range(got, 1, sequence);
        return false;
    }
    repeats_add(repeats, event, now_us, ++sequence);
    repeats_settle(repeats, sequence, false);
    return true;
}

static vlt_result write_count(const struct audit_event *event, void *context,
                              uint64_t *ret_sequence) {
    if (disk_is_full)
        return vlt_fail(VLT_LIMIT, "the batch is full");
    assert_int_equal(event->outcome, flushed_outcome);
    assert_true(event->repeats > 0);
    *ret_sequence = ++sequence;
    written++;
    counted += event->repeats;
    if (context)
        assert_true(bytes_equal(event->source, bytes_of_text(context)));
    return vlt_ok();
}

static void flush(uint64_t now_us, const char *source) {
    repeats_flush(repeats, now_us, false, write_count, (void *)(uintptr_t)source);
    repeats_settle(repeats, sequence, false);
}

static void repeats_accepts_the_same_within_a_second(void **state) {
    const struct audit_event event = denial("192.0.2.1", "no token");
    assert_true(arrives(&event, AT));
    for (unsigned i = 0; i < 1000; i++)
        assert_false(arrives(&event, AT + i));
    flush(AT + SECOND / 2, NULL);
    assert_int_equal(written, 0);
    flush(AT + SECOND, "192.0.2.1");
    assert_int_equal(written, 1);
    assert_int_equal(counted, 1000);
    flush(AT + 3 * SECOND, NULL);
    assert_int_equal(written, 1);
    assert_true(arrives(&event, AT + 4 * SECOND));
}

static void repeats_rejects_what_differs(void **state) {
    const struct audit_event event = denial("192.0.2.1", "no token");
    assert_true(arrives(&event, AT));
    struct audit_event other = denial("192.0.2.2", "no token");
    assert_true(arrives(&other, AT));
    other = denial("192.0.2.1", "no proof");
    assert_true(arrives(&other, AT));
    other = event;
    other.tenant = BYTES_LITERAL("other");
    assert_true(arrives(&other, AT));
    other = event;
    other.kind = AUDIT_ISSUE;
    assert_true(arrives(&other, AT));
    assert_false(arrives(&event, AT));
}

static void repeats_rejects_who_is_known_and_what_is_no_denial(void **state) {
    struct audit_event event = denial("192.0.2.1", "no token");
    assert_true(repeats_concern(&event, false));
    event.principal = BYTES_LITERAL("https://idp.test|alice");
    assert_false(repeats_concern(&event, false));
    event = denial("192.0.2.1", "no token");
    event.administrator = BYTES_LITERAL("uid 0 (root)");
    assert_false(repeats_concern(&event, false));
    event.kind = AUDIT_ADMIN; // who claims to be one and is not
    event.operation = BYTES_LITERAL("admin.connect");
    assert_true(repeats_concern(&event, false));
    event.operation = BYTES_LITERAL("credential.put");
    assert_false(repeats_concern(&event, false));
    event = denial("192.0.2.1", "no token");
    event.outcome = AUDIT_ALLOW;
    assert_false(repeats_concern(&event, false));
    event = denial("192.0.2.1", "no token");
    event.kind = AUDIT_VAULT;
    event.outcome = AUDIT_ERROR;
    assert_false(repeats_concern(&event, false));
}

// While the vault is sealed clients try again and again, and each has a token.
static void repeats_accepts_what_nobody_could_decide(void **state) {
    struct audit_event event = denial("192.0.2.1", "the vault is sealed or not ready");
    event.outcome = AUDIT_ERROR;
    event.principal = BYTES_LITERAL("https://idp.test|alice");
    assert_true(repeats_concern(&event, false));
    assert_false(repeats_concern(&event, true)); // takes back what an entry permitted
    event.administrator = BYTES_LITERAL("uid 0 (root)");
    assert_false(repeats_concern(&event, false));
    event.administrator = bytes_of(NULL, 0);
    struct audit_event unanswered = event; // the keeper may have permitted it
    unanswered.reason = BYTES_LITERAL(REASON_UNANSWERED);
    assert_false(repeats_concern(&unanswered, false));
    assert_true(arrives(&event, AT));
    assert_false(arrives(&event, AT));
    flushed_outcome = AUDIT_ERROR;
    flush(AT + SECOND, "192.0.2.1");
    assert_int_equal(counted, 1);
    flushed_outcome = AUDIT_DENY;
    struct audit_event other = event; // denied for the same reason: not the same
    other.outcome = AUDIT_DENY;
    assert_true(arrives(&event, AT + 3 * SECOND));
    assert_true(arrives(&other, AT + 3 * SECOND));
}

static void repeats_survives_many_sources(void **state) {
    const unsigned arrivals = 20000;
    for (unsigned i = 0; i < arrivals; i++) {
        char source[32];
        snprintf(source, sizeof source, "2001:db8::%x", i);
        const struct audit_event event = denial(source, "no token");
        arrives(&event, AT);
    }
    assert_int_equal(sequence, REPEATS_MAX + 1);
    flush(AT + SECOND, "");
    assert_int_equal(written, 1);
    assert_int_equal(counted + REPEATS_MAX + 1, arrivals);
}

// Whatever a caller can vary, it does not get more entries for that.
static void repeats_survives_many_reasons(void **state) {
    const unsigned arrivals = 5000;
    for (unsigned i = 0; i < arrivals; i++) {
        char reason[32];
        snprintf(reason, sizeof reason, "reason %u", i);
        const struct audit_event event = denial("192.0.2.1", reason);
        arrives(&event, AT);
    }
    assert_int_equal(sequence, REPEATS_MAX + REPEATS_MERGED_MAX + 1);
    flush(AT + SECOND, "");
    assert_int_equal(written, 1);
    assert_int_equal(counted + REPEATS_MAX + REPEATS_MERGED_MAX + 1, arrivals);
}

static void repeats_survives_long_texts(void **state) {
    char reason[2000];
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = 0;
    const struct audit_event event = denial(reason, reason);
    assert_true(arrives(&event, AT));
    assert_false(arrives(&event, AT));
}

static void repeats_survives_a_full_disk(void **state) {
    const struct audit_event event = denial("192.0.2.1", "no token");
    assert_true(arrives(&event, AT));
    assert_false(arrives(&event, AT));
    disk_is_full = true; // not even into the batch
    flush(AT + SECOND, NULL);
    disk_is_full = false; // into the batch, but not onto the disk
    repeats_flush(repeats, AT + SECOND, false, write_count, NULL);
    repeats_settle(repeats, --sequence, true);
    assert_int_equal(written, 1);
    flush(AT + 2 * SECOND, NULL);
    assert_int_equal(written, 2);
    assert_int_equal(counted, 2); // the same one, twice
    flush(AT + 4 * SECOND, NULL);
    assert_int_equal(written, 2);
}

static void repeats_survives_an_entry_that_was_not_synced(void **state) {
    const struct audit_event event = denial("192.0.2.1", "no token");
    assert_true(arrives(&event, AT));
    repeats_settle(repeats, 0, true); // its sync failed: nothing stands for it
    sequence = 0;
    assert_true(arrives(&event, AT));
    assert_false(arrives(&event, AT));
}

static void repeats_survives_a_clock_that_was_set_back(void **state) {
    const struct audit_event event = denial("192.0.2.1", "no token");
    assert_true(arrives(&event, AT));
    assert_false(arrives(&event, AT));
    assert_true(arrives(&event, AT - 100 * SECOND));
    flush(AT - 98 * SECOND, NULL);
    assert_int_equal(counted, 1);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {CASE(repeats_accepts_the_same_within_a_second),
                                       CASE(repeats_rejects_what_differs),
                                       CASE(repeats_rejects_who_is_known_and_what_is_no_denial),
                                       CASE(repeats_accepts_what_nobody_could_decide),
                                       CASE(repeats_survives_many_sources),
                                       CASE(repeats_survives_many_reasons),
                                       CASE(repeats_survives_long_texts),
                                       CASE(repeats_survives_a_full_disk),
                                       CASE(repeats_survives_an_entry_that_was_not_synced),
                                       CASE(repeats_survives_a_clock_that_was_set_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
