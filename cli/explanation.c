// SPDX-License-Identifier: Apache-2.0
#include "cli/explanation.h"

#include <stdio.h>

#include "cli/listing.h"

#define NEAREST_MAX 5

static const char *stage_text(enum policy_stage stage) {
    switch (stage) {
    case POLICY_STAGE_PRINCIPAL:
        return "is about another principal";
    case POLICY_STAGE_ACTION:
        return "is about another action";
    case POLICY_STAGE_RESOURCE:
        return "is about another resource";
    case POLICY_STAGE_CONDITION:
        return "a condition was not met";
    case POLICY_STAGE_ERRORED:
        return "could not be evaluated";
    case POLICY_STAGE_SATISFIED:
        return "applies";
    }
    return "?";
}

static const char *missing_name(const struct policy_unmet *unmet) {
    switch (unmet->stage) {
    case POLICY_STAGE_PRINCIPAL:
        return "principal";
    case POLICY_STAGE_ACTION:
        return "action";
    case POLICY_STAGE_RESOURCE:
        return "resource";
    case POLICY_STAGE_CONDITION:
        return unmet->is_true ? "condition must be false" : "condition must be true";
    default:
        return "error";
    }
}

static json_t *missing_list(const struct policy_files *files,
                            const struct policy_outcome *outcome) {
    json_t *list = json_array();
    for (size_t i = 0; i < outcome->unmet_count; i++) {
        const struct policy_unmet *unmet = &outcome->unmet[i];
        char quote[POLICY_QUOTE_SIZE];
        policy_files_quote(files, outcome->policy.document, unmet->line, unmet->column,
                           unmet->is_true, quote);
        json_array_append_new(list, json_pack("{s:s,s:s,s:i,s:i}", "what", missing_name(unmet),
                                              "text", quote, "line", (int)unmet->line, "column",
                                              (int)unmet->column));
    }
    return list;
}

json_t *explanation_of_outcome(const struct policy_files *files, struct bytes principal,
                               const char *action, const struct policy_outcome *outcome) {
    const struct policy_view *view = &outcome->policy;
    json_t *object = json_pack(
        "{s:s%,s:s,s:s%,s:s,s:s%,s:s,s:i,s:i,s:b,s:o}", "principal", (const char *)principal.at,
        principal.size, "action", action, "policy", (const char *)view->id.at, view->id.size,
        "effect", view->is_forbid ? "forbid" : "permit", "document",
        (const char *)view->document.at, view->document.size, "stage", stage_text(outcome->stage),
        "line", (int)outcome->line, "column", (int)outcome->column, "applies",
        outcome->stage == POLICY_STAGE_SATISFIED, "missing", missing_list(files, outcome));
    if (object && outcome->message.size)
        json_object_set_new(object, "message",
                            json_stringn((const char *)outcome->message.at, outcome->message.size));
    return object;
}

// ---- One question ----

static bool is_permit(const json_t *outcome) {
    return strcmp(member_text(outcome, "effect"), "permit") == 0;
}
static bool applies(const json_t *outcome) {
    return json_is_true(json_object_get(outcome, "applies"));
}
static bool has_erred(const json_t *outcome) {
    return member_text(outcome, "message")[0] != 0;
}

static void line_print(const char *indent, const json_t *outcome, const char *sentence) {
    printf("%s", indent);
    terminal_put(stdout, member_text(outcome, "policy"));
    printf(" (");
    terminal_put(stdout, member_text(outcome, "document"));
    printf(":%lld)%s%s\n", (long long)json_integer_value(json_object_get(outcome, "line")),
           sentence[0] ? " " : "", sentence);
}

// How far from applying: another action is another matter altogether, another
// resource more so than another principal.
static unsigned distance(const json_t *outcome) {
    static const struct {
        const char *what;
        unsigned steps;
    } far[] = {{"principal", 1}, {"resource", 2}, {"action", 100}};
    const json_t *missing = json_object_get(outcome, "missing");
    unsigned steps = 0;
    for (size_t i = 0; i < json_array_size(missing); i++)
        for (size_t k = 0; k < sizeof far / sizeof *far; k++)
            if (!strcmp(member_text(json_array_get(missing, i), "what"), far[k].what))
                steps += far[k].steps;
    return steps;
}

static void missing_print(const json_t *outcome) {
    const json_t *missing = json_object_get(outcome, "missing");
    for (size_t i = 0; i < json_array_size(missing); i++) {
        const json_t *one = json_array_get(missing, i);
        bool is_scope = strncmp(member_text(one, "what"), "condition", 9) != 0;
        if (!strcmp(member_text(one, "what"), "error")) {
            printf("        ");
            terminal_put(stdout, member_text(outcome, "message"));
        } else {
            printf("        %s  ", is_scope                                    ? "must be:"
                                   : strstr(member_text(one, "what"), "false") ? "is true: "
                                                                               : "is false:");
            terminal_put(stdout, member_text(one, "text"));
        }
        putchar('\n');
    }
}

static void nearest_print(const json_t *outcomes, size_t first, size_t end, const char *action) {
    unsigned least = 100;
    for (size_t i = first; i < end; i++)
        if (is_permit(json_array_get(outcomes, i)) && distance(json_array_get(outcomes, i)) < least)
            least = distance(json_array_get(outcomes, i));
    if (least >= 100) {
        printf("    no permit is about %s\n", action);
        return;
    }
    puts("    no permit applies; the nearest, and what was missing:");
    size_t shown = 0;
    for (size_t i = first; i < end && shown < NEAREST_MAX; i++) {
        const json_t *outcome = json_array_get(outcomes, i);
        if (!is_permit(outcome) || distance(outcome) != least)
            continue;
        line_print("      ", outcome, "");
        missing_print(outcome);
        shown++;
    }
}

static void question_print(const json_t *outcomes, size_t first, size_t end) {
    bool is_permitted = false, is_forbidden = false;
    for (size_t i = first; i < end; i++) {
        const json_t *outcome = json_array_get(outcomes, i);
        is_permitted = is_permitted || (is_permit(outcome) && applies(outcome));
        is_forbidden =
            is_forbidden || (!is_permit(outcome) && (applies(outcome) || has_erred(outcome)));
    }
    const json_t *head = json_array_get(outcomes, first);
    char title[CELL_SIZE * 4];
    snprintf(title, sizeof title, "%s by %.600s: %s", member_text(head, "action"),
             member_text(head, "principal"), is_permitted && !is_forbidden ? "allowed" : "denied");
    printf("  ");
    terminal_heading(stdout, title);
    putchar('\n');
    for (size_t i = first; i < end; i++) {
        const json_t *outcome = json_array_get(outcomes, i);
        if (applies(outcome))
            line_print("    ", outcome, is_permit(outcome) ? "permits" : "forbids");
        else if (has_erred(outcome) && !is_permit(outcome)) {
            line_print("    ", outcome, "forbids, because it could not be evaluated");
            missing_print(outcome);
        }
    }
    if (!is_permitted)
        nearest_print(outcomes, first, end, member_text(head, "action"));
    putchar('\n');
}

static bool is_same_question(const json_t *a, const json_t *b) {
    return !strcmp(member_text(a, "principal"), member_text(b, "principal")) &&
           !strcmp(member_text(a, "action"), member_text(b, "action"));
}

void explanation_print(const json_t *outcomes) {
    size_t count = json_array_size(outcomes), end;
    if (!count)
        puts("  There is no policy: everything is denied.");
    for (size_t first = 0; first < count; first = end) {
        for (end = first + 1; end < count; end++)
            if (!is_same_question(json_array_get(outcomes, first), json_array_get(outcomes, end)))
                break;
        question_print(outcomes, first, end);
    }
}

void explanation_print_all(const json_t *outcomes) {
    static const char *const headings[] = {"ACTION",       "PRINCIPAL", "POLICY", "EFFECT",
                                           "WHAT IT SAID", "WHERE",     NULL};
    struct table table;
    table_init(&table, headings);
    for (size_t i = 0; i < json_array_size(outcomes); i++) {
        const json_t *outcome = json_array_get(outcomes, i);
        char place[CELL_SIZE], said[CELL_SIZE];
        snprintf(place, sizeof place, "%.120s:%lld:%lld", member_text(outcome, "document"),
                 (long long)json_integer_value(json_object_get(outcome, "line")),
                 (long long)json_integer_value(json_object_get(outcome, "column")));
        const char *message = member_text(outcome, "message");
        snprintf(said, sizeof said, "%s%s%.180s", member_text(outcome, "stage"),
                 message[0] ? ": " : "", message);
        const char *const cells[] = {member_text(outcome, "action"),
                                     member_text(outcome, "principal"),
                                     member_text(outcome, "policy"),
                                     member_text(outcome, "effect"),
                                     said,
                                     place};
        table_row(&table, cells);
    }
    (void)table_print(&table, "There is no policy: everything is denied.");
}
