// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli/issuer_check.h"
#include "cli/listing.h"
#include "cli/verbs.h"
#include "libvault/base/jsontext.h"

#define FILE_MAX_BYTES (256u << 10)

static const struct option_spec add_options[] = {
    {"--file", OPTION_VALUE, "JSON",
     "the whole record (schemas/issuer.schema.json); \"-\": standard input", 0},
    {"--issuer", OPTION_VALUE, "URL", "the exact `iss` of its tokens", 0},
    {"--discovery", OPTION_VALUE, "URL",
     "its discovery document (default: the issuer + /.well-known/openid-configuration), or its "
     "key set, where the document names one on another host",
     0},
    {"--jwks", OPTION_VALUE, "FILE", "its key set, instead of discovery", 0},
    {"--audience", OPTION_LIST, "TEXT", "an `aud` that is meant for this vault", 0},
    {"--algorithm", OPTION_LIST, "NAME", "RS256, PS256, ES256, ES384, EdDSA (default: these)", 0},
    {"--kind", OPTION_VALUE, "KIND",
     "what its subjects are: user, workload or agent (default user)", 0},
    {"--subject-claim", OPTION_VALUE, "CLAIM", "claim that identifies the subject (default sub)",
     0},
    {"--require", OPTION_LIST, "CLAIM=VALUE", "claim that a token must have", 0},
    {"--group", OPTION_LIST, "CLAIM=VALUE:GROUP",
     "puts a subject with that claim value into GROUP; CLAIM=* takes the value as the group", 0},
    {"--tag", OPTION_LIST, "CLAIM[:NAME]", "claim that policies see as a tag of the subject", 0},
    {"--device-compliant", OPTION_VALUE, "CLAIM", "claim that says whether the device is compliant",
     0},
    {"--device-managed", OPTION_VALUE, "CLAIM", "claim that says whether the device is managed", 0},
    {"--token-type", OPTION_LIST, "TYP", "accepted `typ` besides JWT, such as at+jwt", 0},
    {"--max-age", OPTION_VALUE, "SECONDS", "oldest token that is accepted, since its iat", 0},
    {"--no-check", OPTION_FLAG, NULL, "do not try to fetch its keys", 0},
    {0}};

static void set_option(const struct command *command, json_t *record, const char *option,
                       const char *member) {
    const char *value = command_option(command, option);
    if (value)
        json_object_set_new(record, member, json_string(value));
}

static void set_list(const struct command *command, json_t *record, const char *option,
                     const char *member) {
    json_t *list = json_array();
    const char *value;
    for (size_t i = 0; (value = command_option_at(command, option, i)); i++)
        json_array_append_new(list, json_string(value));
    if (json_array_size(list))
        json_object_set(record, member, list);
    json_decref(list);
}

static vlt_result set_requirements(const struct command *command, json_t *record,
                                   struct fault *fault) {
    json_t *list = json_array();
    const char *value;
    for (size_t i = 0; (value = command_option_at(command, "--require", i)); i++) {
        const char *equals = strchr(value, '=');
        if (!equals || equals == value || !equals[1]) {
            json_decref(list);
            return fault_set(fault, VLT_MALFORMED, "bad option", "--require %s: give CLAIM=VALUE",
                             value);
        }
        json_array_append_new(list, json_pack("{s:s%,s:s}", "claim", value,
                                              (size_t)(equals - value), "value", equals + 1));
    }
    if (json_array_size(list))
        json_object_set(record, "requirements", list);
    json_decref(list);
    return vlt_ok();
}

static json_t *group_of(const char *text) {
    const char *equals = strchr(text, '='), *colon = strrchr(text, ':');
    if (!equals || equals == text)
        return NULL;
    if (!strcmp(equals + 1, "*"))
        return json_pack("{s:s%,s:s}", "claim", text, (size_t)(equals - text), "value", "*");
    if (!colon || colon <= equals + 1 || !colon[1])
        return NULL;
    return json_pack("{s:s%,s:s%,s:s}", "claim", text, (size_t)(equals - text), "value", equals + 1,
                     (size_t)(colon - equals - 1), "group", colon + 1);
}

static vlt_result set_groups(const struct command *command, json_t *record, struct fault *fault) {
    json_t *list = json_array();
    const char *value;
    for (size_t i = 0; (value = command_option_at(command, "--group", i)); i++) {
        json_t *group = group_of(value);
        if (!group) {
            json_decref(list);
            return fault_set(fault, VLT_MALFORMED, "bad option",
                             "--group %s: give CLAIM=VALUE:GROUP, or CLAIM=*", value);
        }
        json_array_append_new(list, group);
    }
    if (json_array_size(list))
        json_object_set(record, "groups", list);
    json_decref(list);
    return vlt_ok();
}

// NAME is what follows the last ':' that no '/' follows: "https://ci.example/ref"
// is a claim without a name.
static json_t *tag_of(const char *text) {
    const char *colon = strrchr(text, ':');
    if (!colon || strchr(colon, '/'))
        return text[0] ? json_pack("{s:s}", "claim", text) : NULL;
    if (colon == text || !colon[1])
        return NULL;
    return json_pack("{s:s%,s:s}", "claim", text, (size_t)(colon - text), "tag", colon + 1);
}

static vlt_result set_tags(const struct command *command, json_t *record, struct fault *fault) {
    json_t *list = json_array(), *device = json_object();
    const char *value;
    for (size_t i = 0; (value = command_option_at(command, "--tag", i)); i++) {
        json_t *tag = tag_of(value);
        if (!tag) {
            json_decref(list);
            json_decref(device);
            return fault_set(fault, VLT_MALFORMED, "bad option",
                             "--tag %s: give CLAIM or CLAIM:NAME", value);
        }
        json_array_append_new(list, tag);
    }
    if (json_array_size(list))
        json_object_set(record, "tags", list);
    json_decref(list);
    set_option(command, device, "--device-compliant", "compliant");
    set_option(command, device, "--device-managed", "managed");
    if (json_object_size(device))
        json_object_set(record, "device", device);
    json_decref(device);
    return vlt_ok();
}

static vlt_result json_of_file(const char *path, struct fault *fault, json_t **ret_root) {
    struct buf text;
    buf_init(&text, FILE_MAX_BYTES + 8192);
    vlt_result result = file_read(path, FILE_MAX_BYTES, &text, fault);
    if (vlt_is_ok(result)) {
        struct fault inner = {0};
        result = jsontext_parse(buf_bytes(&text), &jsontext_document_limits, &inner, ret_root);
        if (!vlt_is_ok(result))
            result = fault_set(fault, result.class, result.reason, "%s: %s", path,
                               fault_or_reason(&inner, result));
    }
    buf_done(&text);
    return result;
}

// The default of discovery follows from an https URL only.
static vlt_result check_url(const struct command *command, struct fault *fault) {
    const char *issuer = command_option(command, "--issuer");
    if (command_option(command, "--jwks") || command_option(command, "--discovery") ||
        strncmp(issuer, "https://", 8) == 0)
        return vlt_ok();
    return fault_set(fault, VLT_MALFORMED, "bad option",
                     "--issuer %s is no https URL, so its keys can not be found by it: correct it, "
                     "or give --discovery URL or --jwks FILE as well",
                     issuer);
}

static vlt_result set_keys(const struct command *command, json_t *record, struct fault *fault) {
    const char *file = command_option(command, "--jwks");
    if (file) {
        json_t *keys = NULL;
        VLT_TRY(json_of_file(file, fault, &keys));
        json_object_set_new(record, "jwks", keys);
        return vlt_ok();
    }
    VLT_TRY(check_url(command, fault));
    const char *discovery = command_option(command, "--discovery");
    const char *issuer = command_option(command, "--issuer");
    struct buf url;
    buf_init(&url, 1024);
    size_t size = strlen(issuer);
    while (size && issuer[size - 1] == '/')
        size--;
    buf_put(&url, bytes_of(issuer, size));
    buf_put_text(&url, "/.well-known/openid-configuration");
    const char *text = discovery ? discovery : buf_text(&url);
    json_object_set_new(record, "discovery_url", json_string(text ? text : ""));
    buf_done(&url);
    return vlt_ok();
}

static vlt_result record_of_options(const struct command *command, json_t *record,
                                    struct fault *fault) {
    if (!command_option(command, "--issuer") || !command_option(command, "--audience"))
        return fault_set(fault, VLT_MALFORMED, "option missing",
                         "give --issuer and --audience, or --file with the whole record");
    static const char *const algorithms[] = {"RS256", "PS256", "ES256", "ES384", "EdDSA"};
    set_option(command, record, "--issuer", "issuer");
    set_list(command, record, "--audience", "audiences");
    set_list(command, record, "--algorithm", "algorithms");
    if (!json_object_get(record, "algorithms")) {
        json_t *list = json_array();
        for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
            json_array_append_new(list, json_string(algorithms[i]));
        json_object_set_new(record, "algorithms", list);
    }
    json_object_set_new(record, "kind", json_string("user"));
    set_option(command, record, "--kind", "kind");
    set_option(command, record, "--subject-claim", "subject_claim");
    set_list(command, record, "--token-type", "token_types");
    unsigned long max_age_s = 0;
    VLT_TRY(command_number(command, "--max-age", UINT32_MAX, 0, fault, &max_age_s));
    if (max_age_s)
        json_object_set_new(record, "max_age_s", json_integer((json_int_t)max_age_s));
    VLT_TRY(set_keys(command, record, fault));
    VLT_TRY(set_requirements(command, record, fault));
    VLT_TRY(set_groups(command, record, fault));
    return set_tags(command, record, fault);
}

static int run_add(struct command *command) {
    struct fault fault = {0};
    json_t *record = NULL, *answer = NULL;
    const char *file = command_option(command, "--file");
    vlt_result result;
    if (file) {
        result = json_of_file(file, &fault, &record);
    } else {
        record = json_object();
        result = record_of_options(command, record, &fault);
    }
    if (!vlt_is_ok(result)) {
        json_decref(record);
        return command_usage(command, "%s", fault_or_reason(&fault, result));
    }
    int status = command_call_path(command, "PUT", record, &answer, "/v1/tenants/%s/issuers/%s",
                                   command->tenant, command->arguments[0]);
    json_decref(record);
    if (status == EXIT_OK && !command_flag(command, "--no-check"))
        issuer_check_added(command, answer);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(answer) : status;
    json_decref(answer);
    printf("Tenant %s trusts tokens of %s. What their subjects may do is up to its policies.\n",
           command->tenant, command->arguments[0]);
    return EXIT_OK;
}

static int run_list(struct command *command) {
    json_t *items = NULL;
    int status = listing_fetch(command, "/v1/tenants/%s/issuers", command->tenant, &items);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(json_pack("{s:o}", "issuers", items))
                                 : status;
    static const char *const headings[] = {"NAME",      "KIND", "STATE", "ISSUER",
                                           "AUDIENCES", "KEYS", NULL};
    struct table table;
    table_init(&table, headings);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        char audiences[CELL_SIZE];
        const char *const cells[] = {member_text(item, "name"),
                                     member_text(item, "kind"),
                                     json_is_true(json_object_get(item, "disabled")) ? "disabled"
                                                                                     : "active",
                                     member_text(item, "issuer"),
                                     member_list(item, "audiences", audiences),
                                     json_object_get(item, "jwks") ? "key set" : "discovery"};
        table_row(&table, cells);
    }
    json_decref(items);
    return table_print(&table, "This tenant trusts nobody: `vaultctl issuer add` changes that.")
               ? EXIT_OK
               : EXIT_FAILED;
}

static int run_show(struct command *command) {
    json_t *body = NULL;
    int status = command_call_path(command, "GET", NULL, &body, "/v1/tenants/%s/issuers/%s",
                                   command->tenant, command->arguments[0]);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(body) : status;
    object_print(body);
    json_decref(body);
    return EXIT_OK;
}

static int run_remove(struct command *command) {
    int status = command_call_path(command, "DELETE", NULL, NULL, "/v1/tenants/%s/issuers/%s",
                                   command->tenant, command->arguments[0]);
    if (status != EXIT_OK)
        return status;
    if (command->wants_json)
        return command_print_json(json_pack("{s:s}", "removed", command->arguments[0]));
    puts("Removed. Tokens that were issued already end by themselves; `vaultctl revoke` ends them "
         "now.");
    return EXIT_OK;
}

const struct verb verb_issuer_add = {
    .noun = "issuer",
    .name = "add",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Trust the tokens of an identity provider, or change how",
    .details =
        "Then the vault tries to fetch its keys. When it can not, that is a warning: the provider\n"
        "is stored, and the exit status is 0. `vaultctl issuer check` tries again.",
    .examples =
        "  vaultctl issuer add corp --issuer https://login.example --audience vault \\\n"
        "      --group groups=*\n"
        "  vaultctl issuer add google --issuer https://accounts.google.com --audience vault \\\n"
        "      --discovery https://www.googleapis.com/oauth2/v3/certs --require hd=example.com\n"
        "  vaultctl issuer add k8s --issuer https://cluster.example --audience vault \\\n"
        "      --kind workload --require kubernetes.io/namespace=prod --jwks jwks.json\n"
        "  vaultctl issuer add ci --issuer https://token.actions.example --audience vault \\\n"
        "      --kind workload --tag repository --tag ref --tag repository_owner:owner\n",
    .options = add_options,
    .run = run_add};
const struct verb verb_issuer_list = {.noun = "issuer",
                                      .name = "list",
                                      .arguments = "",
                                      .summary = "List the identity providers that a tenant trusts",
                                      .examples = "  vaultctl issuer list --tenant acme\n",
                                      .run = run_list};
const struct verb verb_issuer_show = {.noun = "issuer",
                                      .name = "show",
                                      .arguments = "NAME",
                                      .argument_min = 1,
                                      .argument_max = 1,
                                      .summary = "Show one identity provider",
                                      .examples =
                                          "  vaultctl issuer show corp --json > corp.json\n",
                                      .run = run_show};
const struct verb verb_issuer_remove = {.noun = "issuer",
                                        .name = "remove",
                                        .arguments = "NAME",
                                        .argument_min = 1,
                                        .argument_max = 1,
                                        .summary = "Trust an identity provider no more",
                                        .examples = "  vaultctl issuer remove corp\n",
                                        .run = run_remove};
