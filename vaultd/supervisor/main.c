// SPDX-License-Identifier: Apache-2.0
// vaultd(8): the supervisor.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vaultd/log/log.h"
#include "vaultd/supervisor/folders.h"
#include "vaultd/supervisor/secret_files.h"
#include "vaultd/supervisor/supervisor.h"

#define EXIT_USAGE 2

static const char usage[] =
    "usage: vaultd [--config FILE] [--check]\n"
    "\n"
    "Keeps provider credentials under a hardware key and gives verified callers\n"
    "ephemeral tokens instead. Runs in the foreground; stop it with SIGTERM, reload\n"
    "its configuration with SIGHUP.\n"
    "\n"
    "  -c, --config FILE  configuration, /etc/vaultd/vaultd.conf by default\n"
    "      --check        read the configuration, say what is wrong with it, exit\n"
    "      --version      print the version, exit\n"
    "      --help         print this, exit\n"
    "\n"
    "exit status: 0 stopped as asked; 1 could not start, or gave up; 2 wrong usage\n";

static int check(const char *path) {
    struct fault fault = {0};
    struct config *config = NULL;
    struct settings_files files = {0};
    vlt_result result = config_load(path, &fault, &config);
    if (vlt_is_ok(result)) {
        result = settings_files_read(config, &fault, &files);
        settings_files_done(&files);
        if (vlt_is_ok(result))
            result = folders_check(config, &fault);
        if (vlt_is_ok(result))
            secret_files_warn(config);
        config_free(config);
    }
    if (vlt_is_ok(result))
        printf("%s is acceptable\n", path);
    else
        fprintf(stderr, "vaultd: %s\n", fault_or_reason(&fault, result));
    return vlt_is_ok(result) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(const char *path) {
    static struct supervisor supervisor;
    struct fault fault = {0};
    log_open("vaultd");
    supervisor.config_path = path;
    vlt_result result = supervisor_start(&supervisor, &fault);
    if (vlt_is_ok(result)) {
        event_base_dispatch(supervisor.base);
        log_notice("stopped");
    } else {
        log_error("%s", fault_or_reason(&fault, result));
        supervisor.exit_status = EXIT_FAILURE;
    }
    supervisor_stop(&supervisor);
    return supervisor.exit_status;
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'},
        {"version", no_argument, NULL, 'v'},      {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    const char *path = "/etc/vaultd/vaultd.conf";
    bool checks = false;
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'k':
            checks = true;
            break;
        case 'v':
            puts("vaultd " VAULT_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind != argc) {
        fprintf(stderr, "vaultd: unexpected argument %s\n\n%s", argv[optind], usage);
        return EXIT_USAGE;
    }
    return checks ? check(path) : run(path);
}
