# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(subject LINK vault_identity)
vault_fuzz_target(dpop LINK vault_identity)
