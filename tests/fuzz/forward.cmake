# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(model_scan LINK vault_forward)
vault_fuzz_target(usage_scan LINK vault_forward)
vault_fuzz_target(echo_scan LINK vault_forward)
vault_fuzz_target(forward_request LINK vault_forward)
vault_fuzz_target(forward_answer LINK vault_forward)
