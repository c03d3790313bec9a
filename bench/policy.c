// SPDX-License-Identifier: Apache-2.0
// Policy decisions per second, with the entities that the daemon builds.
//   bench_policy [SECONDS]          our figures, one line for each size of set
//   bench_policy --print SIZE       the same policies, entities and request as one
//                                   JSON object, for policy_official.mjs
// "authorize" is the decision over entities that are there; "build" includes
// making the request: principal in twenty groups, credential, provider, context.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "libvault/base/jsontext.h"
#include "libvault/policy/policy_decide.h"
#include "libvault/policy/policy_vocabulary.h"

#define ROUNDS 5
#define GROUPS 20

static const size_t sizes[] = {10, 100, 1000, 10000};
static char group_ids[GROUPS][16];

// Grants as tenants have them: a group, a credential, sometimes a condition. A
// twentieth are forbids that name no principal.
static void put_policies(size_t count, struct buf *text) {
    for (size_t i = 0; i < count; i++) {
        size_t group = i % (count / 2 + 1), credential = i % (count / 4 + 1);
        if (i % 20 == 19)
            buf_put_format(
                text,
                "forbid(principal, action == Action::\"issue\", resource == Credential::\"c%zu\") "
                "unless { context.bound && context.lifetime <= 900 };\n",
                credential);
        else if (i % 4 == 0)
            buf_put_format(text,
                           "permit(principal in Group::\"g%zu\", action in Action::\"use\", "
                           "resource == Credential::\"c%zu\") "
                           "when { context.sourceIp.isInRange(ip(\"10.0.0.0/8\")) && "
                           "principal.amr.contains(\"mfa\") };\n",
                           group, credential);
        else if (i % 4 == 1)
            buf_put_format(text,
                           "permit(principal in Group::\"g%zu\", action in [Action::\"issue\", "
                           "Action::\"redeem\"], resource in Provider::\"p%zu\") "
                           "when { context.now.toTime() < duration(\"20h\") };\n",
                           group, credential % 50);
        else
            buf_put_format(
                text,
                "permit(principal in Group::\"g%zu\", action == Action::\"callModel\", resource) "
                "when { resource.name like \"gpt-*\" };\n",
                group);
    }
}

static void build(struct policy_request *request) {
    static const struct bytes amr[] = {BYTES_LITERAL("pwd"), BYTES_LITERAL("mfa")},
                              hosts[] = {BYTES_LITERAL("api.openai.com")};
    struct bytes alice =
        BYTES_LITERAL("https://idp.example/realms/acme|6f9619ff-8b86-d011-b42d-00c04fc964ff");
    struct bytes tenant = BYTES_LITERAL("acme"), name = BYTES_LITERAL("c0");
    policy_request_reset(request);
    struct policy_entity *user = policy_entity_add(request, POLICY_TYPE_USER, alice);
    struct policy_record *attributes = policy_entity_attributes(user);
    policy_put_string(attributes, "issuer", BYTES_LITERAL("https://idp.example/realms/acme"));
    policy_put_string(attributes, "subject", BYTES_LITERAL("6f9619ff-8b86-d011-b42d-00c04fc964ff"));
    policy_put_strings(attributes, "amr", amr, 2);
    for (size_t i = 0; i < GROUPS; i++)
        policy_entity_parent(user, POLICY_TYPE_GROUP, bytes_of_text(group_ids[i]));
    policy_entity_parent(user, POLICY_TYPE_TENANT, tenant);
    struct policy_entity *credential = policy_entity_add(request, POLICY_TYPE_CREDENTIAL, name);
    attributes = policy_entity_attributes(credential);
    policy_put_string(attributes, "name", name);
    policy_put_string(attributes, "profile", BYTES_LITERAL("openai"));
    policy_put_strings(attributes, "hosts", hosts, 1);
    policy_entity_parent(credential, POLICY_TYPE_PROVIDER, BYTES_LITERAL("p0"));
    policy_entity_parent(credential, POLICY_TYPE_TENANT, tenant);
    policy_vocabulary_action(request, "issue");
    struct policy_record *context = policy_request_context(request);
    policy_put_ip(context, "sourceIp", BYTES_LITERAL("10.1.2.3"));
    policy_put_datetime(context, "now", INT64_C(1763632800000));
    policy_put_strings(context, "models", hosts, 0);
    policy_put_strings(context, "tools", hosts, 0);
    policy_put_strings(context, "methods", hosts, 1);
    policy_put_bool(context, "bound", true);
    policy_put_bool(context, "agentActs", false);
    policy_put_long(context, "lifetime", 300);
    policy_request_ask(request, policy_uid_of(POLICY_TYPE_USER, alice),
                       policy_uid_of(POLICY_TYPE_ACTION, BYTES_LITERAL("issue")),
                       policy_uid_of(POLICY_TYPE_CREDENTIAL, name));
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// Calls for about `seconds`; returns microseconds for one.
static double measure_round(const struct policy_set *set, struct policy_request *request,
                            bool builds, double seconds, bool *ret_is_allowed) {
    double start = now_s(), took;
    size_t calls = 0;
    do {
        for (int i = 0; i < 64; i++, calls++) {
            // Answers stay in the arena until a reset, so build now and then.
            if (builds || i == 0)
                build(request);
            *ret_is_allowed = policy_decide(set, request).is_allowed;
        }
        took = now_s() - start;
    } while (took < seconds);
    return took / (double)calls * 1e6;
}

// The best round: what else runs on the machine only ever adds.
static double measure(const struct policy_set *set, struct policy_request *request, bool builds,
                      double seconds, bool *ret_is_allowed) {
    double best = measure_round(set, request, builds, seconds / ROUNDS, ret_is_allowed);
    for (int i = 1; i < ROUNDS; i++) {
        double round = measure_round(set, request, builds, seconds / ROUNDS, ret_is_allowed);
        best = round < best ? round : best;
    }
    return best;
}

static struct policy_set *parse(size_t size, struct buf *text) {
    struct policy_set *set = NULL;
    struct fault fault = {0};
    buf_init(text, 16u << 20);
    put_policies(size, text);
    struct policy_document document = {BYTES_LITERAL("bench"), buf_bytes(text)};
    if (!vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NUMBERED, &fault, &set)))
        fprintf(stderr, "%u:%u: %s\n", fault.line, fault.column, fault.text);
    return set;
}

static int run_size(size_t size, double seconds, struct policy_request *request) {
    struct buf text;
    bool is_allowed = false;
    double start = now_s();
    struct policy_set *set = parse(size, &text);
    double parse_ms = (now_s() - start) * 1e3;
    if (!set)
        return 1;
    double authorize_us = measure(set, request, false, seconds, &is_allowed);
    double build_us = measure(set, request, true, seconds, &is_allowed);
    printf("%5zu policies: authorize %7.2f us (%9.0f/s), build and authorize %7.2f us (%9.0f/s), "
           "parse %6.1f ms, %s\n",
           size, authorize_us, 1e6 / authorize_us, build_us, 1e6 / build_us, parse_ms,
           is_allowed ? "allow" : "deny");
    policy_set_free(set);
    buf_done(&text);
    return 0;
}

static int print_case(size_t size) {
    struct buf text, out;
    buf_init(&text, 16u << 20);
    buf_init(&out, 64u << 20);
    put_policies(size, &text);
    buf_put_text(&out, "{\"policies\":");
    jsontext_put_string(&out, buf_bytes(&text));
    buf_put_text(&out, ",\"groups\":[");
    for (size_t i = 0; i < GROUPS; i++)
        buf_put_format(&out, "%s\"%s\"", i ? "," : "", group_ids[i]);
    buf_put_text(&out, "]}\n");
    fwrite(out.at, 1, out.size, stdout);
    buf_done(&text);
    buf_done(&out);
    return 0;
}

int main(int count, char **arguments) {
    for (size_t i = 0; i < GROUPS; i++)
        snprintf(group_ids[i], sizeof group_ids[i], "g%zu", i * 3);
    if (count == 3 && strcmp(arguments[1], "--print") == 0)
        return print_case(strtoul(arguments[2], NULL, 10));
    double seconds = count > 1 ? strtod(arguments[1], NULL) : 1;
    struct policy_request *request = policy_request_new(POLICY_REQUEST_MAX_BYTES);
    int status = request ? 0 : 1;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && status == 0; i++)
        status = run_size(sizes[i], seconds, request);
    policy_request_free(request);
    return status;
}
