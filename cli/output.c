// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "cli/command.h"

int output_pause(int pause_ms) {
    // No event is asked for: only that it has ended is told.
    struct pollfd out = {.fd = STDOUT_FILENO};
    if (poll(&out, 1, pause_ms) <= 0)
        return EXIT_OK;
    raise(SIGPIPE);
    return EXIT_FAILED;
}
