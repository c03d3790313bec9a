# SPDX-License-Identifier: Apache-2.0
add_library(vault_keeper_fixture STATIC ${PROJECT_SOURCE_DIR}/tests/unit/keeper_fixture.c
  ${PROJECT_SOURCE_DIR}/tests/unit/keeper_fixture_calls.c)
target_link_libraries(vault_keeper_fixture PUBLIC vault_keeper vault_device_fixture)
vault_unit_test(keeper LINK vault_keeper_fixture)
vault_unit_test(keeper_faults LINK vault_keeper_fixture)
vault_unit_test(keeper_gate LINK vault_keeper_fixture)
vault_unit_test(keeper_revoke LINK vault_keeper_fixture)
vault_unit_test(keeper_max_tokens LINK vault_keeper_fixture)
vault_unit_test(keeper_rotation LINK vault_keeper_fixture)
vault_unit_test(keeper_rotation_data LINK vault_keeper_fixture)
vault_unit_test(keeper_rotation_edges LINK vault_keeper_fixture)
vault_unit_test(keeper_credential LINK vault_keeper_fixture)
vault_unit_test(keeper_job LINK vault_keeper_fixture)
vault_unit_test(keeper_checkpoint LINK vault_keeper_fixture vault_auditor)
vault_unit_test(keeper_parts LINK vault_keeper)
vault_unit_test(keeper_program LINK vault_keeper_fixture)
add_dependencies(test_keeper_program vaultd-keeper)
target_compile_definitions(test_keeper_program PRIVATE
  KEEPER_PROGRAM="$<TARGET_FILE:vaultd-keeper>")
vault_unit_test(keeper_signer LINK vault_keeper_fixture ${CMAKE_DL_LIBS})
add_dependencies(test_keeper_signer vault_p11_shim)
target_compile_definitions(test_keeper_signer PRIVATE
  P11_SHIM_PATH="$<TARGET_FILE:vault_p11_shim>")
vault_unit_test(device_thread LINK vault_keeper vault_device_fixture ${CMAKE_DL_LIBS})
add_dependencies(test_device_thread vault_p11_shim)
target_compile_definitions(test_device_thread PRIVATE
  P11_SHIM_PATH="$<TARGET_FILE:vault_p11_shim>")
