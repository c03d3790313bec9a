// SPDX-License-Identifier: Apache-2.0
#include "vaultd/log/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *log_program = "vaultd";
_Atomic enum log_level log_threshold = LOG_LEVEL_INFO; // threads log, too

static bool log_to_journal; // which reads the priority before each line

void log_open(const char *program) {
    log_program = program;
    log_to_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_level(enum log_level level) {
    atomic_store_explicit(&log_threshold, level, memory_order_relaxed);
}

// One write for one line, so that lines of several processes do not mix.
static void VLT_PRINTF(2, 0) log_line(enum log_level level, const char *format, va_list args) {
    static const int priorities[] = {3, 4, 5, 6, 7}; // syslog's, as sd-daemon(3) reads them
    if (!log_shows(level))
        return;
    char line[1024];
    int head = log_to_journal
                   ? snprintf(line, sizeof line, "<%d>%s: ", priorities[level], log_program)
                   : snprintf(line, sizeof line, "%s: ", log_program);
    int body = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, args);
    size_t size = (size_t)head + (body > 0 ? (size_t)body : 0);
    if (size > sizeof line - 2)
        size = sizeof line - 2;
    for (size_t i = (size_t)head; i < size; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' '; // foreign text must not forge a second line
    line[size++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, size);
    (void)written; // there is nowhere to report that
}

#define DEFINE_LOG(name, level)                                                                    \
    void name(const char *format, ...) {                                                           \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        log_line(level, format, args);                                                             \
        va_end(args);                                                                              \
    }
DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING)
DEFINE_LOG(log_notice, LOG_LEVEL_NOTICE)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
