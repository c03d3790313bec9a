// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/secret_files.h"

#include <stddef.h>

#include "libvault/secret/secret_file.h"
#include "vaultd/log/log.h"

static void warn(const char *key, const char *path) {
    struct fault fault = {0};
    vlt_result result = secret_file_check(key, path, &fault);
    if (!vlt_is_ok(result))
        log_warning("%s", fault_or_reason(&fault, result));
}

// The keeper refuses a PIN that is open; --check starts no keeper. It may also be the name
// of a systemd credential, which is no path.
static void warn_of_pin(const char *key, const char *source) {
    if (source[0] == '/')
        warn(key, source);
}

void secret_files_warn(const struct config *config) {
    const struct {
        const char *key, *path;
    } files[] = {{"broker.tls_key", config->broker.tls_key},
                 {"admin.tls_key", config->admin.tls_key},
                 {"redeemer.tls_key", config->redeemer.tls_key},
                 {"audit.pseudonym_key", config->audit.pseudonym_key},
                 {"shipping.syslog_key", config->shipping.syslog_key},
                 {"shipping.collector_header_file", config->shipping.collector_header_file}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        warn(files[i].key, files[i].path);
    warn_of_pin("device.pin_file", config->device.pin_file);
    for (unsigned i = 0; i < config->more_devices_count; i++)
        warn_of_pin("more_devices.pin_file", config->more_devices[i].pin_file);
}
