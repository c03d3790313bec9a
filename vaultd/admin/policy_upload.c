// SPDX-License-Identifier: Apache-2.0
#include "vaultd/admin/policy_upload.h"

#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/base/clock.h"
#include "libvault/base/hex.h"
#include "libvault/crypto/digest.h"
#include "vaultd/admin/refusal.h"

#define COMMIT_MAX_BYTES 118000 // of ask_commit.changes, with room for the fields around
#define CHANGE_HEAD_MAX 128     // of one change without its value
#define VERSION_NAME_BYTES 8

struct policy_upload *policy_upload_new(void) { return calloc(1, sizeof(struct policy_upload)); }

void policy_upload_free(struct policy_upload *upload) {
    if (upload)
        json_decref(upload->body);
    free(upload);
}

static void more_free(void *more) { policy_upload_free(more); }

static vlt_result hashes_fill(struct policy_upload *upload) {
    for (size_t i = 0; i < upload->set.document_count; i++) {
        uint8_t digest[DIGEST_SHA256_SIZE];
        VLT_TRY(digest_sha256(upload->texts[i], digest));
        hex_encode(bytes_of(digest, sizeof digest), upload->set.documents[i].sha256);
    }
    return record_policy_set_seal(&upload->set);
}

// What is in force, and which texts the store has.
static vlt_result present_read(struct store *store, uint32_t tenant, struct policy_upload *upload) {
    struct bytes value;
    upload->set.version = 1;
    vlt_result result = store_get(store, tenant, STORE_POLICY_SET, bytes_of_text(POLICY_ACTIVE),
                                  &value, &upload->active_revision);
    if (vlt_is_ok(result)) {
        struct record_policy_set active;
        VLT_TRY(record_policy_set_parse(value, NULL, &active));
        upload->set.version = active.version + 1;
    } else if (result.class != VLT_NOT_FOUND) {
        return result;
    }
    for (size_t i = 0; i < upload->set.document_count; i++)
        upload->is_stored[i] =
            vlt_is_ok(store_get(store, tenant, STORE_POLICY_TEXT,
                                bytes_of_text(upload->set.documents[i].sha256), &value, NULL));
    return vlt_ok();
}

// Which of the texts are still to be sent fit into `room_bytes`; adds changes.
static size_t texts_put(struct admin_work *work, struct store_change *changes, size_t count,
                        size_t *room_bytes) {
    struct policy_upload *upload = work->more;
    while (upload->next < upload->set.document_count && count < STORE_CHANGES_MAX - 2) {
        size_t i = upload->next, need = upload->texts[i].size + CHANGE_HEAD_MAX;
        if (!upload->is_stored[i] && need > *room_bytes)
            break;
        upload->next++;
        if (upload->is_stored[i])
            continue;
        // Two documents may have the same text: it is written once.
        for (size_t j = i + 1; j < upload->set.document_count; j++)
            if (!strcmp(upload->set.documents[j].sha256, upload->set.documents[i].sha256))
                upload->is_stored[j] = true;
        changes[count++] = (struct store_change){
            .tenant = work->tenant,
            .class = STORE_POLICY_TEXT,
            .name = bytes_of_text(upload->set.documents[i].sha256),
            .value = upload->texts[i],
            .expected_revision = STORE_ANY_REVISION,
        };
        *room_bytes -= need;
    }
    return count;
}

static void upload_step(struct admin_work *work);

static void texts_stored(vlt_result result, const struct answer_commit *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result)) {
        refusal_untold(work->x); // that was recorded; what comes next is not yet
        upload_step(work);
    } else {
        work_fail(work, result);
    }
}

static void texts_commit(struct admin_work *work, const struct store_change *changes,
                         size_t count) {
    uint8_t *room = malloc(CHANNEL_FRAME_MAX);
    if (!room) {
        answer_problem(work->x, 503, NULL, "the admin role is out of memory: try again");
        work_free(work);
        return;
    }
    struct wire_writer w;
    wire_writer_init(&w, room, CHANNEL_FRAME_MAX);
    for (size_t i = 0; i < count; i++)
        store_change_put(&w, &changes[i]);
    work->operation = "policy.store";
    const struct ask_commit ask = {.changes = bytes_of(room, w.size),
                                   .event = work_event(work, AUDIT_ALLOW, NULL)};
    ask_commit(work->admin->keeper, &ask, texts_stored, work);
    free(room);
}

// Sends as many texts as fit; when all that is left fits beside the set itself,
// the set goes with them and is in force.
static void upload_step(struct admin_work *work) {
    struct policy_upload *upload = work->more;
    struct store_change changes[STORE_CHANGES_MAX];
    char *text = json_dumps(work->reply, JSON_COMPACT);
    if (!text) {
        answer_problem(work->x, 503, NULL, "the admin role is out of memory: try again");
        work_free(work);
        return;
    }
    size_t set_bytes = 2 * (strlen(text) + CHANGE_HEAD_MAX), room_bytes = COMMIT_MAX_BYTES;
    size_t count = texts_put(work, changes, 0, &room_bytes);
    if (upload->next < upload->set.document_count || room_bytes < set_bytes) {
        texts_commit(work, changes, count);
        free(text);
        return;
    }
    uint8_t version[VERSION_NAME_BYTES];
    struct wire_writer w;
    wire_writer_init(&w, version, sizeof version);
    wire_put_u64(&w, upload->set.version);
    changes[count++] = (struct store_change){.tenant = work->tenant,
                                             .class = STORE_POLICY_SET,
                                             .name = bytes_of(version, sizeof version),
                                             .value = bytes_of_text(text)};
    changes[count++] = (struct store_change){.tenant = work->tenant,
                                             .class = STORE_POLICY_SET,
                                             .name = bytes_of_text(POLICY_ACTIVE),
                                             .value = bytes_of_text(text),
                                             .expected_revision = upload->active_revision};
    work->operation = "policy.activate";
    b64u_encode_text(bytes_of(upload->set.hash, sizeof upload->set.hash), work->policy_set);
    work_commit(work, changes, count);
    free(text);
}

void policy_upload_start(struct admin *admin, struct http_exchange *x, struct store *store,
                         const struct record_tenant *tenant, struct policy_upload *upload,
                         uint64_t if_match) {
    vlt_result result = hashes_fill(upload);
    if (vlt_is_ok(result))
        result = present_read(store, tenant->number, upload);
    store_snapshot_end(store);
    struct admin_work *work = vlt_is_ok(result) ? work_new(admin, x, "policy.activate") : NULL;
    if (!vlt_is_ok(result))
        answer_failure(x, result, NULL, NULL);
    if (!work) {
        policy_upload_free(upload);
        return;
    }
    work->more = upload;
    work->more_free = more_free;
    uint64_t present = upload->set.version - 1;
    bool is_stale = upload->expected_version >= 0 && (uint64_t)upload->expected_version != present;
    if (is_stale || (if_match && if_match != upload->active_revision)) {
        answer_problem(x, is_stale ? 409 : 412, is_stale ? "expected_version" : "If-Match",
                       "version %llu is in force: read it again and repeat",
                       (unsigned long long)present);
        work_free(work);
        return;
    }
    char subject[64];
    snprintf(subject, sizeof subject, "version %llu", (unsigned long long)upload->set.version);
    work_set_tenant(work, tenant);
    work_set_subject(work, subject);
    upload->set.activated_at = clock_now_s();
    snprintf(upload->set.activated_by, sizeof upload->set.activated_by, "%.255s",
             work->caller.name);
    work->reply = record_policy_set_json(&upload->set);
    if (work->reply)
        upload_step(work);
    else
        work_fail(work, vlt_fail(VLT_BUG, "the policy set can not be written"));
}
