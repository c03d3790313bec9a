// SPDX-License-Identifier: Apache-2.0
// What a person reads: texts that came from elsewhere without control
// characters, tables in aligned columns, prompts without echo.
#ifndef VLT_CLI_TERMINAL_H
#define VLT_CLI_TERMINAL_H

#include <stdio.h>

#include "libvault/base/buf.h"
#include "libvault/secret/secret.h"

// Writes text; a byte that could steer a terminal, or is not UTF-8, becomes '?'.
void terminal_put(FILE *out, const char *text);
// Columns that text occupies (wide characters count two).
size_t terminal_width(const char *text);
// Bold where standard output is a terminal and NO_COLOR is not set.
void terminal_heading(FILE *out, const char *text);

#define TABLE_COLUMNS_MAX 8
struct table {
    size_t column_count, row_count, capacity;
    char **cells; // row by row, the heading first
};
// Headings end with NULL. Rows take as many texts as there are columns; NULL is
// shown as "-". Failure of memory loses rows and is told by table_print.
void table_init(struct table *table, const char *const *headings);
void table_row(struct table *table, const char *const *cells);
// Prints and frees. `nothing` is said when there is no row. false: no memory.
bool table_print(struct table *table, const char *nothing);

// "Name:   value" lines, aligned; value NULL leaves the line out.
void terminal_pair(const char *name, const char *value);

// Whether there is somebody to ask: a program that nobody sits at has no terminal.
bool terminal_exists(void);
// Reads one line from the terminal without echo, into secret memory.
// VLT_UNAVAILABLE when there is no terminal.
vlt_result terminal_read_secret(const char *prompt, struct secret *secret,
                                struct fault *fault) VLT_MUST_USE;
// Reads standard input or a file to its end, without one final line end.
vlt_result file_read_secret(const char *path, struct secret *secret,
                            struct fault *fault) VLT_MUST_USE; // "-": standard input
// Says on standard error when everybody on the machine may read or write that file, which
// holds a private key or a share of one. `name`: of the option that names it.
void file_warn_if_open(const char *name, const char *path);
vlt_result file_read(const char *path, size_t max_bytes, struct buf *out,
                     struct fault *fault) VLT_MUST_USE;

#endif
