// SPDX-License-Identifier: Apache-2.0
#include "vaultd/shipper/syslog_frame.h"

#include <stdio.h>

#define FACILITY_AUDIT 13
#define HOST_MAX 255
#define MSGID_MAX 32
#define HEADER_MAX 512

// The text of a top-level member of a canonical entry, as far as it can stand in
// a header (PRINTUSASCII); "-" (NILVALUE) where there is none.
static void member(struct bytes entry, const char *name, size_t max, char *ret_text) {
    char wanted[40];
    int size = snprintf(wanted, sizeof wanted, "\"%s\":\"", name);
    const uint8_t *at = entry.size ? memmem(entry.at, entry.size, wanted, (size_t)size) : NULL;
    size_t count = 0;
    for (at = at ? at + size : entry.at + entry.size; at < entry.at + entry.size && count < max;
         at++) {
        if (*at <= ' ' || *at > '~' || *at == '"' || *at == '\\')
            break;
        ret_text[count++] = (char)*at;
    }
    if (count == 0)
        ret_text[count++] = '-';
    ret_text[count] = 0;
}

static void host_of(const char *origin, char *ret_host) {
    size_t count = 0;
    while (count < HOST_MAX && origin[count] > ' ' && origin[count] <= '~')
        count++;
    memcpy(ret_host, origin, count);
    if (count == 0)
        ret_host[count++] = '-';
    ret_host[count] = 0;
}

static unsigned severity_of(struct bytes entry) {
    char outcome[MSGID_MAX + 1];
    member(entry, "outcome", MSGID_MAX, outcome);
    return strcmp(outcome, "allow") == 0 ? 6 : strcmp(outcome, "deny") == 0 ? 4 : 3;
}

void syslog_frame_put(struct buf *out, struct bytes entry, uint64_t index, const char *origin) {
    char header[HEADER_MAX], host[HOST_MAX + 1], kind[MSGID_MAX + 1], time[MSGID_MAX + 1];
    member(entry, "kind", MSGID_MAX, kind);
    member(entry, "time", MSGID_MAX, time);
    host_of(origin, host);
    // RFC 5424, 7.3.1: from 1 to 2147483647, then from 1 again.
    unsigned long sequence = (unsigned long)(index % 2147483647u) + 1;
    int size = snprintf(header, sizeof header, "<%u>1 %s %s vaultd - %s [meta sequenceId=\"%lu\"] ",
                        FACILITY_AUDIT * 8 + severity_of(entry), time, host, kind, sequence);
    buf_put_number(out, (uint64_t)size + entry.size);
    buf_put_byte(out, ' ');
    buf_put(out, bytes_of(header, (size_t)size));
    buf_put(out, entry);
}
