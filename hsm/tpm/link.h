// SPDX-License-Identifier: Apache-2.0
// The way to the TPM: a TCTI context (TCG TSS 2.0 TCTI specification).
//
// The stock device and swtpm TCTIs wait for ever for an answer, so those two
// are ours: a stream or character device with a deadline for each command. (Once
// the kernel's driver works on a command, poll itself waits for it: then the
// driver's own, longer, timeouts end it.)
// Every other configuration goes to tpm2-tss's loader. A resource manager (tabrmd)
// keeps to our deadline as well; simulators have their own idea of waiting.
#ifndef VLT_HSM_TPM_LINK_H
#define VLT_HSM_TPM_LINK_H

#include <tss2/tss2_tcti.h>

#include "libvault/base/fault.h"

struct tpm_link;

// VLT_NOT_FOUND, VLT_DENIED, VLT_UNAVAILABLE, VLT_MALFORMED. The caller owns *ret_link.
vlt_result tpm_link_open(const char *tcti, unsigned timeout_ms, struct fault *fault,
                         struct tpm_link **ret_link) VLT_MUST_USE;
void tpm_link_close(struct tpm_link *link);
TSS2_TCTI_CONTEXT *tpm_link_tcti(struct tpm_link *link);
// The last command got no answer in time.
bool tpm_link_timed_out(const struct tpm_link *link);
// Nobody stands between us and the TPM: its few slots are ours to clean.
bool tpm_link_is_raw(const struct tpm_link *link);

#endif
