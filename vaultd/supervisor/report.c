// SPDX-License-Identifier: Apache-2.0
// What the supervisor has to say to the audit log. It lives longer than the auditor: what
// happens while there is none, its own end above all, is told to the next one.
#include <stdlib.h>

#include "libvault/audit/event.h"
#include "libvault/base/clock.h"
#include "vaultd/log/log.h"
#include "vaultd/supervisor/supervisor.h"

#define UNTOLD_MAX 32 // then the oldest is given up

struct report {
    struct report *next;
    struct supervisor *supervisor;
    const char *operation; // static
    bool is_error;
    uint64_t at_us;
    char about[];
};

static void give_up_first(struct reports *reports) {
    struct report *report = reports->first;
    log_warning("an event of the supervisor is not in the audit log: %s: %s", report->operation,
                report->about);
    reports->first = report->next;
    reports->count--;
    free(report);
}

static void keep(struct reports *reports, struct report *report) {
    struct report **link = &reports->first;
    while (*link)
        link = &(*link)->next;
    report->next = NULL;
    *link = report;
    if (++reports->count > UNTOLD_MAX)
        give_up_first(reports);
}

static void on_recorded(vlt_result result, const struct answer_record *answer, void *context) {
    struct report *report = context;
    struct supervisor *supervisor = report->supervisor;
    if (!vlt_is_ok(result)) {
        keep(&supervisor->untold, report);
        return;
    }
    free(report);
    report_untold(supervisor);
}

static void tell(struct report *report) {
    const struct audit_event event = {.kind = AUDIT_VAULT,
                                      .outcome = report->is_error ? AUDIT_ERROR : AUDIT_ALLOW,
                                      .at_us = report->at_us,
                                      .operation = bytes_of_text(report->operation),
                                      .subject = bytes_of_text(report->about)};
    uint8_t room[1024];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &event);
    const struct ask_record ask = {.event = bytes_of(room, w.size)};
    ask_record(report->supervisor->children[IPC_AUDITOR][0].channel, &ask, on_recorded, report);
}

void report_untold(struct supervisor *supervisor) {
    struct reports untold = supervisor->untold;
    supervisor->untold = (struct reports){NULL, 0};
    while (untold.first) {
        struct report *report = untold.first;
        untold.first = report->next;
        tell(report);
    }
}

void report_event(struct supervisor *supervisor, const char *operation, const char *about,
                  bool is_error) {
    size_t about_bytes = strlen(about) + 1;
    struct report *report = malloc(sizeof *report + about_bytes);
    if (!report) {
        log_warning("an event of the supervisor is not in the audit log: %s: %s", operation, about);
        return;
    }
    *report = (struct report){.supervisor = supervisor,
                              .operation = operation,
                              .is_error = is_error,
                              .at_us = (uint64_t)clock_now_us()};
    memcpy(report->about, about, about_bytes);
    tell(report);
}

void report_end(struct supervisor *supervisor) {
    while (supervisor->untold.first)
        give_up_first(&supervisor->untold);
}
