# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(pcr_file LINK vault_tpm)
vault_fuzz_target(evidence LINK vault_tpm)
