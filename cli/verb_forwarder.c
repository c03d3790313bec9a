// SPDX-License-Identifier: Apache-2.0
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/listing.h"
#include "cli/verbs.h"
#include "libvault/base/hex.h"

#define CERTIFICATE_MAX_BYTES 65536

static const struct option_spec enrol_options[] = {
    {"--user", OPTION_VALUE, "NAME", "the account that its processes run as, on this machine", 0},
    {"--uid", OPTION_VALUE, "NUMBER", "the same as a number", 0},
    {"--certificate", OPTION_VALUE, "FILE",
     "PEM of its client certificate; it is accepted until it expires", 0},
    {"--thumbprint", OPTION_VALUE, "HEX", "SHA-256 of that certificate", 0},
    {"--for-tenant", OPTION_LIST, "NAME", "tenant that it serves (default: all)", 0},
    {0}};

static vlt_result thumbprint_of_file(const char *path, char text[65], struct fault *fault) {
    struct buf pem;
    uint8_t digest[32];
    unsigned size = 0;
    buf_init(&pem, CERTIFICATE_MAX_BYTES + 8192);
    vlt_result result = file_read(path, CERTIFICATE_MAX_BYTES, &pem, fault);
    if (!vlt_is_ok(result)) {
        buf_done(&pem);
        return result;
    }
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.size);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    if (!certificate || !X509_digest(certificate, EVP_sha256(), digest, &size) || size != 32)
        result =
            fault_set(fault, VLT_MALFORMED, "no certificate", "%s holds no PEM certificate", path);
    else if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
        result = fault_set(fault, VLT_MALFORMED, "an expired certificate",
                           "the certificate in %s has expired: no forwarder gets in with it", path);
    else
        hex_encode(bytes_of(digest, sizeof digest), text);
    X509_free(certificate);
    BIO_free(bio);
    buf_done(&pem);
    return result;
}

static vlt_result set_identity(const struct command *command, json_t *body, struct fault *fault) {
    const char *user = command_option(command, "--user"), *uid = command_option(command, "--uid");
    const char *file = command_option(command, "--certificate");
    const char *thumbprint = command_option(command, "--thumbprint");
    if (!!user + !!uid + !!file + !!thumbprint != 1)
        return fault_set(
            fault, VLT_MALFORMED, "identity missing",
            "say how it is known, in one way: --user, --uid, --certificate or --thumbprint");
    char text[65];
    if (file) {
        VLT_TRY(thumbprint_of_file(file, text, fault));
        thumbprint = text;
    }
    if (thumbprint) {
        json_object_set_new(body, "certificate_sha256", json_string(thumbprint));
        return vlt_ok();
    }
    unsigned long number = 0;
    VLT_TRY(command_number(command, "--uid", UINT32_MAX - 1, 0, fault, &number));
    if (user) {
        const struct passwd *account = getpwnam(user);
        if (!account)
            return fault_set(fault, VLT_NOT_FOUND, "no such account",
                             "there is no account \"%.60s\" on this machine: give --uid", user);
        number = account->pw_uid;
    }
    json_object_set_new(body, "uid", json_integer((json_int_t)number));
    return vlt_ok();
}

static int run_enrol(struct command *command) {
    struct fault fault = {0};
    json_t *body = json_pack("{s:s}", "name", command->arguments[0]), *answer = NULL;
    vlt_result result = set_identity(command, body, &fault);
    if (!vlt_is_ok(result)) {
        json_decref(body);
        return result.class == VLT_MALFORMED ? command_usage(command, "%s", fault.text)
                                             : command_fail(command, result, &fault);
    }
    const char *tenant;
    for (size_t i = 0; (tenant = command_option_at(command, "--for-tenant", i)); i++) {
        if (i == 0)
            json_object_set_new(body, "tenants", json_array());
        json_array_append_new(json_object_get(body, "tenants"), json_string(tenant));
    }
    int status = command_call_path(command, "POST", body, &answer, "/v1/forwarders");
    json_decref(body);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(answer) : status;
    json_decref(answer);
    printf("Forwarder %s may redeem tokens now.\n", command->arguments[0]);
    return EXIT_OK;
}

static int run_list(struct command *command) {
    json_t *items = NULL;
    int status = listing_fetch(command, "/v1/forwarders", NULL, &items);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(json_pack("{s:o}", "forwarders", items))
                                 : status;
    static const char *const headings[] = {"NAME",    "UID",      "CERTIFICATE",
                                           "TENANTS", "ENROLLED", NULL};
    struct table table;
    table_init(&table, headings);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        char uid[CELL_SIZE], tenants[CELL_SIZE], created[CELL_SIZE], certificate[24];
        snprintf(certificate, sizeof certificate, "%.16s%s",
                 member_text(item, "certificate_sha256"),
                 member_text(item, "certificate_sha256")[0] ? "…" : "");
        const char *list = member_list(item, "tenants", tenants);
        const char *const cells[] = {member_text(item, "name"), member_number(item, "uid", uid),
                                     certificate, list[0] ? list : "all",
                                     member_time(item, "created_at", created)};
        table_row(&table, cells);
    }
    json_decref(items);
    return table_print(&table, "No forwarder is enrolled: `vaultctl forwarder enrol` adds one.")
               ? EXIT_OK : EXIT_FAILED;
}

static int run_remove(struct command *command) {
    int status = command_call_path(command, "DELETE", NULL, NULL, "/v1/forwarders/%s",
                                   command->arguments[0]);
    if (status != EXIT_OK)
        return status;
    if (command->wants_json)
        return command_print_json(json_pack("{s:s}", "removed", command->arguments[0]));
    printf("Forwarder %s may redeem no more.\n", command->arguments[0]);
    return EXIT_OK;
}

const struct verb verb_forwarder_enrol = {
    .noun = "forwarder", .name = "enrol", .arguments = "NAME", .argument_min = 1, .argument_max = 1,
    .summary = "Let a forwarder redeem tokens",
    .details = "A forwarder on this machine is known by its account, a remote one by its client\n"
               "certificate.",
    .examples = "  vaultctl forwarder enrol nginx --user www-data\n"
                "  vaultctl forwarder enrol edge-1 --certificate edge-1.pem --for-tenant acme\n",
    .options = enrol_options, .run = run_enrol};
const struct verb verb_forwarder_list = {
    .noun = "forwarder", .name = "list", .arguments = "",
    .summary = "List the enrolled forwarders", .examples = "  vaultctl forwarder list\n",
    .run = run_list};
const struct verb verb_forwarder_remove = {.noun = "forwarder",
                                           .name = "remove",
                                           .arguments = "NAME",
                                           .argument_min = 1,
                                           .argument_max = 1,
                                           .summary = "Let a forwarder redeem no more",
                                           .examples = "  vaultctl forwarder remove nginx\n",
                                           .run = run_remove};
