// SPDX-License-Identifier: Apache-2.0
// Standard output while nothing is written to it. Verbs that wait and then go on
// (audit tail --follow) use it; one thread.
#ifndef VLT_CLI_OUTPUT_H
#define VLT_CLI_OUTPUT_H

// Waits for so long, or until nobody can read standard output any more (a pipe whose
// reader has gone, a terminal that was hung up). Then it ends this program as the next
// write would: by SIGPIPE, or where the caller ignores that, with EXIT_FAILED, which
// the verb returns. Else EXIT_OK. May return early when a signal was caught.
int output_pause(int pause_ms);

#endif
