// SPDX-License-Identifier: Apache-2.0
// Times that a person types, in the form that entries of the audit log have, so that
// they can be compared as texts. Used by verbs; no state.
#ifndef VLT_CLI_TIMESTAMP_H
#define VLT_CLI_TIMESTAMP_H

#include "libvault/base/clock.h"
#include "libvault/base/result.h"

// RFC 3339 (with Z or an offset), or the beginning of one, in UTC: 2026,
// 2026-11, 2026-11-21, 2026-11-21T10:30, 2026-11-21T10:30:05.25; a space may stand for the T.
// What is missing is the least there is. Written as clock_text writes it, rounded up
// to its milliseconds: an entry of the log is not before the time if and only if its
// text is not before that text. VLT_MALFORMED: no time, no day of the calendar,
// or beyond the years 1970 to 9999.
vlt_result timestamp_normal(const char *text, char ret_text[CLOCK_TEXT_SIZE]) VLT_MUST_USE;

#endif
