// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#define KEY_SIZE 128

struct config_file {
    const char *path; // borrowed
    uint8_t *text;
    size_t size;
    yaml_document_t document;
    bool has_document;
};

struct bytes config_file_text(const struct config_file *file) {
    return bytes_of(file->text, file->size);
}

// ---- Nodes ----

static yaml_node_t *node_of(const struct config_file *file, int number) {
    // libyaml only reads the document here; it does not say so in its types.
    return yaml_document_get_node((yaml_document_t *)(uintptr_t)&file->document, number);
}

static const char *text_of(const yaml_node_t *node) {
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
}

// A key of a mapping, or NULL.
static const yaml_node_t *find_key(const struct config_file *file, const yaml_node_t *mapping,
                                   const char *name, size_t name_size,
                                   const yaml_node_t **ret_value) {
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = node_of(file, pair->key);
        if (strlen(text_of(key)) != name_size || strncmp(text_of(key), name, name_size) != 0)
            continue;
        *ret_value = node_of(file, pair->value);
        return key;
    }
    return NULL;
}

static unsigned line_of(const yaml_node_t *node) { return (unsigned)node->start_mark.line + 1; }

static unsigned find_line(const struct config_file *file, const char *key) {
    const yaml_node_t *node = file->has_document ? node_of(file, 1) : NULL,
                      *found = NULL; // 1: the root
    for (const char *at = key; node && node->type == YAML_MAPPING_NODE;) {
        size_t size = strcspn(at, ".");
        found = find_key(file, node, at, size, &node);
        if (!found || !at[size])
            return found ? line_of(found) : 0;
        at += size + 1;
    }
    return 0;
}

// ---- Faults ----

static vlt_result refuse_at(const struct config_file *file, unsigned line, const char *key,
                            const char *why, struct fault *fault) {
    const char *colon = key[0] ? ": " : "";
    if (fault)
        fault->line = line;
    if (line)
        return fault_set(fault, VLT_MALFORMED, "the configuration is not acceptable",
                         "%s, line %u: %.100s%s%s", file->path, line, key, colon, why);
    return fault_set(fault, VLT_MALFORMED, "the configuration is not acceptable", "%s: %.100s%s%s",
                     file->path, key, colon, why);
}

vlt_result config_file_refuse(const struct config_file *file, const char *key, const char *why,
                              struct fault *fault) {
    return refuse_at(file, find_line(file, key), key, why, fault);
}

// ---- Open ----

static const char *advice(int error) {
    switch (error) {
    case EACCES:
        return "start vaultd as root, or as a user who may read it";
    case ENOENT:
        return "copy deploy/vaultd.conf there or give another path with --config";
    default:
        return "give the path of a file with --config";
    }
}

static vlt_result read_text(struct config_file *file, struct fault *fault) {
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    ssize_t size = -1;
    if (fd >= 0 && fstat(fd, &status) == 0 && !S_ISREG(status.st_mode))
        errno = EISDIR;
    else if (fd >= 0)
        size = read(fd, file->text, CONFIG_FILE_MAX_BYTES + 1);
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (size < 0)
        return fault_set(fault, VLT_NOT_FOUND, "the configuration can not be read",
                         "%s can not be read: %s; %s", file->path, strerror(error),
                         advice(error));
    if (size > CONFIG_FILE_MAX_BYTES)
        return fault_set(fault, VLT_LIMIT, "the configuration is too large",
                         "%s has more than %d bytes", file->path, CONFIG_FILE_MAX_BYTES);
    file->size = (size_t)size;
    return vlt_ok();
}

static vlt_result read_documents(struct config_file *file, yaml_parser_t *parser,
                                 struct fault *fault) {
    yaml_document_t second;
    if (!yaml_parser_load(parser, &file->document))
        return refuse_at(file, (unsigned)parser->problem_mark.line + 1, "",
                         parser->problem ? parser->problem : "not YAML", fault);
    file->has_document = true;
    const yaml_node_t *root = node_of(file, 1);
    if (!root || root->type != YAML_MAPPING_NODE)
        return refuse_at(file, root ? line_of(root) : 0, "",
                         root ? "must be keys with values, `issuer: https://…` first of all"
                              : "the file is empty; deploy/vaultd.conf shows every key",
                         fault);
    if (!yaml_parser_load(parser, &second))
        return refuse_at(file, (unsigned)parser->problem_mark.line + 1, "",
                         parser->problem ? parser->problem : "not YAML", fault);
    root = yaml_document_get_root_node(&second);
    vlt_result result = root ? refuse_at(file, (unsigned)second.start_mark.line + 1, "",
                                         "a second YAML document; the file must hold one", fault)
                             : vlt_ok();
    yaml_document_delete(&second);
    return result;
}

static vlt_result open_all(struct config_file *file, struct fault *fault) {
    yaml_parser_t parser;
    VLT_TRY(read_text(file, fault));
    if (!yaml_parser_initialize(&parser))
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    yaml_parser_set_input_string(&parser, file->text, file->size);
    vlt_result result = read_documents(file, &parser, fault);
    yaml_parser_delete(&parser);
    return result;
}

vlt_result config_file_open(const char *path, struct fault *fault, struct config_file **ret_file) {
    struct config_file *file = calloc(1, sizeof *file);
    uint8_t *text = malloc(CONFIG_FILE_MAX_BYTES + 1);
    if (!file || !text) {
        free(file);
        free(text);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    file->path = path;
    file->text = text;
    vlt_result result = open_all(file, fault);
    if (!vlt_is_ok(result)) {
        config_file_close(file);
        return result;
    }
    *ret_file = file;
    return vlt_ok();
}

void config_file_close(struct config_file *file) {
    if (file->has_document)
        yaml_document_delete(&file->document);
    free(file->text);
    free(file);
}

// ---- Check against the fields ----

static bool is_number(const char *text) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 10 || text[digits])
        return false;
    unsigned long long number = strtoull(text, NULL, 10);
    return text[0] != '0' && number <= UINT32_MAX; // 0 would silently mean the default
}

static bool is_text(const yaml_node_t *node) {
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length <= 1024 &&
           strlen(text_of(node)) == node->data.scalar.length; // no NUL inside
}

static bool is_list(const struct config_file *file, const yaml_node_t *node,
                    const cyaml_schema_value_t *value) {
    if (node->type != YAML_SEQUENCE_NODE)
        return false;
    const yaml_node_item_t *start = node->data.sequence.items.start,
                           *top = node->data.sequence.items.top;
    for (const yaml_node_item_t *item = start; item < top; item++)
        if (!is_text(node_of(file, *item)))
            return false;
    return (size_t)(top - start) <= value->sequence.max;
}

static vlt_result check_mapping(const struct config_file *file, const yaml_node_t *mapping,
                                const char *prefix, const cyaml_schema_field_t *fields,
                                struct fault *fault);

// A list whose entries have keys of their own.
static vlt_result check_entries(const struct config_file *file, const yaml_node_t *key,
                                const yaml_node_t *node, const char *name,
                                const cyaml_schema_value_t *value, struct fault *fault) {
    bool is_list = node->type == YAML_SEQUENCE_NODE;
    const yaml_node_item_t *start = is_list ? node->data.sequence.items.start : NULL,
                           *top = is_list ? node->data.sequence.items.top : NULL;
    if (!is_list || (size_t)(top - start) > value->sequence.max)
        return refuse_at(file, line_of(key), name,
                         "must be a short list of entries with keys of their own", fault);
    for (const yaml_node_item_t *item = start; item < top; item++) {
        const yaml_node_t *entry = node_of(file, *item);
        if (entry->type != YAML_MAPPING_NODE)
            return refuse_at(file, line_of(entry), name, "every entry must have keys of its own",
                             fault);
        VLT_TRY(check_mapping(file, entry, name, value->sequence.entry->mapping.fields, fault));
    }
    return vlt_ok();
}

static vlt_result check_value(const struct config_file *file, const yaml_node_t *key,
                              const yaml_node_t *node, const char *name,
                              const cyaml_schema_field_t *field, struct fault *fault) {
    switch (field->value.type) {
    case CYAML_MAPPING:
        if (node->type == YAML_MAPPING_NODE)
            return check_mapping(file, node, name, field->value.mapping.fields, fault);
        return refuse_at(file, line_of(key), name,
                         "must have keys of its own, indented below it; or leave it out", fault);
    case CYAML_SEQUENCE:
        if (field->value.sequence.entry->type == CYAML_MAPPING)
            return check_entries(file, key, node, name, &field->value, fault);
        return is_list(file, node, &field->value)
                   ? vlt_ok()
                   : refuse_at(file, line_of(key), name, "must be a list of at most 64 texts",
                               fault);
    case CYAML_UINT:
        return is_number(text_of(node))
                   ? vlt_ok()
                   : refuse_at(file, line_of(key), name,
                               "must be a whole number from 1 to 4294967295", fault);
    default:
        return is_text(node) ? vlt_ok()
                             : refuse_at(file, line_of(key), name,
                                         "must be a text of at most 1024 bytes", fault);
    }
}

static vlt_result check_pair(const struct config_file *file, const yaml_node_t *mapping,
                             const yaml_node_t *key, const yaml_node_t *node, const char *prefix,
                             const cyaml_schema_field_t *field, struct fault *fault) {
    const yaml_node_t *value;
    char name[KEY_SIZE];
    snprintf(name, sizeof name, "%s%s%.60s", prefix, prefix[0] ? "." : "", text_of(key));
    while (field->key && strcmp(field->key, text_of(key)) != 0)
        field++;
    if (!field->key)
        return refuse_at(file, line_of(key), name,
                         "there is no such key; vaultd.conf(5) lists them all", fault);
    if (find_key(file, mapping, field->key, strlen(field->key), &value) != key)
        return refuse_at(file, line_of(key), name, "is there twice; keep one of them", fault);
    return check_value(file, key, node, name, field, fault);
}

static vlt_result check_mapping(const struct config_file *file, const yaml_node_t *mapping,
                                const char *prefix, const cyaml_schema_field_t *fields,
                                struct fault *fault) {
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++)
        VLT_TRY(check_pair(file, mapping, node_of(file, pair->key), node_of(file, pair->value),
                           prefix, fields, fault));
    return vlt_ok();
}

vlt_result config_file_check(const struct config_file *file, const cyaml_schema_field_t *fields,
                             struct fault *fault) {
    return check_mapping(file, node_of(file, 1), "", fields, fault);
}
