// SPDX-License-Identifier: Apache-2.0
#include "tests/devices/device_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/devices/tabrmd.h"

// libtpm2-pkcs11 1.9 keeps a little each time that its TPM does not answer, and the
// point of each EC key that it makes. Leaks of ours are still found.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libtpm2_pkcs11.so\nleak:ASN1_STRING_set\n";
}

void device_fixture_give_up(const char *what, const char *which) {
    fprintf(stderr, "device fixture: %s %s: %s\n", what, which, strerror(errno));
    exit(99); // not the exit code of a skipped test
}

pid_t device_fixture_spawn(const char *const argv[], const char *log) {
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        device_fixture_give_up("cannot fork for", argv[0]);
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    int out = open(log ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(out, 1);
    dup2(out, 2);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

int device_fixture_run(const char *const argv[]) {
    int status = 0;
    pid_t pid = device_fixture_spawn(argv, NULL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void device_fixture_kill(pid_t *pid) {
    if (!*pid)
        return;
    kill(*pid, SIGKILL);
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    *pid = 0;
}

void device_fixture_write(const struct device_fixture *fixture, const char *name, const char *text,
                          unsigned mode, char path[96]) {
    snprintf(path, 96, "%s/%s", fixture->folder, name);
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fchmod(fd, mode))
        device_fixture_give_up("cannot write", path);
    close(fd);
}

// --- SoftHSM ----------------------------------------------------------------

static void softhsm_init_device(struct device_fixture *fixture) {
    char tokens[96];
    snprintf(tokens, sizeof tokens, "%s/tokens", fixture->folder);
    if (mkdir(tokens, 0700) && errno != EEXIST)
        device_fixture_give_up("cannot make", tokens);
    const char *const argv[] = {"softhsm2-util", "--init-token",         "--free",
                                "--label",       DEVICE_FIXTURE_LABEL,   "--pin",
                                DEVICE_FIXTURE_PIN, "--so-pin", DEVICE_FIXTURE_SO_PIN, NULL};
    if (device_fixture_run(argv))
        device_fixture_give_up("softhsm2-util failed in", tokens);
}

static void softhsm_start(struct device_fixture *fixture) {
    char text[256], path[96];
    snprintf(text, sizeof text,
             "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
             "slots.removable = false\n",
             fixture->folder);
    device_fixture_write(fixture, "softhsm2.conf", text, 0600, path);
    setenv("SOFTHSM2_CONF", path, 1);
    softhsm_init_device(fixture);
    struct hsm_settings *s = &fixture->settings;
    snprintf(s->p11_uri, sizeof s->p11_uri, "pkcs11:token=%s?module-path=%s", DEVICE_FIXTURE_LABEL,
             DEVICE_FIXTURE_SOFTHSM);
    snprintf(s->pin_source, sizeof s->pin_source, "%s", fixture->pin_path);
}

static void softhsm_move(struct device_fixture *fixture, const char *from, const char *to) {
    char old[96], new[96];
    snprintf(old, sizeof old, "%s/%s", fixture->folder, from);
    snprintf(new, sizeof new, "%s/%s", fixture->folder, to);
    if (rename(old, new))
        device_fixture_give_up("cannot move", old);
}

// --- swtpm ------------------------------------------------------------------

bool device_fixture_listens(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = !connect(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    return answers;
}

static void swtpm_run(struct device_fixture *fixture) {
    char state[128], server[160], control[160], path[96], log[96];
    snprintf(path, sizeof path, "%s/tpm.sock", fixture->folder);
    snprintf(log, sizeof log, "%s/swtpm.log", fixture->folder);
    snprintf(state, sizeof state, "dir=%s/tpm", fixture->folder);
    snprintf(server, sizeof server, "type=unixio,path=%s", path);
    snprintf(control, sizeof control, "type=unixio,path=%s.ctrl", path); // tpm2-tss wants it there
    unlink(path);
    const char *const argv[] = {"swtpm",    "socket", "--tpm2",  "--tpmstate",
                                state,      "--server", server,  "--ctrl",
                                control,    "--flags",  "not-need-init,startup-clear", NULL};
    fixture->swtpm = device_fixture_spawn(argv, log);
    for (unsigned i = 0; i < 1000; i++) {
        if (device_fixture_listens(path))
            return;
        if (waitpid(fixture->swtpm, NULL, WNOHANG) == fixture->swtpm)
            break;
        poll(NULL, 0, 10);
    }
    device_fixture_give_up("swtpm does not start, see", log);
}

// The manager first: it would hold on to a TPM that is gone.
static void swtpm_kill(struct device_fixture *fixture) {
    tabrmd_kill(fixture);
    device_fixture_kill(&fixture->swtpm);
}

static void swtpm_start(struct device_fixture *fixture) {
    char state[96];
    snprintf(state, sizeof state, "%s/tpm", fixture->folder);
    if (mkdir(state, 0700))
        device_fixture_give_up("cannot make", state);
    struct hsm_settings *s = &fixture->settings;
    snprintf(s->tcti, sizeof s->tcti, "swtpm:path=%s/tpm.sock", fixture->folder);
    swtpm_run(fixture);
}

// --- libtpm2-pkcs11 ---------------------------------------------------------

static void tpm2_pkcs11_init_device(void) {
    const char *const make[] = {"pkcs11-tool", "--module", "libtpm2_pkcs11.so.1", "--init-token",
                                "--slot-index", "0", "--label", DEVICE_FIXTURE_LABEL, "--so-pin",
                                DEVICE_FIXTURE_SO_PIN, NULL};
    const char *const pin[] = {"pkcs11-tool", "--module", "libtpm2_pkcs11.so.1", "--token-label",
                               DEVICE_FIXTURE_LABEL, "--login", "--so-pin", DEVICE_FIXTURE_SO_PIN,
                               "--init-pin", "--new-pin", DEVICE_FIXTURE_PIN, NULL};
    if (device_fixture_run(make) || device_fixture_run(pin))
        device_fixture_give_up("no device could be made with", "libtpm2-pkcs11");
}

// TPM2_DictionaryAttackParameters as makers of real TPMs set them: 32 tries. A
// swtpm is born with 3, and three power cuts lock it, which count as tries.
static void swtpm_set_tries(const struct device_fixture *fixture) {
    static const uint8_t command[] = {0x80, 0x02, 0, 0, 0, 39, 0, 0, 0x01, 0x3a, // header
                                      0x40, 0, 0, 0x0a, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0,
                                      0, 0, 0, 32, 0, 0, 0x03, 0xe8, 0, 0, 0x03, 0xe8};
    uint8_t answer[64] = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/tpm.sock", fixture->folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) ||
        write(fd, command, sizeof command) != sizeof command ||
        read(fd, answer, sizeof answer) < 10 || answer[6] || answer[7] || answer[8] || answer[9])
        device_fixture_give_up("TPM2_DictionaryAttackParameters failed at", address.sun_path);
    close(fd);
}

static void tpm2_pkcs11_start(struct device_fixture *fixture) {
    char folder[96], tcti[128];
    snprintf(folder, sizeof folder, "%s/store", fixture->folder);
    if (mkdir(folder, 0700))
        device_fixture_give_up("cannot make", folder);
    swtpm_start(fixture);
    swtpm_set_tries(fixture);
    snprintf(tcti, sizeof tcti, "swtpm:path=%s/tpm.sock", fixture->folder);
    if (fixture->is_managed) {
        tabrmd_start(fixture);
        snprintf(tcti, sizeof tcti, "%s", TABRMD_TCTI);
    }
    setenv("TPM2_PKCS11_TCTI", tcti, 1);
    setenv("TPM2_PKCS11_STORE", folder, 1);
    setenv("TSS2_LOG", "all+none", 1);
    tpm2_pkcs11_init_device();
    struct hsm_settings *s = &fixture->settings;
    snprintf(s->p11_uri, sizeof s->p11_uri, "pkcs11:token=%s?module-path=%s", DEVICE_FIXTURE_LABEL,
             DEVICE_FIXTURE_TPM2_PKCS11);
    snprintf(s->pin_source, sizeof s->pin_source, "%s", fixture->pin_path);
}

// --- all --------------------------------------------------------------------

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    return remove(path);
}

static void remove_folder(const struct device_fixture *fixture, const char *name) {
    char path[96];
    snprintf(path, sizeof path, "%s%s%s", fixture->folder, name[0] ? "/" : "", name);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void device_begin(struct device_fixture *fixture, enum hsm_kind kind) {
    *fixture = (struct device_fixture){.kind = kind, .settings = {.kind = kind}};
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/vault-device-XXXXXX");
    if (!mkdtemp(fixture->folder))
        device_fixture_give_up("cannot make", fixture->folder);
    device_fixture_write(fixture, "pin", DEVICE_FIXTURE_PIN "\n", 0600, fixture->pin_path);
}

void device_fixture_start_tpm2_pkcs11(struct device_fixture *fixture, bool is_managed) {
    device_begin(fixture, HSM_PKCS11);
    fixture->is_tpm2_pkcs11 = true;
    fixture->is_managed = is_managed;
    tpm2_pkcs11_start(fixture);
}

void device_fixture_start(struct device_fixture *fixture, enum hsm_kind kind) {
    device_begin(fixture, kind);
    if (kind == HSM_TPM)
        swtpm_start(fixture);
    else
        softhsm_start(fixture);
}

void device_fixture_stop(struct device_fixture *fixture) {
    swtpm_kill(fixture);
    remove_folder(fixture, "");
}

void device_fixture_replace(struct device_fixture *fixture) {
    if (fixture->is_tpm2_pkcs11) {
        swtpm_kill(fixture);
        remove_folder(fixture, "tpm");
        remove_folder(fixture, "store");
        tpm2_pkcs11_start(fixture);
    } else if (fixture->kind == HSM_TPM) {
        swtpm_kill(fixture);
        remove_folder(fixture, "tpm");
        swtpm_start(fixture);
    } else {
        remove_folder(fixture, "tokens");
        softhsm_init_device(fixture);
    }
}

static bool is_behind_swtpm(const struct device_fixture *fixture) {
    return fixture->kind == HSM_TPM || fixture->is_tpm2_pkcs11;
}

void device_fixture_unplug(struct device_fixture *fixture) {
    if (is_behind_swtpm(fixture))
        swtpm_kill(fixture);
    else
        softhsm_move(fixture, "tokens", "tokens.away");
}

void device_fixture_plug(struct device_fixture *fixture) {
    if (is_behind_swtpm(fixture))
        swtpm_run(fixture);
    if (fixture->is_managed)
        tabrmd_start(fixture);
    if (!is_behind_swtpm(fixture))
        softhsm_move(fixture, "tokens.away", "tokens");
}

// One command over a connection of its own; the TPM must like it.
static void swtpm_command(const struct device_fixture *fixture, const uint8_t *command,
                          size_t size) {
    uint8_t answer[64];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/tpm.sock", fixture->folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) ||
        send(fd, command, size, MSG_NOSIGNAL) != (ssize_t)size ||
        recv(fd, answer, sizeof answer, 0) < 10 || answer[6] | answer[7] | answer[8] | answer[9])
        device_fixture_give_up("a command failed on the TPM in", fixture->folder);
    close(fd);
}

void device_fixture_measure(const struct device_fixture *fixture, unsigned pcr, uint8_t fill) {
    // TPM2_PCR_Extend with an empty password, one digest, SHA-256 (part 3, 22.2).
    uint8_t command[65] = {0x80, 0x02, 0, 0, 0, 65, 0, 0, 0x01, 0x82, 0, 0, 0, (uint8_t)pcr,
                           0,    0,    0, 9, 0x40, 0, 0, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x0b};
    memset(command + 33, fill, 32);
    swtpm_command(fixture, command, sizeof command);
}

void device_fixture_clear(const struct device_fixture *fixture) {
    // TPM2_Clear by the lockout hierarchy with an empty password (part 3, 24.6).
    static const uint8_t command[] = {0x80, 0x02, 0, 0, 0, 27, 0, 0, 0x01, 0x26, 0x40, 0, 0, 0x0a,
                                      0,    0,    0, 9, 0x40, 0, 0, 0x09, 0, 0, 0, 0, 0};
    swtpm_command(fixture, command, sizeof command);
}

void device_fixture_endorse(struct device_fixture *fixture) {
    char text[600], conf[96], options[96], setup[96], state[96], log[96];
    const char *f = fixture->folder;
    swtpm_kill(fixture);
    remove_folder(fixture, "tpm");
    snprintf(state, sizeof state, "%s/tpm", f);
    snprintf(log, sizeof log, "%s/setup.log", f);
    if (mkdir(state, 0700))
        device_fixture_give_up("cannot make", state);
    snprintf(state, sizeof state, "%s/ca", f);
    (void)mkdir(state, 0700); // a second TPM has the same CA
    snprintf(text, sizeof text,
             "statedir = %s/ca\nsigningkey = %s/ca/signkey.pem\nissuercert = %s/ca/issuercert.pem\n"
             "certserial = %s/ca/certserial\n",
             f, f, f, f);
    device_fixture_write(fixture, "ca.conf", text, 0600, conf);
    device_fixture_write(fixture, "ca.options", "--platform-manufacturer Test\n", 0600, options);
    snprintf(text, sizeof text,
             "create_certs_tool= /usr/bin/swtpm_localca\ncreate_certs_tool_config = %s\n"
             "create_certs_tool_options = %s\nactive_pcr_banks = sha256\n",
             conf, options);
    device_fixture_write(fixture, "setup.conf", text, 0600, setup);
    snprintf(state, sizeof state, "%s/tpm", f);
    const char *const argv[] = {"swtpm_setup", "--tpm2",           "--tpmstate", state, "--config",
                                setup,         "--create-ek-cert", "--logfile",  log,   NULL};
    if (device_fixture_run(argv))
        device_fixture_give_up("swtpm_setup failed, see", log);
    swtpm_run(fixture);
}

void device_fixture_freeze(struct device_fixture *fixture) {
    int status = 0;
    kill(fixture->swtpm, SIGSTOP);
    waitpid(fixture->swtpm, &status, WUNTRACED);
}

void device_fixture_thaw(struct device_fixture *fixture) { kill(fixture->swtpm, SIGCONT); }
