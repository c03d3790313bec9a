// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/hex.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/random.h"
#include "vaultd/log/log.h"
#include "vaultd/rotator/work_members.h"

#define HAND_IN_TRIES 240 // half a second each: a keeper that restarts is there again by then
#define HAND_IN_EACH_US 500000
#define MARK_NAME_BYTES 32

void work_free(struct work *work) {
    if (!work)
        return;
    if (work->retry)
        event_free(work->retry);
    recipe_free(work->program_recipe);
    json_decref(work->parameters);
    jwk_free(work->intake);
    secret_free(work->value);
    free(work->minted);
    free(work);
}

// What failed is offered again with the next tick, and not at once for ever.
static void end(struct work *work, bool goes_on) {
    struct rotator *rotator = work->rotator;
    rotator->work = NULL;
    work_free(work);
    if (goes_on || rotator->is_draining)
        rotator_look(rotator);
}

// ---- What became of it ----

static struct bytes ids_wire(const struct recipe_keys *ids, uint8_t *room, size_t capacity) {
    struct wire_writer w;
    wire_writer_init(&w, room, capacity);
    for (size_t i = 0; ids && i < ids->count; i++)
        wire_put_text(&w, ids->ids[i]);
    return bytes_of(room, w.failed ? 0 : w.size);
}

static void report_send(struct work *work, enum job_outcome outcome, const struct recipe_keys *ids,
                        const char *why, answer_job_report_fn *done) {
    uint8_t room[8192];
    char cut[257];
    snprintf(cut, sizeof cut, "%s", why ? why : "");
    const struct ask_job_report ask = {.tenant = work->tenant,
                                       .name = bytes_of_text(work->name),
                                       .revision = work->revision,
                                       .outcome = (uint8_t)outcome,
                                       .mark = bytes_of_text(work->mark),
                                       .ids = ids_wire(ids, room, sizeof room),
                                       .key_id = bytes_of_text(work->in_use_id),
                                       .why = bytes_of(cut, strlen(cut) < 256 ? strlen(cut) : 256)};
    ask_job_report(work->rotator->keeper, &ask, done, work);
}

static void reported(vlt_result result, const struct answer_job_report *answer, void *context) {
    struct work *work = context;
    // What is not recorded is offered again.
    if (!vlt_is_ok(result))
        log_warning("%s: the keeper does not take the outcome of a step: %s", work->name,
                    result.reason);
    end(work, vlt_is_ok(result));
}

void work_report(struct work *work, enum job_outcome outcome, const struct recipe_keys *ids,
                 const char *why) {
    report_send(work, outcome, ids, why, reported);
}

static void begun(vlt_result result, const struct answer_job_report *answer, void *context) {
    struct work *work = context;
    if (!vlt_is_ok(result)) {
        reported(result, answer, work);
        return;
    }
    work->revision = answer->revision;
    work->state = RECORD_ROTATION_MINTING;
    work_call(work, RECIPE_MINT);
}

void work_begun(struct work *work, const struct recipe_keys *ids) {
    uint8_t random[6];
    char hex[13];
    if (ids->count > RECORD_KNOWN_MAX) {
        work_report(work, JOB_FAILED, NULL, "the provider has too many keys to tell a new one");
        return;
    }
    if (!vlt_is_ok(random_bytes(random, sizeof random))) {
        work_report(work, JOB_FAILED, NULL, "no random bytes");
        return;
    }
    hex_encode(bytes_of(random, sizeof random), hex);
    snprintf(work->mark, sizeof work->mark, "vaultd-%.*s-%s", MARK_NAME_BYTES, work->name, hex);
    report_send(work, JOB_BEGUN, ids, NULL, begun);
}

// ---- The new value goes to the keeper ----

static void handed_in(vlt_result result, const struct answer_job_minted *answer, void *context) {
    static const struct timeval wait = {0, HAND_IN_EACH_US};
    struct work *work = context;
    if (vlt_is_ok(result)) {
        end(work, true);
    } else if (result.class == VLT_UNAVAILABLE && ++work->tries < HAND_IN_TRIES &&
               event_add(work->retry, &wait) == 0) {
        log_notice("%s: the keeper does not take the new key yet: %s", work->name, result.reason);
    } else if (result.class == VLT_UNAVAILABLE) {
        // What nobody has is looked for when the step is offered again.
        log_warning("%s: the new key is given up: %s", work->name, result.reason);
        end(work, false);
    } else { // nobody wants it any more: plan or credential are gone
        log_warning("%s: the new key is revoked: %s", work->name, result.reason);
        work->state = RECORD_ROTATION_CLEANING;
        work_call(work, RECIPE_REVOKE);
    }
}

static void hand_in_again(evutil_socket_t fd, short what, void *context) {
    work_hand_in(context);
}

void work_hand_in(struct work *work) {
    const struct jwe_intake_fields *jwe = work->minted;
    struct ask_job_minted ask = {.tenant = work->tenant,
                                 .name = bytes_of_text(work->name),
                                 .revision = work->revision,
                                 .key_id = bytes_of_text(work->key_id),
                                 .intake_kid = bytes_of_text(jwe->kid),
                                 .jwe_header = bytes_of(jwe->aad, jwe->aad_bytes),
                                 .ciphertext = bytes_of(jwe->ciphertext, jwe->ciphertext_bytes)};
    memcpy(ask.epk_x, jwe->epk_x, sizeof ask.epk_x);
    memcpy(ask.epk_y, jwe->epk_y, sizeof ask.epk_y);
    memcpy(ask.iv, jwe->iv, sizeof ask.iv);
    memcpy(ask.tag, jwe->tag, sizeof ask.tag);
    ask_job_minted(work->rotator->keeper, &ask, handed_in, work);
}

// ---- The beginning ----

static enum recipe_step first_step(const struct work *work) {
    switch (work->state) {
    case RECORD_ROTATION_ORDERED:
    case RECORD_ROTATION_MINTING:
        return recipe_has_step(work->recipe, RECIPE_LIST) ? RECIPE_LIST : RECIPE_MINT;
    case RECORD_ROTATION_STAGED:
        return RECIPE_VERIFY;
    default:
        return RECIPE_REVOKE;
    }
}

static void go(struct work *work) {
    static const struct recipe_keys none;
    bool lists = recipe_has_step(work->recipe, RECIPE_LIST);
    if (work->state == RECORD_ROTATION_ORDERED && !lists)
        work_begun(work, &none);
    else if (work->state == RECORD_ROTATION_MINTING && !lists)
        work_report(work, JOB_CLEANED, NULL,
                    "the provider lists no keys: one of this name may be there that nobody has, "
                    "look for it and revoke it");
    else
        work_call(work, first_step(work));
}

static void opened(vlt_result result, const struct answer_job_open *answer, void *context) {
    struct work *work = context;
    if (vlt_is_ok(result))
        result = secret_set(work->value, answer->value.at, answer->value.size);
    if (vlt_is_ok(result) && work->state == RECORD_ROTATION_ORDERED) {
        result = recipe_read_id(work->recipe,
                                bytes_of(secret_borrow(work->value), secret_size(work->value)),
                                work->in_use_id);
        secret_release(work->value);
    }
    if (vlt_is_ok(result))
        go(work);
    else if (result.class == VLT_CONFLICT || result.class == VLT_UNAVAILABLE)
        reported(result, NULL, work);
    else
        work_report(work, JOB_FAILED, NULL, result.reason);
}

static vlt_result take_recipe(struct work *work, struct bytes name, struct fault *fault) {
    char text[RECORD_RECIPE_MAX + 1];
    if (!bytes_to_text(name, text, sizeof text))
        return vlt_fail(VLT_MALFORMED, "the name of the recipe is not one");
    if (strncmp(text, "exec:", 5) == 0) {
        VLT_TRY(recipe_of_program(text + 5, &work->program_recipe));
        work->recipe = work->program_recipe;
        return vlt_ok();
    }
    work->recipe = recipe_find(work->rotator->recipes, text);
    return work->recipe ? recipe_check_parameters(work->recipe, work->parameters, fault)
                        : fault_set(fault, VLT_NOT_FOUND, "no such recipe",
                                    "there is no recipe \"%s\" in the folder of recipes", text);
}

static vlt_result take_known(struct work *work, struct bytes known) {
    struct wire_reader r;
    wire_reader_init(&r, known);
    while (r.next < r.size && !r.failed && work->known.count < RECIPE_IDS_MAX)
        wire_get_text(&r, work->known.ids[work->known.count++], sizeof *work->known.ids);
    return wire_reader_end(&r);
}

static vlt_result take(struct work *work, const struct answer_job_next *next,
                       struct fault *fault) {
    json_t *jwk = NULL;
    VLT_TRY(jsontext_parse(next->parameters, &jsontext_token_limits, fault, &work->parameters));
    VLT_TRY(take_recipe(work, next->recipe, fault));
    VLT_TRY(take_known(work, next->known));
    if (!bytes_to_text(next->mark, work->mark, sizeof work->mark) ||
        !bytes_to_text(next->key_id, work->key_id, sizeof work->key_id))
        return vlt_fail(VLT_MALFORMED, "the keeper sent no text");
    VLT_TRY(jsontext_parse(next->intake, &jsontext_token_limits, fault, &jwk));
    vlt_result result = jwk_parse_json(jwk, 0, fault, &work->intake);
    json_decref(jwk);
    VLT_TRY(result);
    return work_host(work, first_step(work), fault);
}

void work_begin(struct rotator *rotator, const struct answer_job_next *next) {
    struct fault fault = {0};
    struct work *work = calloc(1, sizeof *work);
    if (!work || !bytes_to_text(next->name, work->name, sizeof work->name)) {
        free(work);
        return; // the next look begins it again
    }
    rotator->work = work;
    work->rotator = rotator;
    work->state = (enum record_rotation_state)next->state;
    work->tenant = next->tenant;
    work->revision = next->revision;
    work->value = secret_new(RECIPE_VALUE_MAX);
    work->minted = calloc(1, sizeof *work->minted);
    work->retry = evtimer_new(role_base(rotator->role), hand_in_again, work);
    vlt_result result = work->value && work->minted && work->retry
                            ? take(work, next, &fault)
                            : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result)) {
        work_report(work, JOB_FAILED, NULL, fault_or_reason(&fault, result));
        return;
    }
    log_info("%s: %s", work->name, record_rotation_state_name(work->state));
    const struct ask_job_open ask = {.tenant = work->tenant,
                                     .name = bytes_of_text(work->name),
                                     .revision = work->revision,
                                     .host = bytes_of_text(work->host)};
    ask_job_open(rotator->keeper, &ask, opened, work);
}
