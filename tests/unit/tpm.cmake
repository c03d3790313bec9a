# SPDX-License-Identifier: Apache-2.0
vault_unit_test(tpm_boot LINK vault_tpm)
vault_unit_test(tpm_pcr_file LINK vault_tpm)
