// SPDX-License-Identifier: Apache-2.0
#include "cli/policy_files.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/terminal.h"
#include "libvault/policy/policy_vocabulary.h"

#define FILE_MAX_BYTES (1u << 20)
#define LINE_SHOWN_MAX 160

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static vlt_result file_add(struct policy_files *files, const char *path, struct fault *fault) {
    if (files->count == POLICY_FILES_MAX)
        return fault_set(fault, VLT_LIMIT, "too many files", "a set has at most %d documents",
                         POLICY_FILES_MAX);
    for (size_t i = 0; i < files->count; i++)
        if (!strcmp(files->names[i], last_part(path)))
            return fault_set(fault, VLT_MALFORMED, "name repeated", "%s and %s have the same name",
                             files->paths[i], path);
    size_t i = files->count++;
    buf_init(&files->texts[i], FILE_MAX_BYTES + 8192);
    files->paths[i] = strdup(path);
    files->names[i] = strdup(last_part(path));
    if (!files->paths[i] || !files->names[i])
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    return file_read(path, FILE_MAX_BYTES, &files->texts[i], fault);
}

static int is_policy(const struct dirent *entry) {
    size_t size = strlen(entry->d_name);
    return entry->d_name[0] != '.' && size > 6 && !strcmp(entry->d_name + size - 6, ".cedar");
}

static vlt_result folder_add(struct policy_files *files, const char *path, struct fault *fault) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_policy, alphasort);
    vlt_result result = count > 0 ? vlt_ok()
                                  : fault_set(fault, VLT_NOT_FOUND, "no policies",
                                              "%s holds no file that ends in .cedar", path);
    for (int i = 0; i < count; i++) {
        struct buf full;
        buf_init(&full, 4096);
        buf_put_format(&full, "%s/%s", path, entries[i]->d_name);
        const char *text = buf_text(&full);
        if (vlt_is_ok(result))
            result = text ? file_add(files, text, fault) : vlt_fail(VLT_LIMIT, "path too long");
        buf_done(&full);
        free(entries[i]);
    }
    free(entries);
    return result;
}

vlt_result policy_files_read(const char *const *paths, size_t path_count,
                             struct policy_files *ret_files, struct fault *fault) {
    *ret_files = (struct policy_files){0};
    vlt_result result = vlt_ok();
    for (size_t i = 0; i < path_count && vlt_is_ok(result); i++) {
        struct stat status;
        bool is_folder = stat(paths[i], &status) == 0 && S_ISDIR(status.st_mode);
        result = is_folder ? folder_add(ret_files, paths[i], fault)
                           : file_add(ret_files, paths[i], fault);
    }
    if (!vlt_is_ok(result))
        policy_files_done(ret_files);
    return result;
}

vlt_result policy_files_of_json(const json_t *set, struct policy_files *ret_files,
                                struct fault *fault) {
    *ret_files = (struct policy_files){0};
    const json_t *documents = json_object_get(set, "documents");
    for (size_t i = 0; i < json_array_size(documents) && i < POLICY_FILES_MAX; i++) {
        const json_t *document = json_array_get(documents, i);
        const json_t *text = json_object_get(document, "text");
        const char *name = json_string_value(json_object_get(document, "name"));
        buf_init(&ret_files->texts[i], FILE_MAX_BYTES);
        buf_put(&ret_files->texts[i], bytes_of(json_string_value(text), json_string_length(text)));
        ret_files->paths[i] = strdup(name ? name : "?");
        ret_files->names[i] = strdup(name ? name : "?");
        ret_files->count = i + 1;
        if (!json_is_string(text) || !ret_files->paths[i] || !ret_files->names[i] ||
            buf_failed(&ret_files->texts[i])) {
            policy_files_done(ret_files);
            return fault_set(fault, VLT_BUG, "set incomplete", "the vault did not send the texts");
        }
    }
    return vlt_ok();
}

void policy_files_done(struct policy_files *files) {
    for (size_t i = 0; i < files->count; i++) {
        buf_done(&files->texts[i]);
        free(files->paths[i]);
        free(files->names[i]);
    }
    files->count = 0;
}

// ---- Quoting ----

// The text from a place on; columns count characters.
static struct bytes text_at(struct bytes text, unsigned line, unsigned column) {
    for (; line > 1 && text.size; line--) {
        size_t end = bytes_find(text, '\n');
        text = bytes_from(text, end < text.size ? end + 1 : text.size);
    }
    for (; column > 1 && text.size; column--) {
        size_t size = 1;
        while (size < text.size && (text.at[size] & 0xc0) == 0x80)
            size++;
        text = bytes_from(text, size);
    }
    return text;
}

struct quoting {
    unsigned depth;
    bool in_string, saw_or;
};

static bool ends_here(struct quoting *q, struct bytes rest, bool is_true) {
    uint8_t c = rest.at[0];
    if (q->in_string || c == '"') {
        q->in_string = !q->in_string || c != '"';
        return false;
    }
    if (c == '(' || c == '[' || c == '{')
        q->depth++;
    else if (c == ')' || c == ']' || c == '}')
        return q->depth-- == 0;
    if (q->depth)
        return false;
    bool is_or = bytes_begin_with(rest, BYTES_LITERAL("||")),
         is_and = bytes_begin_with(rest, BYTES_LITERAL("&&"));
    q->saw_or = q->saw_or || is_or;
    return c == ',' || c == ';' || (is_true ? is_or : is_and && !q->saw_or);
}

void policy_files_quote(const struct policy_files *files, struct bytes document, unsigned line,
                        unsigned column, bool is_true, char quote[POLICY_QUOTE_SIZE]) {
    struct bytes text = {NULL, 0};
    struct quoting q = {0};
    size_t used = 0;
    for (size_t i = 0; i < files->count; i++)
        if (bytes_equal_text(document, files->names[i]))
            text = text_at(buf_bytes(&files->texts[i]), line, column);
    while (text.size && !ends_here(&q, text, is_true)) {
        // Room for the longest character, an escape before it, the dots and the NUL.
        bool is_space = strchr(" \t\r\n", text.at[0]) != NULL;
        if (used >= POLICY_QUOTE_SIZE - 12 && (text.at[0] & 0xc0) != 0x80) {
            memcpy(quote + used, "…", 3);
            used += 3;
            break;
        }
        if (!is_space)
            quote[used++] = (char)text.at[0];
        else if (used && quote[used - 1] != ' ')
            quote[used++] = ' ';
        if (text.at[0] == '\\' && q.in_string &&
            text.size > 1) { // an escaped character ends nothing
            quote[used++] = (char)text.at[1];
            text = bytes_from(text, 1);
        }
        text = bytes_from(text, 1);
    }
    while (used && quote[used - 1] == ' ')
        used--;
    quote[used] = 0;
}

// ---- Faults with their place ----

// Columns count characters, bytes do not matter to a person.
static void line_show(struct bytes text, const struct fault *fault) {
    for (unsigned line = 1; line < fault->line && text.size; line++)
        text = bytes_from(text, bytes_find(text, '\n') + 1);
    char shown[LINE_SHOWN_MAX + 1];
    size_t size = bytes_find(text, '\n');
    if (!fault->line || size > LINE_SHOWN_MAX ||
        !bytes_to_text(bytes_of(text.at, size), shown, sizeof shown))
        return;
    for (char *c = shown; *c; c++)
        if (*c == '\t')
            *c = ' ';
    fprintf(stderr, "    ");
    terminal_put(stderr, shown);
    fprintf(stderr, "\n    %*s^\n", fault->column ? (int)fault->column - 1 : 0, "");
}

static void fault_show(const struct policy_files *files, size_t i, const struct fault *fault,
                       vlt_result result, bool wants_json) {
    const char *path = i < files->count ? files->paths[i] : "";
    if (wants_json) {
        json_t *object =
            json_pack("{s:s,s:i,s:i,s:s}", "document", path, "line", (int)fault->line, "column",
                      (int)fault->column, "detail", fault_or_reason(fault, result));
        json_dumpf(object, stderr, JSON_COMPACT);
        fputc('\n', stderr);
        json_decref(object);
        return;
    }
    terminal_put(stderr, path);
    if (fault->line)
        fprintf(stderr, ":%u:%u", fault->line, fault->column);
    fprintf(stderr, "%s", path[0] ? ": " : "");
    // The engine's sentence begins with the document's name: said already.
    const char *text = fault_or_reason(fault, result);
    size_t name_size = i < files->count ? strlen(files->names[i]) : 0;
    if (name_size && !strncmp(text, files->names[i], name_size) && text[name_size] == ':')
        for (text += name_size + 1; *text == ' ' || *text == ':' || (*text >= '0' && *text <= '9');)
            text++;
    terminal_put(stderr, text);
    fputc('\n', stderr);
    if (i < files->count)
        line_show(buf_bytes(&files->texts[i]), fault);
}

static struct policy_set *compile(const struct policy_files *files, size_t first, size_t count,
                                  size_t shown, bool wants_json) {
    struct policy_document documents[POLICY_FILES_MAX];
    for (size_t i = 0; i < count; i++)
        documents[i] = (struct policy_document){bytes_of_text(files->names[first + i]),
                                                buf_bytes(&files->texts[first + i])};
    struct fault fault = {0};
    struct policy_set *set = NULL;
    vlt_result result = policy_set_parse(documents, count, POLICY_IDS_NAMED, &fault, &set);
    if (vlt_is_ok(result))
        result = policy_vocabulary_check(set, &fault);
    if (vlt_is_ok(result))
        return set;
    policy_set_free(set);
    fault_show(files, shown, &fault, result, wants_json);
    return NULL;
}

struct policy_set *policy_files_compile(const struct policy_files *files, bool wants_json) {
    bool is_sound = true;
    for (size_t i = 0; i < files->count; i++) {
        struct policy_set *set = compile(files, i, 1, i, wants_json);
        is_sound = is_sound && set;
        policy_set_free(set);
    }
    return is_sound ? compile(files, 0, files->count, files->count, wants_json) : NULL;
}

// ---- What a verb works on ----

int policy_files_of_command(struct command *command, struct policy_files *ret_files) {
    const char *paths[POLICY_FILES_MAX];
    size_t count = 0;
    const char *path;
    while (count < POLICY_FILES_MAX && (path = command_option_at(command, "--policies", count)))
        paths[count++] = path;
    struct fault fault = {0};
    vlt_result result;
    if (count) {
        result = policy_files_read(paths, count, ret_files, &fault);
        return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, &fault);
    }
    json_t *body = NULL;
    int status = command_call_path(command, "GET", NULL, &body, "/v1/tenants/%s/policies?text=1",
                                   command->tenant);
    if (status != EXIT_OK)
        return status;
    result = policy_files_of_json(body, ret_files, &fault);
    json_decref(body);
    return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, &fault);
}
