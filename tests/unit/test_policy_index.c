// SPDX-License-Identifier: Apache-2.0
// The index answers what a walk over all policies answers.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/buf.h"
#include "libvault/policy/policy_tree.h"
#include "tests/unit/check.h"

static uint32_t state_now;
static unsigned below(unsigned n) {
    state_now = state_now * 1664525u + 1013904223u;
    return (state_now >> 8) % n;
}

static void put_party(struct buf *text, const char *name, const char *type, const char *group) {
    switch (below(6)) {
    case 0:
        buf_put_format(text, "%s == %s::\"%u\"", name, type, below(8));
        break;
    case 1:
    case 2:
        buf_put_format(text, "%s in %s::\"%u\"", name, group, below(8));
        break;
    case 3:
        buf_put_format(text, "%s is %s", name, below(2) ? type : group);
        break;
    case 4:
        buf_put_format(text, "%s is %s in %s::\"%u\"", name, type, group, below(8));
        break;
    default:
        buf_put_text(text, name);
    }
}

static void put_policies(struct buf *text, unsigned count) {
    static const char *const actions[] = {"action",
                                          "action == Action::\"a\"",
                                          "action == Action::\"b\"",
                                          "action in Action::\"use\"",
                                          "action in [Action::\"a\", Action::\"b\"]",
                                          "action in []"};
    for (unsigned i = 0; i < count; i++) {
        buf_put_text(text, below(8) ? "permit(" : "forbid(");
        put_party(text, "principal", "User", "Group");
        buf_put_format(text, ", %s, ", actions[below(6)]);
        put_party(text, "resource", "Doc", "Folder");
        buf_put_text(text, below(10) ? ");\n" : ") when { context.missing };\n");
    }
    buf_put_text(text, "@id(\"t\") permit(principal == ?principal, action, resource);");
}

static void build_request(struct policy_request *request) {
    static const char *const names[] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    policy_request_reset(request);
    const char *user = names[below(8)], *doc = names[below(8)];
    struct policy_entity *principal = policy_entity_add(request, "User", bytes_of_text(user));
    for (unsigned i = 0; i < 8; i++)
        if (!below(3))
            policy_entity_parent(principal, "Group", bytes_of_text(names[i]));
    struct policy_entity *resource = policy_entity_add(request, "Doc", bytes_of_text(doc));
    policy_entity_parent(resource, "Folder", bytes_of_text(names[below(8)]));
    struct policy_entity *folder =
        policy_entity_add(request, "Folder", bytes_of_text(names[below(8)]));
    policy_entity_parent(folder, "Folder", BYTES_LITERAL("top"));
    struct policy_entity *action = policy_entity_add(request, "Action", BYTES_LITERAL("a"));
    policy_entity_parent(action, "Action", BYTES_LITERAL("use"));
    policy_request_ask(request, policy_uid_of(below(6) ? "User" : "Group", bytes_of_text(user)),
                       policy_uid_of("Action", below(3) ? BYTES_LITERAL("a") : BYTES_LITERAL("b")),
                       policy_uid_of(below(6) ? "Doc" : "Folder", bytes_of_text(doc)));
}

static void assert_same(const struct policy_answer *a, const struct policy_answer *b) {
    assert_int_equal(a->is_allowed, b->is_allowed);
    assert_int_equal(a->reason_count, b->reason_count);
    assert_int_equal(a->error_count, b->error_count);
    // In the same order, too.
    for (size_t i = 0; i < a->reason_count; i++)
        assert_true(bytes_equal(a->reasons[i], b->reasons[i]));
    for (size_t i = 0; i < a->error_count; i++)
        assert_true(bytes_equal(a->errors[i].id, b->errors[i].id));
}

static void index_accepts_what_a_walk_accepts(void **state) {
    struct policy_request *request = policy_request_new(POLICY_REQUEST_MAX_BYTES);
    struct policy_uid nobody = policy_uid_of("User", BYTES_LITERAL("nobody"));
    size_t with_reasons = 0, with_errors = 0;
    assert_non_null(request);
    for (state_now = 1; state_now < 60; state_now++) {
        uint32_t seed = state_now;
        struct buf text;
        struct policy_set *indexed = NULL, *walked = NULL;
        buf_init(&text, 1 << 20);
        put_policies(&text, 30 + below(300));
        struct policy_document document = {BYTES_LITERAL("main"), buf_bytes(&text)};
        assert_true(vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NAMED, NULL, &indexed)));
        assert_true(vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NAMED, NULL, &walked)));
        // A link leaves the set without its index until it is asked for.
        assert_true(vlt_is_ok(
            policy_set_link(walked, BYTES_LITERAL("t"), BYTES_LITERAL("l"), &nobody, NULL, NULL)));
        assert_non_null(indexed->index);
        assert_null(walked->index);
        for (int i = 0; i < 30; i++) {
            struct policy_answer a, b;
            build_request(request);
            assert_true(vlt_is_ok(policy_authorize(indexed, request, &a)));
            assert_true(vlt_is_ok(policy_authorize(walked, request, &b)));
            assert_same(&a, &b);
            with_reasons += a.reason_count > 0;
            with_errors += a.error_count > 0;
        }
        policy_set_free(indexed);
        policy_set_free(walked);
        buf_done(&text);
        state_now = seed;
    }
    assert_true(with_reasons > 500 && with_errors > 100);
    policy_request_free(request);
}

static void index_accepts_links_once_rebuilt(void **state) {
    struct buf text;
    struct policy_set *set = NULL;
    struct policy_answer answer;
    struct policy_request *request = policy_request_new(POLICY_REQUEST_MAX_BYTES);
    struct policy_uid user = policy_uid_of("User", BYTES_LITERAL("u"));
    buf_init(&text, 1 << 16);
    for (int i = 0; i < 50; i++)
        buf_put_format(&text, "permit(principal == User::\"%d\", action, resource);\n", i);
    buf_put_text(&text, "@id(\"t\") permit(principal == ?principal, action, resource);");
    struct policy_document document = {BYTES_LITERAL("main"), buf_bytes(&text)};
    assert_true(vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NAMED, NULL, &set)));
    policy_request_ask(request, user, user, user);
    assert_true(vlt_is_ok(policy_authorize(set, request, &answer)));
    assert_false(answer.is_allowed);
    assert_true(
        vlt_is_ok(policy_set_link(set, BYTES_LITERAL("t"), BYTES_LITERAL("l"), &user, NULL, NULL)));
    for (int round = 0; round < 2; round++) {
        assert_true(vlt_is_ok(policy_authorize(set, request, &answer)));
        assert_true(answer.is_allowed);
        assert_true(bytes_equal_text(answer.reasons[0], "l"));
        assert_true(vlt_is_ok(policy_set_index(set)));
    }
    policy_request_free(request);
    policy_set_free(set);
    buf_done(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_accepts_what_a_walk_accepts),
        cmocka_unit_test(index_accepts_links_once_rebuilt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
