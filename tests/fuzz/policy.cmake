# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(policy_text LINK vault_policy)
vault_fuzz_target(policy_entities LINK vault_policy)
vault_fuzz_target(policy_evaluate LINK vault_policy)
