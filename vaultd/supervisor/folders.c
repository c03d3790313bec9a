// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/folders.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static vlt_result failed(const char *path, struct fault *fault) {
    return fault_set(fault, VLT_UNAVAILABLE, "a folder can not be made",
                     "folder %s can not be made: %s", path, strerror(errno));
}

// Makes missing parents too; those are for everybody to pass through.
static vlt_result make_parents(const char *path, struct fault *fault) {
    char parent[1024];
    if (snprintf(parent, sizeof parent, "%s", path) >= (int)sizeof parent)
        return vlt_fail(VLT_LIMIT, "a path is too long");
    for (char *slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(parent, 0755) != 0 && errno != EEXIST)
            return failed(parent, fault);
        *slash = '/';
    }
    return vlt_ok();
}

static vlt_result make_folder(const char *path, const char *owner, const char *group,
                              struct fault *fault) {
    VLT_TRY(make_parents(path, fault));
    if (mkdir(path, 0750) != 0 && errno != EEXIST)
        return failed(path, fault);
    if (!owner[0])
        return vlt_ok();
    const struct passwd *user = getpwnam(owner);
    const struct group *members = getgrnam(group);
    if (!user || !members)
        return fault_set(fault, VLT_NOT_FOUND, "an unknown user",
                         "users: there is no %s %s; run deploy/create-users or correct vaultd.conf",
                         user ? "group" : "user", user ? group : owner);
    return chown(path, user->pw_uid, members->gr_gid) == 0 ? vlt_ok() : failed(path, fault);
}

static vlt_result check_folder(const char *key, const char *path, struct fault *fault) {
    struct stat there;
    if (stat(path, &there) != 0 || S_ISDIR(there.st_mode))
        return vlt_ok();
    return fault_set(fault, VLT_MALFORMED, "no folder",
                     "%s: %s is %s and no folder: give the path of a folder, which is made when it "
                     "is missing, or move away what is there",
                     key, path, S_ISREG(there.st_mode) ? "a file" : "something else");
}

vlt_result folders_check(const struct config *config, struct fault *fault) {
    VLT_TRY(check_folder("store", config->store, fault));
    VLT_TRY(check_folder("audit.directory", config->audit.directory, fault));
    return config_ships(config)
               ? check_folder("shipping.positions", config->shipping.positions, fault)
               : vlt_ok();
}

vlt_result folders_make(const struct config *config, struct fault *fault) {
    VLT_TRY(folders_check(config, fault));
    VLT_TRY(make_folder(config->store, config->users.keeper, config->users.group, fault));
    VLT_TRY(
        make_folder(config->audit.directory, config->users.auditor, config->users.group, fault));
    if (config_ships(config))
        VLT_TRY(make_folder(config->shipping.positions, config->users.shipper, config->users.group,
                            fault));
    VLT_TRY(make_parents(config->admin.socket, fault));
    return make_parents(config->redeemer.socket, fault);
}
