// SPDX-License-Identifier: Apache-2.0
#include "cli/listing.h"

#include <stdlib.h>
#include <time.h>

#define PAGE "200"

static int page_fetch(struct command *command, const char *format, const char *part,
                      const char *after, json_t **ret_page) {
    struct buf path;
    buf_init(&path, 2048);
    for (const char *c = format; *c; c++) {
        if (c[0] == '%' && c[1] == 's') {
            vault_put_segment(&path, part);
            c++;
        } else {
            buf_put_byte(&path, (uint8_t)*c);
        }
    }
    buf_put_text(&path, "?limit=" PAGE);
    if (after) {
        buf_put_text(&path, "&after=");
        vault_put_segment(&path, after);
    }
    int status = EXIT_FAILED;
    const struct vault_call call = {.method = "GET", .path = buf_text(&path)};
    if (call.path)
        status = command_call(command, &call, ret_page);
    buf_done(&path);
    return status;
}

int listing_fetch(struct command *command, const char *format, const char *part,
                  json_t **ret_items) {
    json_t *items = json_array(), *page = NULL;
    char *after = NULL;
    int status;
    for (;;) {
        status = page_fetch(command, format, part, after, &page);
        if (status != EXIT_OK)
            break;
        json_array_extend(items, json_object_get(page, "items"));
        const char *next = json_string_value(json_object_get(page, "next"));
        free(after);
        after = next ? strdup(next) : NULL;
        json_decref(page);
        page = NULL;
        if (!after)
            break;
    }
    free(after);
    if (status == EXIT_OK)
        *ret_items = items;
    else
        json_decref(items);
    return status;
}

const char *member_text(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

const char *member_number(const json_t *object, const char *name, char room[CELL_SIZE]) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value))
        return "";
    snprintf(room, CELL_SIZE, "%lld", (long long)json_integer_value(value));
    return room;
}

const char *member_time(const json_t *object, const char *name, char room[CELL_SIZE]) {
    time_t at = (time_t)json_integer_value(json_object_get(object, name));
    struct tm broken;
    if (at <= 0 || !gmtime_r(&at, &broken) ||
        !strftime(room, CELL_SIZE, "%Y-%m-%d %H:%M:%SZ", &broken))
        return "";
    return room;
}

const char *member_list(const json_t *object, const char *name, char room[CELL_SIZE]) {
    const json_t *list = json_object_get(object, name);
    size_t used = 0;
    room[0] = 0;
    for (size_t i = 0; i < json_array_size(list) && used < CELL_SIZE; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        int put = snprintf(room + used, CELL_SIZE - used, "%s%s", i ? ", " : "", text ? text : "?");
        used += put > 0 ? (size_t)put : 0;
    }
    return room;
}

// "created_at" → "Created at"
static void title_of(const char *name, char title[64]) {
    snprintf(title, 64, "%s", name);
    for (char *c = title; *c; c++)
        if (*c == '_')
            *c = ' ';
    if (title[0] >= 'a' && title[0] <= 'z')
        title[0] = (char)(title[0] - 'a' + 'A');
}

static bool is_time(const char *name) {
    size_t size = strlen(name);
    return (size > 3 && !strcmp(name + size - 3, "_at")) || !strcmp(name, "previous_until") ||
           !strcmp(name, "since");
}

static bool is_empty(const json_t *value) {
    json_t *mutable = (json_t *)(uintptr_t)value; // see object_print_at
    const char *name;
    json_t *inner;
    json_object_foreach(mutable, name, inner) if (!is_empty(inner)) return false;
    return json_is_null(value) || json_is_object(value) ||
           (json_is_array(value) && !json_array_size(value)) ||
           (json_is_string(value) && !json_string_length(value));
}

// A value that fits on a line; the text is `room`, or the value's own.
static const char *value_text(const json_t *object, const char *name, const json_t *value,
                              char room[CELL_SIZE]) {
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_integer(value))
        return is_time(name) ? member_time(object, name, room) : member_number(object, name, room);
    if (json_is_boolean(value))
        return json_is_true(value) ? "yes" : "no";
    return json_is_array(value) ? member_list(object, name, room) : "";
}

// An object of a list: "name: state works, kind TPM 2.0, ...".
static void entry_print(const char *title, const json_t *entry) {
    json_t *mutable = (json_t *)(uintptr_t)entry; // see object_print_at
    char line[4 * CELL_SIZE] = "", room[CELL_SIZE];
    const char *name;
    json_t *value;
    size_t used = 0;
    json_object_foreach(mutable, name, value) {
        if (is_empty(value) || json_is_object(value) || used >= sizeof line)
            continue;
        const char *text = value_text(entry, name, value, room);
        bool is_first = used == 0;
        char words[64];
        snprintf(words, sizeof words, "%s", name);
        for (char *c = words; *c; c++)
            *c = *c == '_' ? ' ' : *c;
        // The first member names the entry.
        int put = is_first ? snprintf(line, sizeof line, "%s: ", text)
                           : snprintf(line + used, sizeof line - used, "%s %s, ", words, text);
        used += put > 0 ? (size_t)put : 0;
    }
    used = used < sizeof line ? used : sizeof line - 1;
    line[used >= 2 ? used - 2 : 0] = 0; // the last separator
    terminal_pair(title, line);
}

static void object_print_at(const json_t *object, const char *indent);

static void member_print(const json_t *object, const char *indent, const char *name,
                         const json_t *value) {
    char own[64], title[80], room[CELL_SIZE];
    title_of(name, own);
    snprintf(title, sizeof title, "%s%s", indent, own);
    if (json_is_object(value)) {
        printf("%s:\n", title);
        char deeper[16];
        snprintf(deeper, sizeof deeper, "%s  ", indent);
        object_print_at(value, deeper);
    } else if (json_is_array(value) && json_is_object(json_array_get(value, 0))) {
        for (size_t i = 0; i < json_array_size(value); i++)
            entry_print(title, json_array_get(value, i));
    } else {
        terminal_pair(title, value_text(object, name, value, room));
    }
}

static void object_print_at(const json_t *object, const char *indent) {
    // jansson's iterator takes a pointer to non-const but does not write to it.
    json_t *mutable = (json_t *)(uintptr_t)object;
    const char *name;
    json_t *value;
    json_object_foreach(mutable, name, value) if (!is_empty(value))
        member_print(object, indent, name, value);
}

void object_print(const json_t *object) {
    object_print_at(object, "");
}
