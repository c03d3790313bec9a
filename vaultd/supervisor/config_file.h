// SPDX-License-Identifier: Apache-2.0
// The text of a configuration file, so that a fault can name the very line. It is
// read once: what was checked is what cyaml loads.
//
// Used by config.c only. Nothing here is secret: the file names files.
#ifndef VLT_SUPERVISOR_CONFIG_FILE_H
#define VLT_SUPERVISOR_CONFIG_FILE_H

#include <cyaml/cyaml.h>

#include "libvault/base/bytes.h"
#include "libvault/base/fault.h"

#define CONFIG_FILE_MAX_BYTES 65536

struct config_file;
// VLT_NOT_FOUND: the file can not be read. VLT_LIMIT: it is too large.
// VLT_MALFORMED: not one YAML document that is a mapping.
vlt_result config_file_open(const char *path, struct fault *fault,
                            struct config_file **ret_file) VLT_MUST_USE;
void config_file_close(struct config_file *file);
struct bytes config_file_text(const struct config_file *file);
// VLT_MALFORMED: a key that is not in `fields`, a key twice, a value of the wrong
// type or outside the limits of its field. Numbers begin at 1.
vlt_result config_file_check(const struct config_file *file, const cyaml_schema_field_t *fields,
                             struct fault *fault) VLT_MUST_USE;
// VLT_MALFORMED with "FILE, line N: KEY: WHY"; without the line when the file does
// not have the key. `key` is dotted: "broker.workers".
vlt_result config_file_refuse(const struct config_file *file, const char *key, const char *why,
                              struct fault *fault) VLT_MUST_USE;

#endif
