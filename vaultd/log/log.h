// SPDX-License-Identifier: Apache-2.0
// Log lines to standard error, one event one line, for journald or a terminal:
// "keeper: unsealed in 0.2 s". Programs log, libraries do not. There is no
// way to log bytes; texts are cut and control characters replaced.
#ifndef VLT_LOG_LOG_H
#define VLT_LOG_LOG_H

#include <stdatomic.h>

#include "libvault/base/result.h"

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_NOTICE,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

void log_open(const char *program); // "keeper"; kept by reference
void log_set_level(enum log_level level); // LOG_LEVEL_INFO before
// Is a line of this level written? To be asked before facts are gathered that nothing but
// a line needs: a time, a name.
extern _Atomic enum log_level log_threshold; // only for this:
static inline bool log_shows(enum log_level level) {
    return level <= atomic_load_explicit(&log_threshold, memory_order_relaxed);
}
void log_error(const char *format, ...) VLT_PRINTF(1, 2);
void log_warning(const char *format, ...) VLT_PRINTF(1, 2);
void log_notice(const char *format, ...) VLT_PRINTF(1, 2);
void log_info(const char *format, ...) VLT_PRINTF(1, 2);
void log_debug(const char *format, ...) VLT_PRINTF(1, 2);

#endif
