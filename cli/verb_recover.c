// SPDX-License-Identifier: Apache-2.0
// Unseals a vault that refuses to be. The shares are joined here and only the
// recovery secret is sent, sealed to a key that the keeper made for this.
#include <stdio.h>

#include "cli/listing.h"
#include "cli/recovery_pem.h"
#include "cli/verbs.h"
#include "libvault/crypto/jwe.h"
#include "libvault/crypto/recovery_key.h"

#define HEAP_BYTES (256u << 10)
#define TEXT_MAX 1024

struct shares {
    struct recovery_share at[RECOVERY_SHARES_MAX];
    unsigned count;
};

static void shares_free(struct shares *shares) {
    for (unsigned i = 0; i < shares->count; i++)
        secret_free(shares->at[i].share.y);
}

// ---- Reading shares ----

static vlt_result share_add(struct shares *shares, struct bytes line, struct fault *fault) {
    if (shares->count == RECOVERY_SHARES_MAX)
        return fault_set(fault, VLT_LIMIT, "too many shares", "there are too many shares");
    struct recovery_share *share = &shares->at[shares->count];
    if (!(share->share.y = secret_new(RECOVERY_SECRET_BYTES)))
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    shares->count++;
    vlt_result result = recovery_share_parse(line, share);
    if (!vlt_is_ok(result))
        return fault_set(fault, result.class, result.reason, "share %u: %s", shares->count,
                         result.reason);
    for (unsigned i = 0; i + 1 < shares->count; i++) {
        if (shares->at[i].share.x == share->share.x)
            return fault_set(fault, VLT_MALFORMED, "a share was given twice",
                             "share %u of the vault was given twice", share->share.x);
        if (!bytes_equal(bytes_of(shares->at[i].vault, 4), bytes_of(share->vault, 4)))
            return fault_set(fault, VLT_MALFORMED, "shares of different vaults",
                             "these shares belong to different vaults");
    }
    return vlt_ok();
}

static vlt_result shares_add_text(struct shares *shares, struct bytes text, struct fault *fault) {
    while (text.size > 0) {
        size_t end = bytes_find(text, '\n');
        if (end > 0)
            VLT_TRY(share_add(shares, bytes_of(text.at, end), fault));
        text = bytes_from(text, end + 1);
    }
    return vlt_ok();
}

static vlt_result shares_read_files(struct command *command, struct shares *shares,
                                    struct fault *fault) {
    const char *path;
    for (size_t n = 0; (path = command_option_at(command, "--share-file", n)); n++) {
        struct secret *text = secret_new(RECOVERY_SHARES_MAX * 2 * RECOVERY_SHARE_TEXT_SIZE);
        if (!text)
            return vlt_fail(VLT_UNAVAILABLE, "out of memory");
        file_warn_if_open("--share-file", path);
        vlt_result result = file_read_secret(path, text, fault);
        if (vlt_is_ok(result)) {
            result = shares_add_text(shares, bytes_of(secret_borrow(text), secret_size(text)),
                                     fault);
            secret_release(text);
        }
        secret_free(text);
        VLT_TRY(result);
    }
    return vlt_ok();
}

static vlt_result shares_prompt(struct shares *shares, unsigned threshold, struct fault *fault) {
    if (shares->count < threshold && !terminal_exists())
        return fault_set(fault, VLT_MALFORMED, "no terminal",
                         "there is no terminal to ask at, and %u of %u shares are missing: give "
                         "them with --share-file",
                         threshold - shares->count, threshold);
    struct secret *typed = secret_new(4 * RECOVERY_SHARE_TEXT_SIZE);
    vlt_result result = typed ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    while (vlt_is_ok(result) && shares->count < threshold) {
        char prompt[64];
        snprintf(prompt, sizeof prompt, "Share (%u of %u): ", shares->count + 1, threshold);
        result = terminal_read_secret(prompt, typed, fault);
        if (!vlt_is_ok(result))
            break;
        result = share_add(shares, bytes_of(secret_borrow(typed), secret_size(typed)), fault);
        secret_release(typed);
    }
    secret_free(typed);
    return result;
}

// ---- Sealing the secret ----

static vlt_result secret_join(const struct shares *shares, unsigned threshold, struct fault *fault,
                              struct secret *ret_secret) {
    struct shamir_share joined[RECOVERY_SHARES_MAX];
    struct recovery_key key;
    if (shares->count < threshold)
        return fault_set(fault, VLT_MALFORMED, "too few shares",
                         "%u shares were given and %u are needed", shares->count, threshold);
    for (unsigned i = 0; i < shares->count; i++)
        joined[i] = shares->at[i].share;
    VLT_TRY(shamir_join(joined, shares->count, ret_secret));
    vlt_result result = recovery_key_derive(ret_secret, &key);
    if (!vlt_is_ok(result))
        return result;
    bool is_right = bytes_equal(bytes_of(key.id, 4), bytes_of(shares->at[0].vault, 4));
    recovery_key_done(&key);
    return is_right ? vlt_ok()
                    : fault_set(fault, VLT_MALFORMED, "the shares do not fit together",
                                "these shares do not fit together: one of them is not genuine");
}

static vlt_result secret_seal(const json_t *answer, const struct secret *secret,
                              struct fault *fault, json_t *body) {
    struct jwk *key = NULL;
    struct buf jwe;
    VLT_TRY(jwk_parse_json(json_object_get(answer, "key"), 0, fault, &key));
    buf_init(&jwe, 2048);
    vlt_result result = jwe_intake_seal(key, secret, &jwe);
    const char *text = vlt_is_ok(result) ? buf_text(&jwe) : NULL;
    if (vlt_is_ok(result) && (!text || json_object_set_new(body, "jwe", json_string(text)) != 0))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    buf_done(&jwe);
    jwk_free(key);
    return result;
}

// ---- A key of the operator's instead of shares ----

static vlt_result shares_unseal(struct command *command, const json_t *answer,
                                struct shares *shares, struct fault *fault) {
    const char *sealed = member_text(answer, "sealed");
    struct secret *text = secret_new(TEXT_MAX);
    if (!text)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result =
        sealed[0] ? recovery_pem_open(command_option(command, "--private-key"),
                                      bytes_of_text(sealed), fault, text)
                  : fault_set(fault, VLT_CONFLICT, "no recovery key",
                              "this vault was made with shares, not with a recovery key: give "
                              "--share-file, or type them");
    if (vlt_is_ok(result)) {
        result = shares_add_text(shares, bytes_of(secret_borrow(text), secret_size(text)), fault);
        secret_release(text);
    }
    secret_free(text);
    return result;
}

static int sealed_show(struct command *command) {
    json_t *answer = NULL;
    int status = command_call_path(command, "GET", NULL, &answer, "/v1/recovery-key");
    if (status != EXIT_OK)
        return status;
    const char *sealed = member_text(answer, "sealed");
    if (sealed[0])
        puts(sealed);
    else
        status = command_fail(command,
                              vlt_fail(VLT_CONFLICT, "this vault was made with shares"), NULL);
    json_decref(answer);
    return status;
}

// Where the private key is, without the vault: prints the share.
static int sealed_open(struct command *command, const char *path, const char *key_path) {
    struct fault fault = {0};
    struct buf jwe;
    buf_init(&jwe, JWE_MAX_BYTES);
    vlt_result result = secret_heap_open(HEAP_BYTES, &fault);
    struct secret *text = vlt_is_ok(result) ? secret_new(TEXT_MAX) : NULL;
    if (vlt_is_ok(result) && !text)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        result = file_read(path, JWE_MAX_BYTES, &jwe, &fault);
    if (vlt_is_ok(result)) {
        struct bytes line = buf_bytes(&jwe);
        result =
            recovery_pem_open(key_path, bytes_of(line.at, bytes_find(line, '\n')), &fault, text);
    }
    buf_done(&jwe);
    if (vlt_is_ok(result)) {
        fwrite(secret_borrow(text), 1, secret_size(text), stdout);
        secret_release(text);
        fflush(stdout);
    }
    secret_free(text);
    return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, &fault);
}

static int shares_into(struct command *command, json_t *body) {
    struct shares shares = {.count = 0};
    struct fault fault = {0};
    json_t *answer = NULL;
    int status = command_call_path(command, "GET", NULL, &answer, "/v1/recovery-key");
    if (status != EXIT_OK)
        return status;
    unsigned threshold = (unsigned)json_integer_value(json_object_get(answer, "threshold"));
    vlt_result result = secret_heap_open(HEAP_BYTES, &fault);
    struct secret *secret = vlt_is_ok(result) ? secret_new(RECOVERY_SECRET_BYTES) : NULL;
    if (vlt_is_ok(result) && !secret)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        result = command_option(command, "--private-key")
                     ? shares_unseal(command, answer, &shares, &fault)
                 : command_option(command, "--share-file")
                     ? shares_read_files(command, &shares, &fault)
                     : shares_prompt(&shares, threshold, &fault);
    if (vlt_is_ok(result))
        result = secret_join(&shares, threshold, &fault, secret);
    if (vlt_is_ok(result))
        result = secret_seal(answer, secret, &fault, body);
    if (!vlt_is_ok(result))
        status = command_fail(command, result, &fault);
    secret_free(secret);
    shares_free(&shares);
    json_decref(answer);
    return status;
}

static int run_recover(struct command *command) {
    bool accepts = command_flag(command, "--accept-rollback");
    const char *key_path = command_option(command, "--private-key");
    const char *sealed_path = command_option(command, "--sealed");
    if (command_flag(command, "--show-sealed"))
        return sealed_show(command);
    if (sealed_path && !key_path)
        return command_usage(command, "--sealed needs --private-key beside it");
    if (sealed_path)
        return sealed_open(command, sealed_path, key_path);
    bool has_shares = command_option(command, "--share-file") || key_path;
    json_t *answer = NULL, *body = json_pack("{s:b}", "accept_rollback", accepts);
    int status = EXIT_OK;
    if (has_shares || !accepts)
        status = shares_into(command, body);
    if (status == EXIT_OK)
        status = command_call_path(command, "POST", body, &answer, "/v1/recover");
    json_decref(body);
    if (status != EXIT_OK)
        return status;
    if (command->wants_json)
        return command_print_json(answer);
    long long wrapped = (long long)json_integer_value(json_object_get(answer, "data_keys"));
    if (wrapped)
        printf("The vault is recovered and unsealed: %lld data keys belong to this device now, and "
               "to\n"
               "no other one but the recovery shares.\n",
               wrapped);
    else
        printf("The vault is unsealed. The store is as it was when this copy of it was made.\n");
    json_decref(answer);
    return EXIT_OK;
}

static const struct option_spec recover_options[] = {
    {"--accept-rollback", OPTION_FLAG, NULL,
     "an old copy of the store was restored on purpose", 0},
    {"--share-file", OPTION_LIST, "FILE",
     "a file with shares, one a line; - reads standard input", 0},
    {"--private-key", OPTION_VALUE, "FILE",
     "of a vault made with --recovery-key: PEM of the private half", 0},
    {"--show-sealed", OPTION_FLAG, NULL, "print what is sealed to the recovery key, and end", 0},
    {"--sealed", OPTION_VALUE, "FILE",
     "open that with --private-key, without the vault: prints the share", 0},
    {0}};

const struct verb verb_recover = {
    .noun = "recover",
    .arguments = "",
    .summary = "Unseal after a device was lost, or an old store restored",
    .details =
        "With enough shares of the recovery key: opens every data key and wraps it for the device\n"
        "that the configuration of vaultd names now. Asks for the shares, or reads --share-file.\n"
        "A vault that was made with --recovery-key has one share, sealed to that key (JWE):\n"
        "--private-key opens it here, or --show-sealed takes it to where the key is, --sealed\n"
        "--private-key (or any JOSE program) opens it there, and --share-file takes the answer.\n"
        "\n"
        "With --accept-rollback: takes a store that is older than the device remembers. What was\n"
        "revoked, disabled or deleted since that copy was made is in force again: do it again. "
        "The\n"
        "audit log says that you accepted this.",
    .examples = "  vaultctl recover\n"
                "  vaultctl recover --share-file alice.txt --share-file bob.txt\n"
                "  vaultctl recover --private-key /media/usb/recovery.pem\n"
                "  vaultctl recover --show-sealed > sealed.jwe\n"
                "  vaultctl recover --sealed sealed.jwe --private-key recovery.pem > answer\n"
                "  vaultctl recover --accept-rollback\n",
    .options = recover_options,
    .run = run_recover,
};
