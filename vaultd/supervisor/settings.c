// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/audit/pseudonym.h"
#include "libvault/base/whoami.h"
#include "libvault/tpm/boot_key.h"
#include "vaultd/log/log.h"
#include "vaultd/supervisor/pem_check.h"

#define PEM_MAX_BYTES 49152
#define HEADER_MAX_BYTES 4096

// ---- Files ----

// With the name of who could not read it: files of keys have owners.
static vlt_result unreadable(const char *key, const char *path, const char *why,
                             struct fault *fault) {
    return fault_set(fault, VLT_UNAVAILABLE, "a file can not be read",
                     "%s: %s can not be read by %s: %s", key, path, whoami().text, why);
}

static vlt_result read_file(const char *key, const char *path, struct fault *fault,
                            char **ret_text) {
    if (!path[0])
        return vlt_ok(); // not configured
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0)
        return unreadable(key, path, strerror(errno), fault);
    char *text = NULL;
    ssize_t size = -1;
    const char *why = "it is not a file of at most 48 KiB";
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= PEM_MAX_BYTES) {
        text = calloc(1, PEM_MAX_BYTES + 1);
        size = text ? read(fd, text, PEM_MAX_BYTES) : -1;
        why = text ? strerror(errno) : "out of memory";
    }
    close(fd);
    if (size < 0) {
        free(text);
        return unreadable(key, path, why, fault);
    }
    *ret_text = text;
    return vlt_ok();
}

static void wipe(char *text) {
    if (text)
        OPENSSL_cleanse(text, PEM_MAX_BYTES);
    free(text);
}

static vlt_result find_user(const char *name, struct fault *fault, uint32_t *ret_uid) {
    char *end = NULL;
    unsigned long number = strtoul(name, &end, 10);
    const struct passwd *user = getpwnam(name);
    if (!user && (end == name || *end || number > UINT32_MAX - 1))
        return fault_set(fault, VLT_NOT_FOUND, "an unknown user",
                         "admin.allow_users: there is no user %s", name);
    *ret_uid = user ? user->pw_uid : (uint32_t)number;
    return vlt_ok();
}

// Who runs vaultd may administer it; others are listed.
static vlt_result find_admins(const struct config_admin *admin, struct fault *fault,
                              struct settings_files *files) {
    files->admin_uids[files->admin_uid_count++] = (uint32_t)getuid();
    for (unsigned i = 0; i < admin->allow_users_count && files->admin_uid_count < 64; i++)
        VLT_TRY(
            find_user(admin->allow_users[i], fault, &files->admin_uids[files->admin_uid_count++]));
    return vlt_ok();
}

// Here, because the keeper reads no files of other formats than its own.
static vlt_result read_approver(const struct config_device *device, struct fault *fault,
                                struct settings_boot *boot) {
    char *pem = NULL;
    VLT_TRY(config_boot_pcrs(device, fault, &boot->pcrs));
    VLT_TRY(read_file("device.boot_approver", device->boot_approver, fault, &pem));
    struct fault why = {0};
    vlt_result result =
        pem ? boot_key_point(bytes_of_text(pem), &why, boot->approver) : vlt_ok();
    wipe(pem);
    return vlt_is_ok(result) ? result
                             : fault_set(fault, result.class, result.reason,
                                         "boot_approver: %s: %s", device->boot_approver,
                                         why.text);
}

// One line: "Authorization: Bearer …".
static vlt_result read_header(const char *path, struct fault *fault, char **ret_header) {
    VLT_TRY(read_file("shipping.collector_header_file", path, fault, ret_header));
    if (!*ret_header)
        return vlt_ok();
    size_t size = strlen(*ret_header);
    while (size && ((*ret_header)[size - 1] == '\n' || (*ret_header)[size - 1] == '\r'))
        (*ret_header)[--size] = 0;
    if (size && size <= HEADER_MAX_BYTES && strchr(*ret_header, ':') &&
        !strpbrk(*ret_header, "\r\n"))
        return vlt_ok();
    return fault_set(fault, VLT_MALFORMED, "not a header line",
                     "shipping.collector_header_file: %s must hold one header line, such as "
                     "Authorization: Bearer SECRET", path);
}

// One line of text; what stands before its end is the key.
static vlt_result read_pseudonym_key(const char *path, struct fault *fault, char **ret_key) {
    VLT_TRY(read_file("audit.pseudonym_key", path, fault, ret_key));
    if (!*ret_key)
        return vlt_ok();
    size_t size = strcspn(*ret_key, "\r\n");
    (*ret_key)[size] = 0;
    if (size >= PSEUDONYM_KEY_MIN && size <= PSEUDONYM_KEY_MAX)
        return vlt_ok();
    return fault_set(fault, VLT_MALFORMED, "not a key for pseudonyms",
                     "audit.pseudonym_key: %s must hold one line of %d to %d characters: "
                     "openssl rand -hex 32 >%s",
                     path, PSEUDONYM_KEY_MIN, PSEUDONYM_KEY_MAX, path);
}

static vlt_result read_authorities(const char *key, const char *path, struct fault *fault,
                                   char **ret_text) {
    VLT_TRY(read_file(key, path, fault, ret_text));
    return pem_check_certificates(&(struct pem_file){key, path, *ret_text}, fault);
}

struct pair { // a certificate and its key, as the configuration names them
    const char *certificate_key, *certificate_path, *key_key, *key_path;
};
static vlt_result read_pair(const struct pair *pair, struct fault *fault, char **ret_certificate,
                            char **ret_key) {
    VLT_TRY(read_file(pair->certificate_key, pair->certificate_path, fault, ret_certificate));
    VLT_TRY(read_file(pair->key_key, pair->key_path, fault, ret_key));
    return pem_check_pair(
        &(struct pem_file){pair->certificate_key, pair->certificate_path, *ret_certificate},
        &(struct pem_file){pair->key_key, pair->key_path, *ret_key}, fault);
}
#define PAIR(section, certificate, key)                                                            \
    (&(struct pair){#section "." #certificate, c->section.certificate, #section "." #key,          \
                    c->section.key})

static vlt_result read_shipping(const struct config *c, struct fault *fault,
                                struct settings_files *files) {
    VLT_TRY(read_authorities("shipping.syslog_ca", c->shipping.syslog_ca, fault,
                             &files->syslog_ca));
    VLT_TRY(read_pair(PAIR(shipping, syslog_certificate, syslog_key), fault,
                      &files->syslog_certificate, &files->syslog_key));
    VLT_TRY(read_authorities("shipping.collector_ca", c->shipping.collector_ca, fault,
                             &files->collector_ca));
    return read_header(c->shipping.collector_header_file, fault, &files->collector_header);
}

static vlt_result read_all(const struct config *c, struct fault *fault,
                           struct settings_files *files) {
    VLT_TRY(read_pseudonym_key(c->audit.pseudonym_key, fault, &files->pseudonym_key));
    VLT_TRY(read_pair(PAIR(broker, tls_certificate, tls_key), fault, &files->broker_certificate,
                      &files->broker_key));
    VLT_TRY(read_authorities("broker.issuer_ca", c->broker.issuer_ca, fault, &files->issuer_ca));
    VLT_TRY(read_authorities("rotator.provider_ca", c->rotator.provider_ca, fault,
                             &files->provider_ca));
    VLT_TRY(read_pair(PAIR(admin, tls_certificate, tls_key), fault, &files->admin_certificate,
                      &files->admin_key));
    VLT_TRY(read_pair(PAIR(redeemer, tls_certificate, tls_key), fault,
                      &files->redeemer_certificate, &files->redeemer_key));
    VLT_TRY(read_shipping(c, fault, files));
    VLT_TRY(read_approver(&c->device, fault, &files->boot[0]));
    for (unsigned i = 0; i < c->more_devices_count; i++)
        VLT_TRY(read_approver(&c->more_devices[i], fault, &files->boot[1 + i]));
    if (RAND_bytes(files->nonce_key, sizeof files->nonce_key) != 1)
        return fault_set(fault, VLT_UNAVAILABLE, "no random bytes", "the random generator fails");
    return find_admins(&c->admin, fault, files);
}

vlt_result settings_files_read(const struct config *config, struct fault *fault,
                               struct settings_files *ret_files) {
    struct settings_files files = {0};
    vlt_result result = read_all(config, fault, &files);
    if (!vlt_is_ok(result)) {
        settings_files_done(&files);
        return result;
    }
    *ret_files = files;
    return vlt_ok();
}

void settings_files_done(struct settings_files *files) {
    wipe(files->pseudonym_key);
    wipe(files->broker_certificate);
    wipe(files->broker_key);
    wipe(files->issuer_ca);
    wipe(files->provider_ca);
    wipe(files->admin_certificate);
    wipe(files->admin_key);
    wipe(files->redeemer_certificate);
    wipe(files->redeemer_key);
    wipe(files->syslog_ca);
    wipe(files->syslog_certificate);
    wipe(files->syslog_key);
    wipe(files->collector_ca);
    wipe(files->collector_header);
    *files = (struct settings_files){0};
}

static bool is_same(const char *one, const char *other) {
    return strcmp(one ? one : "", other ? other : "") == 0;
}

void settings_files_changes(const struct settings_files *now, const struct settings_files *before,
                            struct buf *text) {
    const struct {
        const char *key, *now, *before;
    } files[] = {
        {"audit.pseudonym_key", now->pseudonym_key, before->pseudonym_key},
        {"broker.tls_certificate", now->broker_certificate, before->broker_certificate},
        {"broker.tls_key", now->broker_key, before->broker_key},
        {"broker.issuer_ca", now->issuer_ca, before->issuer_ca},
        {"rotator.provider_ca", now->provider_ca, before->provider_ca},
        {"admin.tls_certificate", now->admin_certificate, before->admin_certificate},
        {"admin.tls_key", now->admin_key, before->admin_key},
        {"redeemer.tls_certificate", now->redeemer_certificate, before->redeemer_certificate},
        {"redeemer.tls_key", now->redeemer_key, before->redeemer_key},
        {"shipping.syslog_ca", now->syslog_ca, before->syslog_ca},
        {"shipping.syslog_certificate", now->syslog_certificate, before->syslog_certificate},
        {"shipping.syslog_key", now->syslog_key, before->syslog_key},
        {"shipping.collector_ca", now->collector_ca, before->collector_ca},
        {"shipping.collector_header_file", now->collector_header, before->collector_header},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!is_same(files[i].now, files[i].before))
            buf_put_format(text, "%sthe file of %s", text->size ? ", " : "", files[i].key);
}

// ---- Messages ----

uint8_t settings_log_level(const struct config *config) {
    uint8_t number = 0;
    // config.c let only these pass
    while (strcmp(config_log_levels[number], config->log_level) != 0)
        number++;
    return number;
}

#define T(text) bytes_of_text(text)

static void tell_broker(struct channel *channel, const struct config *c,
                        const struct settings_files *f) {
    struct tell_settings_broker tell = {
        .issuer = T(c->issuer), .store_path = T(c->store),
        .tls_certificate = T(f->broker_certificate), .tls_key = T(f->broker_key),
        .issuer_ca = T(f->issuer_ca), .max_connections = c->broker.max_connections,
        .request_deadline_ms = c->broker.request_deadline_ms, .idle_ms = c->broker.idle_ms,
        .token_lifetime_s = c->tokens.lifetime_s, .log_level = settings_log_level(c)};
    memcpy(tell.nonce_key, f->nonce_key, sizeof tell.nonce_key);
    tell_settings_broker(channel, &tell, -1);
}

static void tell_admin(struct channel *channel, const struct config *c,
                       const struct settings_files *f) {
    uint8_t uids[sizeof f->admin_uids];
    struct wire_writer w;
    wire_writer_init(&w, uids, sizeof uids);
    for (size_t i = 0; i < f->admin_uid_count; i++)
        wire_put_u32(&w, f->admin_uids[i]);
    uint8_t names[2048];
    struct wire_writer programs;
    wire_writer_init(&programs, names, sizeof names);
    for (unsigned i = 0; i < c->rotator.programs_count; i++)
        wire_put_bytes(&programs,
                       bytes_of(c->rotator.programs[i], strcspn(c->rotator.programs[i], "=")));
    struct tell_settings_admin tell = {
        .issuer = T(c->issuer), .store_path = T(c->store), .profiles_dir = T(c->profiles),
        .recipes_dir = T(c->recipes), .programs = bytes_of(names, programs.size),
        .allowed_uids = bytes_of(uids, w.size), .tls_certificate = T(f->admin_certificate),
        .tls_key = T(f->admin_key), .issuer_ca = T(f->issuer_ca),
        .oidc_tenant = T(c->admin.oidc_tenant), .ships = config_ships(c),
        .max_connections = c->admin.max_connections,
        .request_deadline_ms = c->admin.request_deadline_ms, .idle_ms = c->admin.idle_ms,
        .log_level = settings_log_level(c)};
    tell_settings_admin(channel, &tell, -1);
}

static void tell_redeemer(struct channel *channel, const struct config *c,
                          const struct settings_files *f) {
    struct tell_settings_redeemer tell = {
        .issuer = T(c->issuer), .store_path = T(c->store), .profiles_dir = T(c->profiles),
        .tls_certificate = T(f->redeemer_certificate), .tls_key = T(f->redeemer_key),
        .max_connections = c->redeemer.max_connections,
        .request_deadline_ms = c->redeemer.request_deadline_ms, .idle_ms = c->redeemer.idle_ms,
        .cache_max_s = c->redeemer.cache_max_s, .log_level = settings_log_level(c)};
    tell_settings_redeemer(channel, &tell, -1);
}

#define DAY_S 86400u

// List of name, kind, tcti, uri, module, pin_file, boot_pcrs (u32), boot_approver[65].
static struct bytes more_devices(const struct config *c, const struct settings_files *f,
                                 uint8_t *room, size_t capacity) {
    struct wire_writer w;
    wire_writer_init(&w, room, capacity);
    for (unsigned i = 0; i < c->more_devices_count; i++) {
        const struct config_device *device = &c->more_devices[i];
        const char *const texts[] = {device->name, device->kind,   device->tcti,
                                     device->uri,  device->module, device->pin_file};
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            wire_put_text(&w, texts[t]);
        wire_put_u32(&w, f->boot[1 + i].pcrs);
        wire_put_raw(&w, bytes_of(f->boot[1 + i].approver, sizeof f->boot[1 + i].approver));
    }
    return bytes_of(room, w.size);
}

static void tell_keeper(struct channel *channel, const struct config *c,
                        const struct settings_files *f) {
    uint8_t room[KEEPER_MORE_DEVICES_MAX];
    struct tell_settings_keeper tell = {
        .device_name = T(c->device.name), .more_devices = more_devices(c, f, room, sizeof room),
        .device_probe_s = c->keeper.device_probe_s, .device_grace_s = c->keeper.device_grace_s,
        .device_timeout_s = c->keeper.device_timeout_s,
        .device_restart_s = c->keeper.device_restart_s,
        .audit_epoch_s = c->keeper.audit_epoch_s,
        .issuer = T(c->issuer), .store_path = T(c->store), .device_kind = T(c->device.kind),
        .device_tcti = T(c->device.tcti), .device_uri = T(c->device.uri),
        .device_module = T(c->device.module), .device_pin_file = T(c->device.pin_file),
        .device_boot_pcrs = f->boot[0].pcrs,
        .token_max_lifetime_s = c->tokens.max_lifetime_s,
        .data_key_idle_s = c->keeper.data_key_idle_s,
        .publication_s = c->rotation.publication_s,
        .intake_overlap_s = c->rotation.intake_overlap_s,
        .checkpoint_overlap_s = c->rotation.checkpoint_overlap_s,
        .records_per_s = c->rotation.records_per_s,
        .signing_age_s = c->rotation.signing_days * DAY_S,
        .intake_age_s = c->rotation.intake_days * DAY_S,
        .tenant_age_s = c->rotation.tenant_days * DAY_S,
        .wrapping_age_s = c->rotation.wrapping_days * DAY_S,
        .system_age_s = c->rotation.system_days * DAY_S,
        .credential_age_s = c->rotation.credential_days * DAY_S,
        .checkpoint_age_s = c->rotation.checkpoint_days * DAY_S,
        .signs_in_device = strcmp(c->tokens.signing_key, "device") == 0,
        .retry_s = c->rotator.retry_s,
        .log_level = settings_log_level(c)};
    memcpy(tell.device_boot_approver, f->boot[0].approver, sizeof tell.device_boot_approver);
    tell_settings_keeper(channel, &tell, -1);
}

static void tell_rotator(struct channel *channel, const struct config *c,
                         const struct settings_files *f) {
    struct tell_settings_rotator tell = {.recipes_dir = T(c->recipes),
                                         .provider_ca = T(f->provider_ca),
                                         .call_timeout_ms = c->rotator.call_timeout_ms,
                                         .log_level = settings_log_level(c)};
    tell_settings_rotator(channel, &tell, -1);
}

static void tell_auditor(struct channel *channel, const struct config *c,
                         const struct settings_files *f) {
    struct tell_settings_auditor tell = {.directory = T(c->audit.directory),
                                         .origin = T(config_origin(c)),
                                         .pseudonym_key = T(f->pseudonym_key),
                                         .archive = T(c->audit.archive),
                                         .log_level = settings_log_level(c)};
    tell_settings_auditor(channel, &tell, -1);
}

static void tell_shipper(struct channel *channel, const struct config *c,
                         const struct settings_files *f) {
    const struct config_shipping *s = &c->shipping;
    struct tell_settings_shipper tell = {
        .log = T(c->audit.directory), .positions = T(s->positions), .syslog = T(s->syslog),
        .syslog_ca = T(f->syslog_ca), .syslog_certificate = T(f->syslog_certificate),
        .syslog_key = T(f->syslog_key), .collector = T(s->collector),
        .collector_ca = T(f->collector_ca), .collector_header = T(f->collector_header),
        .file = T(s->file), .log_level = settings_log_level(c)};
    tell_settings_shipper(channel, &tell, -1);
}

void settings_tell(struct channel *channel, enum ipc_role role, const struct config *config,
                   const struct settings_files *files) {
    switch (role) {
    case IPC_BROKER:
        tell_broker(channel, config, files);
        break;
    case IPC_ADMIN:
        tell_admin(channel, config, files);
        break;
    case IPC_REDEEMER:
        tell_redeemer(channel, config, files);
        break;
    case IPC_KEEPER:
        tell_keeper(channel, config, files);
        break;
    case IPC_AUDITOR:
        tell_auditor(channel, config, files);
        break;
    case IPC_SHIPPER:
        tell_shipper(channel, config, files);
        break;
    case IPC_ROTATOR:
        tell_rotator(channel, config, files);
        break;
    case IPC_SUPERVISOR:
    case IPC_ROLE_COUNT:
        break;
    }
}
