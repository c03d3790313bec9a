// SPDX-License-Identifier: Apache-2.0
// The table, and the schema that says the same.
#include "libvault/policy/policy_vocabulary.h"

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

#define PRINCIPAL_ATTRIBUTES                                                                       \
    LIST("issuer: String", "subject: String", "acr?: String", "amr: Set<String>")
#define PRINCIPALS LIST("User", "Workload", "Agent")

#define EVERY_CONTEXT "sourceIp: ipaddr", "now: datetime"
// Of issue, and of what is asked again at every use.
#define ISSUE_CONTEXT                                                                              \
    EVERY_CONTEXT, "client?: String", "models: Set<String>", "tools: Set<String>",                 \
        "methods: Set<String>", "bound: Bool", "lifetime: Long", "agentActs: Bool",                \
        "actor?: Agent", "device?: Device", "maxTokens?: Long"
#define USE_CONTEXT                                                                                \
    ISSUE_CONTEXT, "method: String", "host: String", "path: String", "model?: String",             \
        "tool?: String", "tokenAge: Long", "forwarder: String"

const struct policy_word_type policy_word_types[] = {
    {"Tenant", NULL, NULL, NULL, false},
    {"Group", LIST("Tenant"), NULL, NULL, false},
    {"User", LIST("Group", "Tenant"), PRINCIPAL_ATTRIBUTES, "String", false},
    {"Workload", LIST("Group", "Tenant"), PRINCIPAL_ATTRIBUTES, "String", false},
    {"Agent", LIST("Group", "Tenant"), PRINCIPAL_ATTRIBUTES, "String", false},
    {"Provider", LIST("Tenant"), NULL, NULL, false},
    {"Credential", LIST("Provider", "Tenant"),
     LIST("name: String", "profile: String", "hosts: Set<String>"), NULL, false},
    {"Model", LIST("Provider"), LIST("name: String"), NULL, false},
    {"Tool", LIST("Provider", "Tenant"), LIST("name: String"), NULL, false},
    {"Device", NULL, LIST("compliant?: Bool", "managed?: Bool"), NULL, true},
    {NULL, NULL, NULL, NULL, false},
};

#define ADMINISTER(name)                                                                           \
    { name, "administer", PRINCIPALS, LIST("Tenant", "Credential"), LIST(EVERY_CONTEXT) }

const struct policy_word_action policy_word_actions[] = {
    {"use", NULL, NULL, NULL, NULL},
    {"administer", NULL, NULL, NULL, NULL},
    {"issue", "use", PRINCIPALS, LIST("Credential"), LIST(ISSUE_CONTEXT)},
    {"redeem", "use", PRINCIPALS, LIST("Credential"), LIST(USE_CONTEXT)},
    {"callModel", "use", PRINCIPALS, LIST("Model"), LIST(USE_CONTEXT)},
    {"callTool", "use", PRINCIPALS, LIST("Tool"), LIST(USE_CONTEXT)},
    ADMINISTER("readTenant"),
    ADMINISTER("writeTenant"),
    ADMINISTER("readIssuer"),
    ADMINISTER("writeIssuer"),
    ADMINISTER("readPolicy"),
    ADMINISTER("writePolicy"),
    ADMINISTER("readCredential"),
    ADMINISTER("putCredential"),
    ADMINISTER("rotateCredential"),
    ADMINISTER("disableCredential"),
    ADMINISTER("deleteCredential"),
    ADMINISTER("readForwarder"),
    ADMINISTER("writeForwarder"),
    ADMINISTER("revokeToken"),
    ADMINISTER("readAudit"),
    ADMINISTER("readStatus"),
    ADMINISTER("readKey"),
    ADMINISTER("rotateKey"),
    ADMINISTER("seal"),
    {NULL, NULL, NULL, NULL, NULL},
};

void policy_vocabulary_action(struct policy_request *request, const char *name) {
    struct policy_entity *action =
        policy_entity_add(request, POLICY_TYPE_ACTION, bytes_of_text(name));
    for (const struct policy_word_action *word = policy_word_actions; word->name; word++)
        if (strcmp(word->name, name) == 0 && word->group)
            policy_entity_parent(action, POLICY_TYPE_ACTION, bytes_of_text(word->group));
}

static void put_list(struct buf *out, const char *const *names) {
    buf_put_text(out, "[");
    for (size_t i = 0; names[i]; i++)
        buf_put_format(out, "%s%s", i ? ", " : "", names[i]);
    buf_put_text(out, "]");
}

static void put_fields(struct buf *out, const char *const *fields, const char *margin) {
    buf_put_text(out, "{\n");
    for (size_t i = 0; fields[i]; i++)
        buf_put_format(out, "%s  %s,\n", margin, fields[i]);
    buf_put_format(out, "%s}", margin);
}

static void put_type(struct buf *out, const struct policy_word_type *type) {
    buf_put_format(out, "\n%s %s", type->is_record ? "type" : "entity", type->name);
    if (type->parents) {
        buf_put_text(out, " in ");
        put_list(out, type->parents);
    }
    if (type->attributes) {
        buf_put_text(out, " = ");
        put_fields(out, type->attributes, "");
    }
    if (type->tags)
        buf_put_format(out, " tags %s", type->tags);
    buf_put_text(out, ";\n");
}

static void put_action(struct buf *out, const struct policy_word_action *action) {
    buf_put_format(out, "\naction %s", action->name);
    if (action->group)
        buf_put_format(out, " in [%s]", action->group);
    if (action->principals) {
        buf_put_text(out, " appliesTo {\n  principal: ");
        put_list(out, action->principals);
        buf_put_text(out, ",\n  resource: ");
        put_list(out, action->resources);
        buf_put_text(out, ",\n  context: ");
        put_fields(out, action->context, "  ");
        buf_put_text(out, ",\n}");
    }
    buf_put_text(out, ";\n");
}

void policy_vocabulary_schema(struct buf *out) {
    buf_put_text(
        out, "// SPDX-License-Identifier: Apache-2.0\n"
             "// What policies may name. The same as the table in\n"
             "// libvault/policy/policy_vocabulary.c: a unit test compares them.\n"
             "//\n"
             "// Ids: of User, Workload and Agent `issuer|subject`; of Group the name that the\n"
             "// issuer's mapping gives; of Credential its name; of Model and Tool\n"
             "// `<provider>/<name>`.\n");
    for (const struct policy_word_type *type = policy_word_types; type->name; type++)
        put_type(out, type);
    for (const struct policy_word_action *action = policy_word_actions; action->name; action++)
        put_action(out, action);
}
