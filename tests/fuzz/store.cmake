# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(record LINK vault_store)
