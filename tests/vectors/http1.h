// SPDX-License-Identifier: Apache-2.0
#ifndef VLT_TESTS_VECTORS_HTTP1_H
#define VLT_TESTS_VECTORS_HTTP1_H

// Runs llhttp's Markdown files, or folders of them; prints each failure and
// "N passed, N failed". 0 when at least one case ran and none failed.
int vectors_http1(int count, char **paths);

#endif
