// SPDX-License-Identifier: Apache-2.0
// The provider's half of a step: the call, and what its answer means.
#include <stdio.h>
#include <stdlib.h>

#include "vaultd/log/log.h"
#include "vaultd/rotator/work_members.h"

static struct recipe_values values_of(const struct work *work, enum recipe_step step) {
    struct recipe_values values = {.parameters = work->parameters, .mark = work->mark};
    if (step == RECIPE_REVOKE)
        values.id = work->next_orphan < work->orphans.count ? work->orphans.ids[work->next_orphan]
                                                            : work->key_id;
    return values;
}

vlt_result work_host(struct work *work, enum recipe_step step, struct fault *fault) {
    struct recipe_request request;
    struct recipe_values values = values_of(work, step);
    if (work->program_recipe)
        return vlt_ok();
    if (!values.id)
        values.id = "none"; // only the host is looked at
    VLT_TRY(recipe_render(work->recipe, step, &values, fault, &request));
    memcpy(work->host, request.host, sizeof work->host);
    recipe_request_done(&request);
    return vlt_ok();
}

// ---- Answers ----

static const char *const step_names[RECIPE_STEP_COUNT] = {"list", "mint", "verify", "revoke"};

// "mint: the provider answered 500", or why it did not.
static void explain(enum recipe_step step, unsigned status, const char *why, char text[256]) {
    if (why[0])
        snprintf(text, 256, "%s: %s", step_names[step], why);
    else
        snprintf(text, 256, "%s: the provider answered %u", step_names[step], status);
}

static bool is_known(const struct work *work, const char *id) {
    for (size_t i = 0; i < work->known.count; i++)
        if (strcmp(work->known.ids[i], id) == 0)
            return true;
    return false;
}

static void find_orphans(struct work *work, const struct recipe_keys *keys) {
    bool has_names = recipe_names_keys(work->recipe);
    for (size_t i = 0; i < keys->count; i++) {
        bool is_ours = has_names ? strcmp(keys->names[i], work->mark) == 0
                                 : !is_known(work, keys->ids[i]);
        if (is_ours)
            memcpy(work->orphans.ids[work->orphans.count++], keys->ids[i], sizeof *keys->ids);
    }
}

static void clean_on(struct work *work) {
    if (work->next_orphan < work->orphans.count)
        work_call(work, RECIPE_REVOKE);
    else
        work_report(work, JOB_CLEANED, &work->orphans, NULL);
}

static void on_list(struct work *work, struct bytes body) {
    static const struct recipe_keys none;
    struct recipe_keys *keys = calloc(1, sizeof *keys);
    vlt_result result = keys ? recipe_read_keys(work->recipe, body, keys)
                             : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result)) {
        work_report(work, JOB_FAILED, NULL, result.reason);
    } else if (work->state == RECORD_ROTATION_ORDERED) {
        work_begun(work, recipe_names_keys(work->recipe) ? &none : keys);
    } else if (!recipe_names_keys(work->recipe) && work->known.count == 0) {
        // Nothing is revoked that might be somebody else's.
        work_report(work, JOB_CLEANED, NULL,
                    "no key was there before, so a lost one can not be told: look for it and "
                    "revoke it");
    } else {
        find_orphans(work, keys);
        clean_on(work);
    }
    free(keys);
}

static vlt_result seal(struct work *work, const struct secret *minted) {
    struct buf jwe;
    buf_init(&jwe, JWE_INTAKE_MAX_BYTES);
    vlt_result result = jwe_intake_seal(work->intake, minted, &jwe);
    if (vlt_is_ok(result))
        result = jwe_intake_split(buf_bytes(&jwe), work->minted);
    buf_done(&jwe);
    return result;
}

static void on_minted(struct work *work, struct bytes body) {
    struct secret *minted = secret_new(RECIPE_VALUE_MAX);
    vlt_result result = minted ? recipe_read_minted(work->recipe, body, minted, work->key_id)
                               : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        result = seal(work, minted);
    secret_free(minted);
    if (vlt_is_ok(result))
        work_hand_in(work);
    else
        work_report(work, JOB_FAILED, NULL, result.reason);
}

static void on_revoked(struct work *work) {
    if (work->state != RECORD_ROTATION_MINTING) {
        work_report(work, JOB_REVOKED, NULL, NULL);
        return;
    }
    work->next_orphan++;
    clean_on(work);
}

static void on_done(struct work *work, enum recipe_step step, struct bytes body) {
    if (step == RECIPE_LIST)
        on_list(work, body);
    else if (step == RECIPE_MINT)
        on_minted(work, body);
    else if (step == RECIPE_VERIFY)
        work_report(work, JOB_VERIFIED, NULL, NULL);
    else
        on_revoked(work);
}

static void answered(struct work *work, enum recipe_step step, unsigned status, struct bytes body,
                     const char *why) {
    char text[256];
    enum recipe_verdict verdict = recipe_judge(work->recipe, step, status);
    explain(step, status, why, text);
    log_debug("%s: %s by %s: %u", work->name, step_names[step], recipe_name(work->recipe), status);
    if (verdict == RECIPE_DONE)
        on_done(work, step, body);
    else if (verdict == RECIPE_REFUSED && step == RECIPE_VERIFY)
        work_report(work, JOB_REFUSED, NULL, text);
    else
        work_report(work, JOB_FAILED, NULL, text);
}

#define ANSWERED(name, step)                                                                       \
    static void name(unsigned status, struct bytes body, const char *why, void *context) {         \
        answered(context, step, status, body, why);                                                \
    }
ANSWERED(list_answered, RECIPE_LIST)
ANSWERED(mint_answered, RECIPE_MINT)
ANSWERED(verify_answered, RECIPE_VERIFY)
ANSWERED(revoke_answered, RECIPE_REVOKE)

// ---- The call ----

static vlt_result begin(struct work *work, enum recipe_step step, struct fault *fault) {
    static call_done_fn *const done[RECIPE_STEP_COUNT] = {list_answered, mint_answered,
                                                          verify_answered, revoke_answered};
    struct rotator *rotator = work->rotator;
    struct recipe_values values = values_of(work, step);
    struct recipe_request request;
    if (work->program_recipe)
        return program_begin(rotator->program, recipe_name(work->recipe) + strlen("exec:"), step,
                             &values, work->value, done[step], work);
    VLT_TRY(recipe_render(work->recipe, step, &values, fault, &request));
    // The keeper permitted the value for one host.
    vlt_result result = strcmp(request.host, work->host) == 0
                            ? call_begin(rotator->call, &request, work->value, done[step], work)
                            : vlt_fail(VLT_DENIED, "a recipe sends one value to two hosts");
    recipe_request_done(&request);
    return result;
}

void work_call(struct work *work, enum recipe_step step) {
    struct fault fault = {0};
    vlt_result result = begin(work, step, &fault);
    if (!vlt_is_ok(result))
        work_report(work, JOB_FAILED, NULL, fault_or_reason(&fault, result));
}
