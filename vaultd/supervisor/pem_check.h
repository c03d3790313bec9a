// SPDX-License-Identifier: Apache-2.0
// Whether the PEM files of the configuration hold what they must, before a process is
// told: then --check sees it, the message names the file, and a reload with a broken one
// changes nothing. The roles read the same texts again.
#ifndef VLT_SUPERVISOR_PEM_CHECK_H
#define VLT_SUPERVISOR_PEM_CHECK_H

#include "libvault/base/fault.h"

struct pem_file {
    const char *key;  // of the configuration: "broker.tls_key"
    const char *path;
    const char *text; // NULL: not configured
};

// At least one certificate, and nothing broken. VLT_MALFORMED.
vlt_result pem_check_certificates(const struct pem_file *file, struct fault *fault) VLT_MUST_USE;
// A certificate chain and the unencrypted private key of its first one. VLT_MALFORMED.
vlt_result pem_check_pair(const struct pem_file *chain, const struct pem_file *key,
                          struct fault *fault) VLT_MUST_USE;

#endif
