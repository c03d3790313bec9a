// SPDX-License-Identifier: Apache-2.0
// Two configurations side by side, key by key of the schema.
#include "vaultd/supervisor/config_internal.h"

static bool value_is_same(const cyaml_schema_value_t *value, const uint8_t *one,
                          const uint8_t *other);

static const uint8_t *pointer_at(const uint8_t *at) {
    const uint8_t *pointer;
    memcpy(&pointer, at, sizeof pointer);
    return pointer;
}

static unsigned count_at(const uint8_t *at) { // of TEXTS and more_devices
    unsigned count;
    memcpy(&count, at, sizeof count);
    return count;
}

static bool list_is_same(const cyaml_schema_field_t *field, const uint8_t *one,
                         const uint8_t *other) {
    const cyaml_schema_value_t *entry = field->value.sequence.entry;
    const uint8_t *ones = pointer_at(one + field->data_offset),
                  *others = pointer_at(other + field->data_offset);
    unsigned count = count_at(one + field->count_offset);
    size_t step = entry->flags & CYAML_FLAG_POINTER ? sizeof(char *) : entry->data_size;
    if (count != count_at(other + field->count_offset))
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!value_is_same(entry, ones + i * step, others + i * step))
            return false;
    return true;
}

static bool field_is_same(const cyaml_schema_field_t *field, const uint8_t *one,
                          const uint8_t *other) {
    return field->value.type == CYAML_SEQUENCE
               ? list_is_same(field, one, other)
               : value_is_same(&field->value, one + field->data_offset,
                               other + field->data_offset);
}

static bool value_is_same(const cyaml_schema_value_t *value, const uint8_t *one,
                          const uint8_t *other) {
    if (value->type == CYAML_STRING)
        return strcmp((const char *)pointer_at(one), (const char *)pointer_at(other)) == 0;
    if (value->type != CYAML_MAPPING)
        return bytes_equal(bytes_of(one, value->data_size), bytes_of(other, value->data_size));
    for (const cyaml_schema_field_t *field = value->mapping.fields; field->key; field++)
        if (!field_is_same(field, one, other))
            return false;
    return true;
}

static void put_changes(const cyaml_schema_field_t *fields, const char *section,
                        const uint8_t *now, const uint8_t *before, struct buf *text) {
    for (const cyaml_schema_field_t *field = fields; field->key; field++)
        if (field->value.type == CYAML_MAPPING)
            put_changes(field->value.mapping.fields, field->key, now + field->data_offset,
                        before + field->data_offset, text);
        else if (!field_is_same(field, now, before))
            buf_put_format(text, "%s%s%s%s", text->size ? ", " : "", section,
                           section[0] ? "." : "", field->key);
}

void config_changes(const struct config *now, const struct config *before, struct buf *text) {
    put_changes(config_fields, "", (const uint8_t *)now, (const uint8_t *)before, text);
}
