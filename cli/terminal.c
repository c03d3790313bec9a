// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <stdlib.h>
#include <unistd.h>
#include <wchar.h>

// Decodes one character; a byte that is not UTF-8 counts as U+FFFD of size 1.
static wchar_t character(const char *text, size_t *ret_size) {
    const unsigned char *c = (const unsigned char *)text;
    size_t size = c[0] < 0x80 ? 1 : c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : c[0] >= 0xc0 ? 2 : 1;
    size_t there = strnlen(text, size);
    *ret_size = 1;
    if (there < size || !bytes_is_utf8(bytes_of(text, size), NULL))
        return 0xfffd;
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    wchar_t value = c[0] & masks[size];
    for (size_t i = 1; i < size; i++)
        value = (value << 6) | (c[i] & 0x3f);
    *ret_size = size;
    return value;
}

// Control characters, and those that reorder a line so that it reads otherwise.
static bool is_steering(wchar_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfffd;
}

void terminal_put(FILE *out, const char *text) {
    while (*text) {
        size_t size;
        wchar_t c = character(text, &size);
        if (is_steering(c))
            fputc('?', out);
        else
            fwrite(text, 1, size, out);
        text += size;
    }
}

size_t terminal_width(const char *text) {
    size_t width = 0;
    while (*text) {
        size_t size;
        wchar_t c = character(text, &size);
        int columns = is_steering(c) ? 1 : wcwidth(c);
        width += columns < 0 ? 1 : (size_t)columns; // -1: the C locale knows no such character
        text += size;
    }
    return width;
}

// https://no-color.org: when it is there and not empty.
static bool is_colourful(FILE *out) {
    const char *no_colour = getenv("NO_COLOR");
    return isatty(fileno(out)) && !(no_colour && no_colour[0]);
}

void terminal_heading(FILE *out, const char *text) {
    bool bold = is_colourful(out);
    if (bold)
        fputs("\033[1m", out);
    terminal_put(out, text);
    if (bold)
        fputs("\033[0m", out);
}

void terminal_pair(const char *name, const char *value) {
    if (!value)
        return;
    int pad = 20 - (int)terminal_width(name);
    printf("%s:%*s", name, pad > 0 ? pad : 1, "");
    terminal_put(stdout, value);
    putchar('\n');
}

// ---- Tables ----

void table_init(struct table *table, const char *const *headings) {
    *table = (struct table){0};
    while (headings[table->column_count])
        table->column_count++;
    table_row(table, headings);
}

void table_row(struct table *table, const char *const *cells) {
    size_t columns = table->column_count, used = table->row_count * columns;
    if (used + columns > table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : 16 * columns;
        char **longer = realloc(table->cells, capacity * sizeof *longer);
        if (!longer)
            return;
        table->cells = longer;
        table->capacity = capacity;
    }
    for (size_t i = 0; i < columns; i++)
        table->cells[used + i] = strdup(cells[i] && cells[i][0] ? cells[i] : "-");
    table->row_count++;
}

static void row_print(const struct table *table, size_t row, const size_t *widths) {
    for (size_t i = 0; i < table->column_count; i++) {
        const char *cell = table->cells[row * table->column_count + i];
        if (!cell)
            cell = "?";
        if (row == 0)
            terminal_heading(stdout, cell);
        else
            terminal_put(stdout, cell);
        if (i + 1 < table->column_count)
            printf("%*s", (int)(widths[i] - terminal_width(cell) + 2), "");
    }
    putchar('\n');
}

bool table_print(struct table *table, const char *nothing) {
    size_t widths[TABLE_COLUMNS_MAX] = {0}, count = table->row_count * table->column_count;
    bool is_whole = table->row_count > 0;
    for (size_t i = 0; i < count; i++) {
        size_t width = table->cells[i] ? terminal_width(table->cells[i]) : 1;
        is_whole = is_whole && table->cells[i];
        if (width > widths[i % table->column_count])
            widths[i % table->column_count] = width;
    }
    if (table->row_count > 1)
        for (size_t row = 0; row < table->row_count; row++)
            row_print(table, row, widths);
    else
        printf("%s\n", nothing);
    for (size_t i = 0; i < count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
    return is_whole;
}
