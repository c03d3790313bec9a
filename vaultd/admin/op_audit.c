// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

#define COUNT_DEFAULT 50
#define COUNT_MAX 1000

// Lines of JSON become one array. The auditor wrote them, so they are checked
// like any foreign text: a line that is not JSON is left out and counted.
static json_t *entries_of(struct bytes lines, unsigned *ret_damaged) {
    json_t *entries = json_array();
    unsigned damaged = 0;
    while (entries && lines.size) {
        size_t end = bytes_find(lines, '\n');
        json_t *entry = NULL;
        struct bytes line = bytes_of(lines.at, end);
        if (line.size && vlt_is_ok(jsontext_parse(line, &jsontext_document_limits, NULL, &entry)))
            json_array_append_new(entries, entry);
        else if (line.size)
            damaged++;
        lines = bytes_from(lines, end + 1);
    }
    *ret_damaged = damaged;
    return entries;
}

static void entries_known(vlt_result result, const struct answer_read *answer, void *context) {
    struct admin_work *work = context;
    if (!vlt_is_ok(result)) {
        const char *text = work->admin->auditor
                               ? result.reason
                               : "the auditor does not answer: it may be restarting";
        answer_problem(work->x, answer_status(result.class), NULL, "%s", text);
        work_free(work);
        return;
    }
    unsigned damaged = 0;
    json_t *entries = entries_of(answer->entries, &damaged);
    json_t *body = entries ? json_pack("{s:o,s:I}", "entries", entries, "next",
                                       (json_int_t)answer->next)
                           : NULL;
    if (body && damaged)
        json_object_set_new(body, "damaged", json_integer(damaged));
    answer_json(work->x, 200, body, 0);
    work_free(work);
}

OP(op_audit_read) {
    struct admin *admin = ctx;
    static const char *const names[] = {"first", "count", "tenant", NULL};
    char texts[3][QUERY_TEXT_SIZE];
    struct body query = {0};
    query_read(&query, http_exchange_request(x), names, texts);
    uint64_t first = query_number(&query, "first", texts[0], INT64_MAX, UINT64_MAX);
    uint64_t count = query_number(&query, "count", texts[1], COUNT_MAX, COUNT_DEFAULT);
    if (!query.status && count == 0)
        body_refuse(&query, 400, "count", "\"count\" must be from 1 to %d", COUNT_MAX);
    if (texts[2][0] && !record_name_is_valid(bytes_of_text(texts[2])))
        body_refuse(&query, 400, "tenant", "\"tenant\" is not the name of a tenant");
    if (body_refused(&query, x))
        return;
    struct admin_work *work = work_new(admin, x, "audit.read");
    if (!work)
        return;
    const struct ask_read ask = {
        .first = first, .count = (uint32_t)count, .tenant = bytes_of_text(texts[2])};
    ask_read(admin->auditor, &ask, entries_known, work);
}
