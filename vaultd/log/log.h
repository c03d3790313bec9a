// SPDX-License-Identifier: Apache-2.0
// Log lines to standard error, one event one line, for journald or a terminal:
// "keeper: unsealed in 0.2 s". Programs log, libraries do not. There is no
// way to log bytes; texts are cut and control characters replaced.
#ifndef VLT_LOG_LOG_H
#define VLT_LOG_LOG_H

#include "libvault/base/result.h"

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_NOTICE,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

void log_open(const char *program); // "keeper"; kept by reference
void log_set_level(enum log_level level);
void log_error(const char *format, ...) VLT_PRINTF(1, 2);
void log_warning(const char *format, ...) VLT_PRINTF(1, 2);
void log_notice(const char *format, ...) VLT_PRINTF(1, 2);
void log_info(const char *format, ...) VLT_PRINTF(1, 2);
void log_debug(const char *format, ...) VLT_PRINTF(1, 2);

#endif
