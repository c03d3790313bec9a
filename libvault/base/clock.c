// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_s(void) { return read_us(CLOCK_REALTIME) / 1000000; }
int64_t clock_now_us(void) { return read_us(CLOCK_REALTIME); }
int64_t clock_elapsed_ms(void) { return read_us(CLOCK_BOOTTIME) / 1000; }

void clock_text(int64_t at_us, char text[CLOCK_TEXT_SIZE]) {
    time_t seconds = (time_t)(at_us / 1000000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char day[24];
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, CLOCK_TEXT_SIZE, "%s.%03dZ", day, (int)(at_us / 1000 % 1000));
}
