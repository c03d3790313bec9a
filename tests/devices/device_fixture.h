// SPDX-License-Identifier: Apache-2.0
// Real devices for tests: a SoftHSM (PKCS#11) or a swtpm (TPM 2.0), fresh in a
// temporary folder each time. Failing to start one ends the test program: a
// device test is never skipped. What was started dies with the test program.
#ifndef VLT_TESTS_DEVICES_DEVICE_FIXTURE_H
#define VLT_TESTS_DEVICES_DEVICE_FIXTURE_H

#include <sys/types.h>

#include "hsm/hsm.h"

#define DEVICE_FIXTURE_LABEL "vault-test"
#define DEVICE_FIXTURE_PIN "test-pin-4711"
#define DEVICE_FIXTURE_SO_PIN "test-so-pin-0815"
#define DEVICE_FIXTURE_SOFTHSM "/usr/lib/softhsm/libsofthsm2.so"

#define DEVICE_FIXTURE_TPM2_PKCS11 "libtpm2_pkcs11.so" // found by p11-kit in its own folder

struct device_fixture {
    enum hsm_kind kind;
    bool is_tpm2_pkcs11;          // HSM_PKCS11, by libtpm2-pkcs11 on a swtpm
    char folder[64];              // mkdtemp
    char pin_path[96];            // mode 0600, DEVICE_FIXTURE_PIN
    bool is_managed;              // the swtpm is behind tpm2-abrmd
    pid_t swtpm, tabrmd;          // 0 while they do not run
    struct hsm_settings settings; // ready for hsm_open
};

void device_fixture_start(struct device_fixture *fixture, enum hsm_kind kind);
// A PKCS#11 device whose keys are a TPM's: libtpm2-pkcs11 with its own store on a
// swtpm, with a resource manager in between or without one.
void device_fixture_start_tpm2_pkcs11(struct device_fixture *fixture, bool is_managed);
void device_fixture_stop(struct device_fixture *fixture); // ends it, removes the folder

// Another device in the same place, at the same address.
void device_fixture_replace(struct device_fixture *fixture);
// The device goes away (power off, pulled out), keeps what it holds, comes back.
void device_fixture_unplug(struct device_fixture *fixture);
void device_fixture_plug(struct device_fixture *fixture);
// Extends a PCR of the TPM by 32 bytes of `fill`, as firmware does while it boots;
// nobody else may be connected. Unplugging and plugging resets PCRs, as a reboot does.
void device_fixture_measure(const struct device_fixture *fixture, unsigned pcr, uint8_t fill);
// TPM2_Clear, as firmware or an owner does it: everything of the owner's is gone.
void device_fixture_clear(const struct device_fixture *fixture);
// Another TPM in the same place, with an endorsement certificate by a CA of its own:
// folder/ca/issuercert.pem, under folder/ca/swtpm-localca-rootca-cert.pem.
void device_fixture_endorse(struct device_fixture *fixture);
// SIGSTOP and SIGCONT of the swtpm: a device that hangs.
void device_fixture_freeze(struct device_fixture *fixture);
void device_fixture_thaw(struct device_fixture *fixture);

// Writes text to a file of the folder with that mode and returns its path in `path`.
void device_fixture_write(const struct device_fixture *fixture, const char *name, const char *text,
                          unsigned mode, char path[96]);
// Runs a program to its end, silently; returns the exit code.
int device_fixture_run(const char *const argv[]);
// Starts one that dies with the test program; its output goes to the file `log`, or
// nowhere (NULL). Ended with kill, which waits for its end and sets the pid to 0.
pid_t device_fixture_spawn(const char *const argv[], const char *log);
void device_fixture_kill(pid_t *pid); // 0 is fine
bool device_fixture_listens(const char *path); // does anybody, on that unix socket?
// Says what can not be done, and why (errno), and ends the test program.
void device_fixture_give_up(const char *what, const char *which);

#endif
