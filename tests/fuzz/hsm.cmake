# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(hsm_record LINK vault_hsm)
