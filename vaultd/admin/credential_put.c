// SPDX-License-Identifier: Apache-2.0
// A new credential, or a new version of one. What describes it is checked here
// against its profile; the value stays sealed: the JWE is taken apart and its
// fields go to the keeper, which alone can open it.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/crypto/jwe.h"
#include "libvault/store/record_credential.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"
#include "vaultd/ipc/credential_change.h"
#include "vaultd/ipc/reasons.h"

#define GRACE_DEFAULT_S 300

struct put {
    char name[RECORD_NAME_MAX + 1];
    enum credential_put_mode mode;
    enum credential_form form;
    uint64_t revision; // of the record to rotate
    struct record_credential credential; // what it is to be
    uint32_t grace_s;
    struct jwe_intake_fields jwe;
};

static bool creates(const struct put *put) { return put->mode == CREDENTIAL_CREATE; }

static void put_free(struct put *put) {
    if (put)
        record_credential_done(&put->credential);
    free(put);
}

// ---- Reading the body over what is there ----

// As redeems name it: one that ends in the usual port would never be asked for.
static bool is_upstream_host(struct bytes host) {
    static const struct bytes usual = BYTES_LITERAL(":443");
    bool ends_usually = host.size > usual.size &&
                        bytes_equal(bytes_from(host, host.size - usual.size), usual);
    return record_host_is_valid(host) && !ends_usually;
}

static void hosts_read(struct body *body, struct record_credential *credential) {
    const json_t *hosts = body_array(body, "hosts", BODY_OPTIONAL, RECORD_HOSTS_MAX);
    if (!hosts)
        return;
    credential->host_count = 0;
    for (size_t i = 0; i < json_array_size(hosts); i++) {
        const json_t *item = json_array_get(hosts, i);
        const char *host = json_string_value(item);
        if (!host || !is_upstream_host(bytes_of(host, json_string_length(item)))) {
            body_refuse(body, 400, "hosts",
                        "\"hosts\" must be lower-case host names, with :port unless it is 443");
            return;
        }
        snprintf(credential->hosts[credential->host_count++], sizeof *credential->hosts, "%s",
                 host);
    }
}

// The host of "https://api.example.com/v1", with its port unless 443.
static void host_of_upstream(const char *upstream, char host[256]) {
    static const char scheme[] = "https://";
    const char *begin = upstream + strlen(scheme);
    size_t size = strcspn(begin, "/?#");
    if (strncmp(upstream, scheme, strlen(scheme)) || size == 0 || size > RECORD_HOST_MAX)
        return;
    snprintf(host, 256, "%.*s", (int)size, begin);
    size_t port = strlen(host) > 4 ? strlen(host) - 4 : 0;
    if (port && !strcmp(host + port, ":443"))
        host[port] = 0;
}

static void hosts_check(struct body *body, const struct profile *profile,
                        struct record_credential *credential) {
    if (!credential->host_count && profile_upstream(profile)) {
        host_of_upstream(profile_upstream(profile), credential->hosts[0]);
        credential->host_count = credential->hosts[0][0] ? 1 : 0;
    }
    if (!credential->host_count)
        body_refuse(body, 400, "hosts",
                    "profile \"%s\" has no usual host: give \"hosts\", the upstream hosts that may "
                    "get this credential", credential->profile);
    for (size_t i = 0; i < credential->host_count; i++)
        if (!profile_permits_host(profile, credential->hosts[i]))
            body_refuse(body, 400, "hosts", "profile \"%s\" does not go to host \"%s\"",
                        credential->profile, credential->hosts[i]);
}

static void parameters_read(struct body *body, const struct profile *profile,
                            struct record_credential *credential) {
    const json_t *parameters = body_object(body, "parameters");
    if (parameters) {
        json_decref(credential->parameters);
        credential->parameters = json_deep_copy(parameters);
    }
    struct fault fault = {0};
    vlt_result result = profile_check(profile, credential->parameters, &fault);
    if (!vlt_is_ok(result))
        body_refuse(body, 400, "parameters", "%s", fault_or_reason(&fault, result));
}

static void jwe_read(struct body *body, struct jwe_intake_fields *jwe) {
    const char *text = body_text(body, "jwe", BODY_REQUIRED, JWE_INTAKE_MAX_BYTES);
    if (!text)
        return;
    vlt_result result = jwe_intake_split(bytes_of_text(text), jwe);
    if (!vlt_is_ok(result))
        body_refuse(body, answer_status(result.class), "jwe",
                    "\"jwe\" is not a value sealed to the intake key: %s", result.reason);
    else if (jwe->ciphertext_bytes > PROFILE_SECRET_MAX) // which is as long as the value
        body_refuse(body, 400, "jwe",
                    "the value in \"jwe\" is longer than %d bytes: no request can carry it",
                    PROFILE_SECRET_MAX);
}

static void put_read(struct admin *admin, struct body *body, struct put *put) {
    struct record_credential *credential = &put->credential;
    const char *profile_name =
        body_text(body, "profile", creates(put) ? BODY_REQUIRED : BODY_OPTIONAL, RECORD_NAME_MAX);
    if (profile_name)
        snprintf(credential->profile, sizeof credential->profile, "%s", profile_name);
    const char *description =
        body_text(body, "description", BODY_OPTIONAL, sizeof credential->description - 1);
    if (description)
        snprintf(credential->description, sizeof credential->description, "%s", description);
    if (put->mode == CREDENTIAL_STAGE && (description || body_has(body, "grace_s")))
        body_refuse(
            body, 400, description ? "description" : "grace_s",
            "a version that is staged has neither description nor grace: the description is "
            "the credential's, and the grace is said at its promotion");
    put->grace_s = (uint32_t)body_number(body, "grace_s", 0, CREDENTIAL_GRACE_MAX_S,
                                         put->mode == CREDENTIAL_ROTATE ? GRACE_DEFAULT_S : 0);
    hosts_read(body, credential);
    jwe_read(body, &put->jwe);
    const struct profile *profile = profile_find(admin->profiles, credential->profile);
    if (!profile) {
        char names[256];
        body_refuse(body, 400, "profile",
                    "there is no profile \"%s\"; the profiles of this vault are %s",
                    credential->profile, profile_set_names(admin->profiles, names, sizeof names));
        return;
    }
    put->form = profile_puts_secret_plain(profile) ? CREDENTIAL_FORM_TEXT : CREDENTIAL_FORM_LINE;
    hosts_check(body, profile, credential);
    parameters_read(body, profile, credential);
}

// ---- Sending it on ----

static void stored(vlt_result result, const struct answer_credential_put *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result)) {
        json_object_set_new(work->reply, "version", json_integer(answer->version));
        work_reply(work, answer->revision);
    } else if (result.class == VLT_CONFLICT) {
        const struct put *put = work->more;
        bool is_staged = !strcmp(result.reason, REASON_VERSION_STAGED);
        answer_problem(work->x, 409, "name", "%s",
                       is_staged      ? result.reason
                       : creates(put) ? "there is a credential of this name already: rotate it, or "
                                        "choose another name"
                                      : "somebody else changed this credential meanwhile: read it "
                                        "again and repeat");
        work_free(work);
    } else if (result.class == VLT_CRYPTO) {
        answer_problem(work->x, 400, "jwe",
                       "the value is not sealed to the present intake key: fetch the key and seal "
                       "it again (%s)", result.reason);
        work_free(work);
    } else {
        work_fail(work, result);
    }
}

// A list of texts as the message wants it.
static struct bytes hosts_wire(const struct record_credential *credential, uint8_t *room,
                               size_t room_bytes) {
    struct wire_writer w;
    wire_writer_init(&w, room, room_bytes);
    for (size_t i = 0; i < credential->host_count; i++)
        wire_put_text(&w, credential->hosts[i]);
    return bytes_of(room, w.size);
}

static void put_send(struct admin_work *work) {
    const struct put *put = work->more;
    const struct record_credential *credential = &put->credential;
    const struct jwe_intake_fields *jwe = &put->jwe;
    uint8_t hosts[4096];
    struct buf parameters;
    buf_init(&parameters, 4096);
    vlt_result result = vlt_ok();
    if (credential->parameters)
        result = jsontext_canonical(credential->parameters, &parameters);
    else
        buf_put_text(&parameters, "{}");
    struct ask_credential_put ask = {
        .tenant = work->tenant,
        .name = bytes_of_text(put->name),
        .mode = (uint8_t)put->mode,
        .form = (uint8_t)put->form,
        .expected_revision = put->revision,
        .profile = bytes_of_text(credential->profile),
        .hosts = hosts_wire(credential, hosts, sizeof hosts),
        .parameters = buf_bytes(&parameters),
        .description = bytes_of_text(credential->description),
        .grace_s = put->grace_s,
        .intake_kid = bytes_of_text(jwe->kid),
        .jwe_header = bytes_of(jwe->aad, jwe->aad_bytes),
        .ciphertext = bytes_of(jwe->ciphertext, jwe->ciphertext_bytes),
    };
    memcpy(ask.epk_x, jwe->epk_x, sizeof ask.epk_x);
    memcpy(ask.epk_y, jwe->epk_y, sizeof ask.epk_y);
    memcpy(ask.iv, jwe->iv, sizeof ask.iv);
    memcpy(ask.tag, jwe->tag, sizeof ask.tag);
    if (vlt_is_ok(result) && buf_failed(&parameters))
        result = vlt_fail(VLT_LIMIT, "the parameters are too long");
    if (vlt_is_ok(result)) {
        ask.event = work_event(work, AUDIT_ALLOW, NULL);
        ask_credential_put(work->admin->keeper, &ask, stored, work);
    } else {
        work_fail(work, result);
    }
    buf_done(&parameters);
}

static const char *const operations[CREDENTIAL_PUT_MODE_COUNT] = {
    [CREDENTIAL_ROTATE] = "credential.rotate",
    [CREDENTIAL_CREATE] = "credential.put",
    [CREDENTIAL_STAGE] = "credential.stage"};

static void more_free(void *more) { put_free(more); }

static void put_go(struct admin *admin, struct http_exchange *x, const struct record_tenant *tenant,
                   struct put *put) {
    struct admin_work *work =
        work_new(admin, x, operations[put->mode]);
    if (!work) {
        put_free(put);
        return;
    }
    work->more = put;
    work->more_free = more_free;
    work->status = creates(put) ? 201 : 200;
    work_set_tenant(work, tenant);
    work_set_subject(work, put->name);
    snprintf(work->credential, sizeof work->credential, "%s", put->name);
    json_t *hosts = json_array();
    for (size_t i = 0; i < put->credential.host_count; i++)
        json_array_append_new(hosts, json_string(put->credential.hosts[i]));
    work->reply = json_pack("{s:s,s:s,s:o}", "name", put->name, "profile", put->credential.profile,
                            "hosts", hosts);
    put_send(work);
}

// ---- Handlers ----

// Fills put from the record that is there; refuses into body.
static void present_read(struct body *body, struct store *store, uint32_t tenant, struct put *put) {
    struct bytes value;
    vlt_result result = store_get(store, tenant, STORE_CREDENTIAL, bytes_of_text(put->name), &value,
                                  &put->revision);
    if (vlt_is_ok(result))
        result = record_credential_parse(value, NULL, &put->credential);
    bool is_there = vlt_is_ok(result) && put->credential.status != RECORD_CREDENTIAL_DELETED;
    if (creates(put)) {
        record_credential_done(&put->credential);
        put->credential = (struct record_credential){0};
        put->revision = 0;
        if (is_there)
            body_refuse(body, 409, "name",
                        "there is a credential \"%s\" already: rotate it, or choose another name",
                        put->name);
    } else if (!is_there) {
        body_refuse(body, 404, "name", "there is no credential \"%s\": put it first", put->name);
    }
}

static void credential_put(struct admin *admin, struct http_exchange *x,
                           const struct http_parameters *parameters,
                           enum credential_put_mode mode) {
    static const char *const members[] = {"profile", "hosts",   "parameters", "description",
                                          "grace_s", "jwe",     NULL};
    struct put *put = calloc(1, sizeof *put);
    struct store *store;
    struct record_tenant tenant;
    if (!put) {
        answer_problem(x, 503, NULL, "the admin role is out of memory: try again");
        return;
    }
    put->mode = mode;
    if (!name_take(x, parameters, "name", put->name) ||
        !tenant_begin(admin, x, parameters, &store, &tenant)) {
        put_free(put);
        return;
    }
    struct body body;
    body_open(http_exchange_request(x), &jsontext_document_limits, members, &body);
    present_read(&body, store, tenant.number, put);
    store_snapshot_end(store);
    uint64_t expected = if_match_read(&body, http_exchange_request(x));
    if (!body.status && expected && expected != put->revision)
        body_refuse(&body, 412, "If-Match", "the credential has changed since it was read");
    if (!body.status)
        put_read(admin, &body, put);
    bool refused = body_refused(&body, x);
    body_done(&body);
    if (refused)
        put_free(put);
    else
        put_go(admin, x, &tenant, put);
}

OP(op_credential_create) { credential_put(ctx, x, parameters, CREDENTIAL_CREATE); }
OP(op_credential_rotate) { credential_put(ctx, x, parameters, CREDENTIAL_ROTATE); }
OP(op_credential_stage) { credential_put(ctx, x, parameters, CREDENTIAL_STAGE); }
