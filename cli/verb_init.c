// SPDX-License-Identifier: Apache-2.0
// The birth of a vault, and the one time that the shares of its recovery key are
// seen: the keeper seals them to a key that lives as long as this process.
#include <stdio.h>
#include <unistd.h>

#include "cli/listing.h"
#include "cli/recovery_pem.h"
#include "cli/verbs.h"
#include "libvault/crypto/jwe.h"
#include "libvault/crypto/pkey.h"
#include "libvault/crypto/recovery_key.h"

#define SHARES_DEFAULT 5
#define THRESHOLD_DEFAULT 3
#define HEAP_BYTES (256u << 10)
#define TEXTS_BYTES (RECOVERY_SHARES_MAX * RECOVERY_SHARE_TEXT_SIZE)

// ---- Asking ----

static vlt_result key_make(struct jwk **ret_key, json_t **ret_public) {
    EVP_PKEY *pkey = NULL;
    VLT_TRY(pkey_generate(PKEY_P256, &pkey));
    vlt_result result = jwk_of_pkey(pkey, "reply", ret_key);
    if (!vlt_is_ok(result)) {
        EVP_PKEY_free(pkey);
        return result;
    }
    return jwk_export(*ret_key, "ECDH-ES", "enc", ret_public);
}

static vlt_result shares_open(const json_t *answer, const struct jwk *key, struct secret *texts) {
    const char *jwe = json_string_value(json_object_get(answer, "shares"));
    struct jwe_parts parts;
    if (!jwe)
        return vlt_fail(VLT_MALFORMED, "the answer holds no shares");
    VLT_TRY(jwe_split(bytes_of_text(jwe), &parts));
    vlt_result result = jwe_decrypt(&parts, 1u << JWE_ECDH_ES, 1u << JWE_A256GCM, key, texts);
    jwe_parts_done(&parts);
    return result;
}

// ---- Showing ----

// The one of several lines, without its end.
static struct bytes line_of(struct bytes texts, unsigned number) {
    for (unsigned i = 0; i < number; i++)
        texts = bytes_from(texts, bytes_find(texts, '\n') + 1);
    return bytes_of(texts.at, bytes_find(texts, '\n'));
}

static void shares_print(struct bytes texts, unsigned shares, unsigned threshold) {
    printf(
        "\nRECOVERY SHARES. They are shown once and kept nowhere. Any %u of these %u rebuild the\n"
        "vault on new hardware (vaultctl recover); give each to another person, on paper.\n\n",
        threshold, shares);
    for (unsigned i = 0; i < shares; i++) {
        struct bytes line = line_of(texts, i);
        printf("  share %u   %.*s\n", i + 1, (int)line.size, (const char *)line.at);
    }
}

// A share that was written down wrongly is found while it can still be read off
// the screen. Only with a person at the terminal.
static void shares_ask_back(struct bytes texts, unsigned shares) {
    struct secret *typed = secret_new(4 * RECOVERY_SHARE_TEXT_SIZE);
    struct recovery_share share = {.share.y = secret_new(RECOVERY_SECRET_BYTES)};
    struct fault fault = {0};
    for (unsigned i = 0; typed && share.share.y && i < shares; i++) {
        char prompt[80];
        snprintf(prompt, sizeof prompt, "Type share %u from the paper (empty: skip the check): ",
                 i + 1);
        if (!vlt_is_ok(terminal_read_secret(prompt, typed, &fault)) || secret_size(typed) == 0)
            break;
        vlt_result result = recovery_share_parse(
            bytes_of(secret_borrow(typed), secret_size(typed)), &share);
        secret_release(typed);
        if (vlt_is_ok(result) && share.share.x == i + 1) {
            printf("Share %u is right.\n", i + 1);
            continue;
        }
        printf("That is not share %u%s%s. Look at it again.\n", i + 1,
               vlt_is_ok(result) ? "" : ": ", vlt_is_ok(result) ? "" : result.reason);
        i--;
    }
    secret_free(typed);
    secret_free(share.share.y);
}

static void next_steps_print(void) {
    printf(
        "\nWhat to do next:\n"
        "  1. say whose tokens to trust:   vaultctl issuer add corp --issuer https://… --audience "
        "…\n"
        "  2. say who may use what:        vaultctl policy put policies/\n"
        "  3. store a credential:          vaultctl credential put openai-prod --profile openai\n"
        "  4. enrol the forwarder:         vaultctl forwarder enrol nginx --user www-data\n"
        "They are about the tenant \"default\"; `vaultctl tenant create` makes others.\n");
}

static int answer_print(struct command *command, json_t *body, struct bytes texts,
                        unsigned shares, unsigned threshold) {
    if (command->wants_json) {
        json_t *list = json_array();
        for (unsigned i = 0; i < shares; i++) {
            struct bytes line = line_of(texts, i);
            json_array_append_new(list, json_stringn((const char *)line.at, line.size));
        }
        json_object_set_new(body, "shares", list);
        return command_print_json(json_incref(body));
    }
    printf("The vault is initialised and unsealed.\n");
    shares_print(texts, shares, threshold);
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
        putchar('\n');
        shares_ask_back(texts, shares);
    }
    next_steps_print();
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int init_with(struct command *command, unsigned shares, unsigned threshold,
                     const struct jwk *key, json_t *public_key, struct secret *texts) {
    json_t *body = NULL;
    json_t *ask = json_pack("{s:o,s:i,s:i}", "reply_key", public_key, "shares", (int)shares,
                            "threshold", (int)threshold);
    int status = command_call_path(command, "POST", ask, &body, "/v1/init");
    json_decref(ask);
    if (status != EXIT_OK)
        return status;
    vlt_result result = shares_open(body, key, texts);
    if (vlt_is_ok(result)) {
        status = answer_print(command, body,
                              bytes_of(secret_borrow(texts), secret_size(texts)), shares,
                              threshold);
        secret_release(texts);
    } else {
        struct fault fault = {0};
        result = fault_set(&fault, result.class, result.reason,
                           "the vault is initialised, but its recovery shares can not be read "
                           "(%s): remove its store and run `vaultctl init` again, before it "
                           "holds anything",
                           result.reason);
        status = command_fail(command, result, &fault);
    }
    json_decref(body);
    return status;
}

// The key of the operator's: nothing secret comes back.
static int init_with_key(struct command *command, const char *path) {
    struct fault fault = {0};
    json_t *key = NULL, *body = NULL;
    if (command_option(command, "--shares") || command_option(command, "--threshold"))
        return command_usage(command, "with --recovery-key there are no shares");
    vlt_result result = secret_heap_open(HEAP_BYTES, &fault);
    if (vlt_is_ok(result))
        result = recovery_pem_public(path, &fault, &key);
    if (!vlt_is_ok(result))
        return command_fail(command, result, &fault);
    json_t *ask = json_pack("{s:o}", "recovery_key", key);
    int status = command_call_path(command, "POST", ask, &body, "/v1/init");
    json_decref(ask);
    if (status != EXIT_OK)
        return status;
    if (command->wants_json)
        return command_print_json(body);
    printf("The vault is initialised and unsealed.\n\n"
           "RECOVERY. Who has the private half of %s can rebuild the vault on new hardware\n"
           "(vaultctl recover --private-key). What is sealed to it is in the store and in every\n"
           "backup; a copy to keep beside the key:\n\n%s\n",
           path, member_text(body, "sealed"));
    next_steps_print();
    json_decref(body);
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int run_init(struct command *command) {
    const char *recovery_key = command_option(command, "--recovery-key");
    if (recovery_key)
        return init_with_key(command, recovery_key);
    unsigned long shares, threshold;
    struct fault fault = {0};
    vlt_result result = command_number(command, "--shares", RECOVERY_SHARES_MAX, SHARES_DEFAULT,
                                       &fault, &shares);
    unsigned long usual = shares < THRESHOLD_DEFAULT ? shares : THRESHOLD_DEFAULT;
    if (vlt_is_ok(result))
        result = command_number(command, "--threshold", RECOVERY_SHARES_MAX, usual, &fault,
                                &threshold);
    if (!vlt_is_ok(result))
        return command_usage(command, "%s", fault.text);
    if (threshold > shares || threshold < (shares > 1 ? 2 : 1))
        return command_usage(command,
                             "--threshold must be 2 or more and not above --shares (or both 1)");
    struct jwk *key = NULL;
    json_t *public_key = NULL;
    result = secret_heap_open(HEAP_BYTES, &fault);
    if (!vlt_is_ok(result))
        return command_fail(command, result, &fault);
    struct secret *texts = secret_new(TEXTS_BYTES);
    result = texts ? key_make(&key, &public_key) : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    int status = vlt_is_ok(result) ? init_with(command, (unsigned)shares, (unsigned)threshold, key,
                                               public_key, texts)
                                   : command_fail(command, result, NULL);
    secret_free(texts);
    jwk_free(key);
    return status;
}

static const struct option_spec init_options[] = {
    {"--shares", OPTION_VALUE, "NUMBER", "shares of the recovery key, 1 to 16 (default 5)", 0},
    {"--threshold", OPTION_VALUE, "NUMBER", "how many of them recover the vault (default 3)", 0},
    {"--recovery-key", OPTION_VALUE, "FILE",
     "instead of shares: PEM of a public key, P-256 or RSA, whose private half is kept offline", 0},
    {0}};

const struct verb verb_init = {
    .noun = "init",
    .arguments = "",
    .summary = "Create the vault's keys in the device, once",
    .details =
        "Makes the wrapping key in the TPM or HSM that the configuration of vaultd names, the\n"
        "signing key, the intake key and the tenant \"default\", and leaves the vault unsealed. A "
        "vault\n"
        "that was initialised before is not touched (exit status 5).\n"
        "\n"
        "Prints the shares of the recovery key, once. A device can break: with enough shares and "
        "a\n"
        "backup, `vaultctl recover` rebuilds the vault on another one. Without them nobody can.\n"
        "With --recovery-key nothing is printed that must be kept secret: who has the private half "
        "of\n"
        "that key can do the same.",
    .examples = "  vaultctl init\n"
                "  vaultctl init --shares 3 --threshold 2\n"
                "  vaultctl init --recovery-key recovery-public.pem\n",
    .options = init_options,
    .run = run_init,
};
