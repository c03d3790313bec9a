// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/clock.h"

#include <string.h>
#include <time.h>

static int64_t read_us(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_s(void) { return read_us(CLOCK_REALTIME) / 1000000; }
int64_t clock_now_us(void) { return read_us(CLOCK_REALTIME); }
int64_t clock_elapsed_ms(void) { return read_us(CLOCK_BOOTTIME) / 1000; }

static void put_digits(char *text, int count, int number) {
    for (int i = count; i-- > 0; number /= 10)
        text[i] = (char)('0' + number % 10);
}

void clock_text(int64_t at_us, char text[CLOCK_TEXT_SIZE]) {
    if (at_us < 0)
        at_us = 0; // a peer may have said anything
    time_t seconds = (time_t)(at_us / 1000000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    // By hand, because each audit entry has one: strftime and printf cost more
    // than the rest of an entry.
    static const char form[] = "0000-00-00T00:00:00.000Z";
    memcpy(text, form, sizeof form);
    put_digits(text, 4, utc.tm_year + 1900);
    put_digits(text + 5, 2, utc.tm_mon + 1);
    put_digits(text + 8, 2, utc.tm_mday);
    put_digits(text + 11, 2, utc.tm_hour);
    put_digits(text + 14, 2, utc.tm_min);
    put_digits(text + 17, 2, utc.tm_sec);
    put_digits(text + 20, 3, (int)(at_us / 1000 % 1000));
}
