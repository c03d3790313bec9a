# SPDX-License-Identifier: Apache-2.0
add_library(test_admin_harness STATIC ${PROJECT_SOURCE_DIR}/tests/unit/admin_harness.c
  ${PROJECT_SOURCE_DIR}/tests/unit/admin_harness_keeper.c)
target_include_directories(test_admin_harness PUBLIC ${PROJECT_SOURCE_DIR})
target_compile_definitions(test_admin_harness PRIVATE VAULT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
target_link_libraries(test_admin_harness PUBLIC vault_admin vault_client)
vault_unit_test(admin LINK test_admin_harness)
vault_unit_test(admin_credential LINK test_admin_harness)
