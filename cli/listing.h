// SPDX-License-Identifier: Apache-2.0
// Lists of the Admin API, all pages of them, and their cells for a table.
#ifndef VLT_CLI_LISTING_H
#define VLT_CLI_LISTING_H

#include "cli/command.h"
#include "cli/terminal.h"

// Fetches every page of "/v1/tenants/%s/credentials" and the like; the caller
// owns *ret_items (an array). `part` fills the %s of format; NULL when there is none.
int listing_fetch(struct command *command, const char *format, const char *part,
                  json_t **ret_items);

// The text of a member, "" when it is absent or not a text.
const char *member_text(const json_t *object, const char *name);
// Cell texts; each uses the caller's room.
#define CELL_SIZE 256
const char *member_number(const json_t *object, const char *name, char room[CELL_SIZE]);
const char *member_time(const json_t *object, const char *name, char room[CELL_SIZE]); // UTC
const char *member_list(const json_t *object, const char *name, char room[CELL_SIZE]);

// Prints any object as "Name: value" lines, those of an object inside indented below its
// name, and each object of a list on a line; what is empty is left out.
void object_print(const json_t *object);

#endif
