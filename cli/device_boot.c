// SPDX-License-Identifier: Apache-2.0
// device boot, device authorize-boot: which states of the machine may use the
// wrapping key, and one more of them. The approver's private key is used here or
// elsewhere, never in the vault.
#include <stdio.h>

#include "cli/device_boot_values.h"
#include "cli/listing.h"
#include "cli/verbs.h"
#include "libvault/base/b64u.h"
#include "libvault/base/hex.h"
#include "libvault/store/record_boot.h"
#include "libvault/tpm/boot_json.h"
#include "libvault/tpm/boot_key.h"

#define KEY_FILE_MAX 16384
#define KEY_HEAP_BYTES (256u << 10)
#define SIGNATURE_FILE_MAX 4096

// ---- What the vault says ----

struct boot_facts {
    struct boot_state now;
    uint8_t approver[BOOT_POINT_BYTES];
};

static vlt_result facts_read(const json_t *answer, struct fault *fault, struct boot_facts *facts) {
    if (!json_is_true(json_object_get(answer, "bound")))
        return fault_set(fault, VLT_CONFLICT, "not bound",
                         "the wrapping key in use is not bound to measured boot, so there is "
                         "nothing to approve: set device.boot_pcrs and device.boot_approver in "
                         "the configuration, then run `vaultctl init`, or `vaultctl rotate "
                         "wrapping` for a vault that is there already");
    VLT_TRY(boot_json_read_values(json_object_get(answer, "now"), fault, &facts->now));
    return hex_decode(bytes_of_text(member_text(answer, "approver")), facts->approver,
                      sizeof facts->approver);
}

static int boot_fetch(struct command *command, json_t **ret_answer) {
    const char *device = command_option(command, "--device");
    return device ? command_call_path(command, "GET", NULL, ret_answer, "/v1/device/boot?device=%s",
                                      device)
                  : command_call_path(command, "GET", NULL, ret_answer, "/v1/device/boot");
}

// ---- device boot ----

static void approvals_print(const json_t *approvals) {
    static const char *const headings[] = {"STATE", "APPROVED", "COUNTS", "NOW", NULL};
    struct table table;
    size_t i;
    const json_t *item;
    table_init(&table, headings);
    for (i = 0; i < json_array_size(approvals); i++) {
        char at[CELL_SIZE];
        item = json_array_get(approvals, i);
        const char *const cells[] = {
            member_text(item, "name"), member_time(item, "approved_at", at),
            json_is_true(json_object_get(item, "counts")) ? "yes" : "no, for another key",
            json_is_true(json_object_get(item, "now")) ? "yes" : ""};
        table_row(&table, cells);
    }
    (void)table_print(&table, "No state was approved besides the one in which the key was made.");
}

static int run_boot(struct command *command) {
    struct boot_facts facts;
    struct fault fault = {0};
    json_t *answer = NULL;
    int status = boot_fetch(command, &answer);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(answer) : status;
    if (!json_is_true(json_object_get(answer, "bound"))) {
        printf("The wrapping key in use is not bound to measured boot.\n");
        json_decref(answer);
        return EXIT_OK;
    }
    vlt_result result = facts_read(answer, &fault, &facts);
    if (vlt_is_ok(result)) {
        terminal_pair("Boot state", member_text(answer, "state"));
        terminal_pair("Approved as", json_string_value(json_object_get(answer, "name")));
        terminal_pair("Approver", member_text(answer, "approver"));
        boot_values_print(&facts.now, &facts.now);
        approvals_print(json_object_get(answer, "approvals"));
    }
    json_decref(answer);
    return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, &fault);
}

// ---- device authorize-boot ----

static int prepare(struct command *command, const char *path, const struct boot_state *state) {
    uint8_t message[BOOT_TO_SIGN_BYTES];
    char values[1024];
    struct fault fault = {0};
    if (snprintf(values, sizeof values, "%s.pcrs", path) >= (int)sizeof values)
        return command_usage(command, "the name of the file is too long");
    vlt_result result = boot_to_sign(state, message);
    if (vlt_is_ok(result))
        result = boot_file_write(path, bytes_of(message, sizeof message), &fault);
    if (vlt_is_ok(result))
        result = boot_values_write(values, state, &fault);
    if (!vlt_is_ok(result))
        return command_fail(command, result, &fault);
    if (command->wants_json) {
        char text[B64U_SIZE(BOOT_TO_SIGN_BYTES) + 1];
        b64u_encode_text(bytes_of(message, sizeof message), text);
        return command_print_json(json_pack("{s:s,s:s,s:s,s:o}", "file", path, "pcr_file", values,
                                            "to_sign", text, "pcrs", boot_json_values(state)));
    }
    printf("\nNothing is approved yet. Where the approver's key is:\n"
           "  openssl dgst -sha256 -sign APPROVER.pem -out %s.sig %s\n"
           "and then here:\n"
           "  vaultctl device authorize-boot %s --pcr-file %s --signature %s.sig\n",
           path, path, command->arguments[0], values, path);
    return EXIT_OK;
}

static vlt_result sign_with(struct bytes pem, const char *path, const struct boot_facts *facts,
                            struct boot_approval *approval, struct fault *fault) {
    uint8_t point[BOOT_POINT_BYTES];
    VLT_TRY(boot_key_point(pem, fault, point));
    if (!bytes_equal(bytes_of(point, sizeof point), bytes_of(facts->approver, sizeof point)))
        return fault_set(fault, VLT_DENIED, "not the approver's key",
                         "%s is not the key of the approver with whom the wrapping key was made",
                         path);
    return boot_key_sign(pem, &approval->state, fault, approval->signature);
}

static vlt_result sign_here(const char *path, const struct boot_facts *facts,
                            struct boot_approval *approval, struct fault *fault) {
    VLT_TRY(secret_heap_open(KEY_HEAP_BYTES, fault));
    struct secret *pem = secret_new(KEY_FILE_MAX);
    if (!pem)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    file_warn_if_open("--key", path);
    vlt_result result = file_read_secret(path, pem, fault);
    if (vlt_is_ok(result)) {
        result =
            sign_with(bytes_of(secret_borrow(pem), secret_size(pem)), path, facts, approval, fault);
        secret_release(pem);
    }
    secret_free(pem);
    return result;
}

static vlt_result signature_take(const char *path, struct boot_approval *approval,
                                 struct fault *fault) {
    struct buf content;
    buf_init(&content, SIGNATURE_FILE_MAX + 8192);
    vlt_result result = file_read(path, SIGNATURE_FILE_MAX, &content, fault);
    if (vlt_is_ok(result))
        result = boot_signature_read(buf_bytes(&content), approval->signature);
    buf_done(&content);
    return result;
}

// Of the key at hand, or made elsewhere.
static vlt_result signature_make(const struct command *command, const struct boot_facts *facts,
                                 struct boot_approval *approval, struct fault *fault) {
    const char *key = command_option(command, "--key");
    if (key)
        VLT_TRY(sign_here(key, facts, approval, fault));
    else
        VLT_TRY(signature_take(command_option(command, "--signature"), approval, fault));
    if (vlt_is_ok(boot_approval_verify(approval, facts->approver)))
        return vlt_ok();
    return fault_set(fault, VLT_DENIED, "the signature does not fit",
                     "the signature is not the approver's over these PCR values: were they the "
                     "same (--pcr-file) when it was made?");
}

static int approve(struct command *command, const struct boot_facts *facts,
                   const struct boot_state *state) {
    struct boot_approval approval = {.state = *state};
    char signature[B64U_SIZE(BOOT_SIGNATURE_BYTES) + 1];
    struct fault fault = {0};
    json_t *answer = NULL;
    vlt_result result = signature_make(command, facts, &approval, &fault);
    if (!vlt_is_ok(result))
        return command_fail(command, result, &fault);
    b64u_encode_text(bytes_of(approval.signature, BOOT_SIGNATURE_BYTES), signature);
    json_t *body = json_pack("{s:s,s:o,s:s}", "name", command->arguments[0], "pcrs",
                             boot_json_values(state), "signature", signature);
    int status = command_call_path(command, "POST", body, &answer, "/v1/device/boot/approvals");
    json_decref(body);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(answer) : status;
    json_decref(answer);
    if (boot_difference(&facts->now, state))
        printf("Approved. The vault will unseal in that state as it does in this one.\n");
    else
        printf("Approved. A vault that is sealed because of its boot state unseals now.\n");
    return EXIT_OK;
}

static int run_authorize(struct command *command) {
    const char *path = command_option(command, "--prepare");
    unsigned ways = (path != NULL) + (command_option(command, "--key") != NULL) +
                    (command_option(command, "--signature") != NULL);
    struct boot_facts facts = {.now = {.pcrs = 0}};
    struct boot_state state = {.pcrs = 0};
    struct fault fault = {0};
    uint32_t named = 0;
    json_t *answer = NULL;
    if (ways != 1)
        return command_usage(command, "give one of --key, --signature and --prepare");
    int status = boot_fetch(command, &answer);
    if (status != EXIT_OK)
        return status;
    vlt_result result = facts_read(answer, &fault, &facts);
    json_decref(answer);
    if (vlt_is_ok(result))
        result = boot_values_collect(command, &facts.now, &fault, &state, &named);
    if (!vlt_is_ok(result))
        return command_fail(command, result, &fault);
    if (!command->wants_json) {
        char list[BOOT_LIST_SIZE];
        boot_values_print(&facts.now, &state);
        boot_list(facts.now.pcrs & ~named, list);
        if (named && named != facts.now.pcrs)
            printf("PCR %s: nothing was said of them, so their values of now are approved\n", list);
    }
    return path ? prepare(command, path, &state) : approve(command, &facts, &state);
}

#define DEVICE_OPTION                                                                              \
    { "--device", OPTION_VALUE, "NAME", "which device (default: the first TPM)", 0 }

static const struct option_spec boot_options[] = {DEVICE_OPTION, {0}};
static const struct option_spec authorize_options[] = {
    DEVICE_OPTION,
    {"--key", OPTION_VALUE, "FILE", "the approver's private key (PEM, P-256): signs here", 0},
    {"--signature", OPTION_VALUE, "FILE", "a signature that was made elsewhere (DER, or 64 bytes)",
     0},
    {"--prepare", OPTION_VALUE, "FILE",
     "write what is to be signed, and FILE.pcrs; approve nothing", 0},
    BOOT_VALUE_OPTIONS,
    {0}};

const struct verb verb_device_boot = {
    .noun = "device",
    .name = "boot",
    .arguments = "",
    .summary = "Show what the wrapping key is bound to, and what this machine booted",
    .examples = "  vaultctl device boot\n  vaultctl device boot --device spare --json\n",
    .options = boot_options,
    .run = run_boot};
const struct verb verb_device_authorize_boot = {
    .noun = "device",
    .name = "authorize-boot",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Approve a state of the machine in which the vault may unseal",
    .details =
        "Before an upgrade of firmware or operating system: give the PCR values that the new "
        "system\n"
        "will have (its event log, a list, or single values). PCRs that nothing names keep their\n"
        "values of now. After an upgrade that was not approved before: without values, the state\n"
        "of now is approved. Works while the vault is sealed.\n"
        "\n"
        "What is signed says nothing of this vault: the same signature serves other machines that\n"
        "boot the same software and have the same approver. NAME replaces a state of that name.",
    .examples =
        "  vaultctl device authorize-boot debian-12.6 --event-log new.bin --key approver.pem\n"
        "  vaultctl device authorize-boot debian-12.6 --pcr 4=0f3a… --prepare boot.msg\n"
        "  vaultctl device authorize-boot debian-12.6 --pcr-file boot.msg.pcrs --signature "
        "boot.msg.sig\n",
    .options = authorize_options,
    .run = run_authorize};
