// SPDX-License-Identifier: Apache-2.0
// How far bytes of one kind go on. Every byte of each token and of each body passes
// through these, so that they look at sixteen at once.
#ifndef VLT_FORWARD_BYTE_RUN_H
#define VLT_FORWARD_BYTE_RUN_H

#include "libvault/base/bytes.h"

// From `at` on (at most text.size): the first place of another byte, or text.size.
size_t byte_run_b64u(struct bytes text, size_t at); // RFC 4648 section 5
// What stands for itself inside a JSON text and is ASCII (RFC 8259 section 7).
size_t byte_run_json(struct bytes text, size_t at);
size_t byte_run_line(struct bytes text, size_t at); // neither CR nor LF
// What stands for itself inside a JSON text, in any language: whether it is UTF-8 is not asked.
size_t byte_run_text(struct bytes text, size_t at);

#endif
