// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/whoami.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct whoami whoami(void) {
    struct whoami who;
    const struct passwd *user = NULL;
    FILE *file = fopen("/etc/passwd", "re");
    snprintf(who.text, sizeof who.text, "uid %u", (unsigned)geteuid());
    while (file && (user = fgetpwent(file)) && user->pw_uid != geteuid())
        ;
    if (user && strlen(user->pw_name) < sizeof who.text)
        snprintf(who.text, sizeof who.text, "%s", user->pw_name);
    if (file)
        fclose(file);
    return who;
}
