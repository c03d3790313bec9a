# SPDX-License-Identifier: Apache-2.0
vault_unit_test(forward_profile LINK vault_profile)
vault_unit_test(forward_scan LINK vault_forward)
vault_unit_test(forward_limit LINK vault_forward)
vault_unit_test(forward_usage LINK vault_forward)
vault_unit_test(forward_request LINK vault_forward)
vault_unit_test(forward_answer LINK vault_forward)
vault_unit_test(forward_standing LINK vault_forward)
