# SPDX-License-Identifier: Apache-2.0
vault_unit_test(cli LINK vault_cli test_admin_harness)
target_compile_definitions(test_cli PRIVATE VAULTCTL_PROGRAM="$<TARGET_FILE:vaultctl>")
add_dependencies(test_cli vaultctl)
