// SPDX-License-Identifier: Apache-2.0
// What a rotation of signing or intake keys looks like to people.
#include "vaultd/keeper/rotate_key.h"

static json_t *row_json(const struct keeper *keeper, const struct rotate_key_row *row) {
    const struct record_key *record = &row->record;
    json_t *json = json_pack("{s:s, s:I, s:I}", "key", record->kid, "created_at",
                             (json_int_t)record->created_at, "revision", (json_int_t)row->revision);
    if (json && record->state == RECORD_KEY_NEXT)
        json_object_set_new(json, "promotes_at",
                            json_integer(record->created_at + keeper->settings.publication_s));
    if (json && record->state == RECORD_KEY_RETIRED)
        json_object_set_new(json, "destroyed_at", json_integer(record->keep_until));
    return json;
}

json_t *rotate_key_describe(struct keeper *keeper, enum rotation_kind kind) {
    struct rotate_key_set set;
    vlt_result result = rotate_key_set_snapshot(keeper, rotate_key_use(kind), &set);
    json_t *retired = json_array();
    for (size_t i = 0; i < set.count; i++)
        if (set.rows[i].record.state == RECORD_KEY_RETIRED)
            json_array_append_new(retired, row_json(keeper, &set.rows[i]));
    json_t *json = NULL;
    if (vlt_is_ok(result))
        json = json_pack("{s:s, s:b, s:s, s:o, s:O}", "kind", rotation_kind_name(kind),
                         "is_under_way", set.next != NULL, "state",
                         set.next                       ? "published"
                         : json_array_size(retired) > 0 ? "overlapping"
                                                        : "steady",
                         "active", row_json(keeper, set.active), "retired", retired);
    if (json && set.next)
        json_object_set_new(json, "next", row_json(keeper, set.next));
    json_decref(retired);
    rotate_key_set_done(&set);
    return json;
}
