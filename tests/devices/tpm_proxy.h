// SPDX-License-Identifier: Apache-2.0
// Stands between us and a swtpm: forwards commands, keeps a transcript of the
// bus, and makes the faults that a healthy swtpm does not make.
#ifndef VLT_TESTS_DEVICES_TPM_PROXY_H
#define VLT_TESTS_DEVICES_TPM_PROXY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tpm_proxy_fault {
    TPM_PROXY_ANSWER,  // answers itself with a response code
    TPM_PROXY_GARBAGE, // answers with bytes that are no response
    TPM_PROXY_CUT,     // closes after half a response
    TPM_PROXY_SILENCE, // never answers
    TPM_PROXY_FORGE,   // answers itself with a whole response
    TPM_PROXY_DELAY,   // answers `code` milliseconds late
    TPM_PROXY_FLIP,    // flips a bit in the last byte of the response
};

struct tpm_proxy {
    char path[96], server_path[96];
    int listener;
    pthread_t thread;
    pthread_mutex_t lock; // for what follows
    bool stopping;
    enum tpm_proxy_fault fault;
    uint32_t command; // that fails; 0 = any
    uint32_t code;    // for TPM_PROXY_ANSWER
    unsigned times;   // how often it still fails
    unsigned seen;    // commands of that code, failed or not
    uint8_t forged[512]; // for TPM_PROXY_FORGE
    size_t forged_bytes;
    size_t transcript_bytes;
    uint8_t transcript[1 << 20];
};

// Listens at folder/proxy.sock for the swtpm at folder/tpm.sock.
struct tpm_proxy *tpm_proxy_start(const char *folder);
void tpm_proxy_stop(struct tpm_proxy *proxy);
// The next `times` commands of that code fail so.
void tpm_proxy_fail(struct tpm_proxy *proxy, uint32_t command, unsigned times,
                    enum tpm_proxy_fault fault, uint32_t code);
// … get this answer, which has at most 512 bytes.
void tpm_proxy_forge(struct tpm_proxy *proxy, uint32_t command, unsigned times, const void *answer,
                     size_t size);
bool tpm_proxy_saw(struct tpm_proxy *proxy, const void *at, size_t size);
unsigned tpm_proxy_count(struct tpm_proxy *proxy); // of the command of tpm_proxy_fail

#endif
