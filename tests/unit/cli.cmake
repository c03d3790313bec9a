# SPDX-License-Identifier: Apache-2.0
vault_unit_test(cli LINK vault_cli test_admin_harness)
target_compile_definitions(test_cli PRIVATE VAULTCTL_PROGRAM="$<TARGET_FILE:vaultctl>")
add_dependencies(test_cli vaultctl)
vault_unit_test(cli_timestamp LINK vault_cli)
vault_unit_test(cli_bind LINK vault_net vault_http vault_crypto vault_base PkgConfig::CURL)
target_compile_definitions(test_cli_bind PRIVATE VAULTCTL_PROGRAM="$<TARGET_FILE:vaultctl>")
add_dependencies(test_cli_bind vaultctl)
