// SPDX-License-Identifier: Apache-2.0
// Time: absolute seconds for what leaves the process (`…_at`), monotonic
// milliseconds for deadlines (`…_ms`).
#ifndef VLT_BASE_CLOCK_H
#define VLT_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_now_s(void);     // CLOCK_REALTIME, POSIX seconds
int64_t clock_now_us(void);    // CLOCK_REALTIME, microseconds
int64_t clock_elapsed_ms(void); // CLOCK_BOOTTIME: only differences mean something
// RFC 3339 in UTC with milliseconds: 2026-11-21T01:43:08.123Z (24 characters, NUL).
#define CLOCK_TEXT_SIZE 32
void clock_text(int64_t at_us, char text[CLOCK_TEXT_SIZE]);

#endif
