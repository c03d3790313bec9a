# SPDX-License-Identifier: Apache-2.0
vault_unit_test(policy_text LINK vault_policy)
vault_unit_test(policy_eval LINK vault_policy)
vault_unit_test(policy_ext LINK vault_policy)
vault_unit_test(policy_request LINK vault_policy)
vault_unit_test(policy_decide LINK vault_policy)
vault_unit_test(policy_index LINK vault_policy)
vault_unit_test(policy_words LINK vault_role_policy)
include(${PROJECT_SOURCE_DIR}/tests/differential/differential.cmake)
