# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(model_scan LINK vault_forward vault_base)
