# SPDX-License-Identifier: Apache-2.0
add_library(vault_device_fixture STATIC ${PROJECT_SOURCE_DIR}/tests/devices/device_fixture.c
  ${PROJECT_SOURCE_DIR}/tests/devices/tabrmd.c ${PROJECT_SOURCE_DIR}/tests/devices/tpm_proxy.c)
target_link_libraries(vault_device_fixture PUBLIC vault_hsm)
add_library(vault_p11_shim MODULE ${PROJECT_SOURCE_DIR}/tests/devices/p11_shim.c)
target_include_directories(vault_p11_shim PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(vault_p11_shim PRIVATE PkgConfig::P11KIT ${CMAKE_DL_LIBS})

vault_unit_test(hsm LINK vault_device_fixture)
vault_unit_test(hsm_p11 LINK vault_device_fixture ${CMAKE_DL_LIBS})
add_dependencies(test_hsm_p11 vault_p11_shim)
target_compile_definitions(test_hsm_p11 PRIVATE P11_SHIM_PATH="$<TARGET_FILE:vault_p11_shim>")
vault_unit_test(hsm_tpm LINK vault_device_fixture)
vault_unit_test(hsm_tpm_states LINK vault_device_fixture)
vault_unit_test(hsm_boot LINK vault_device_fixture)
vault_unit_test(hsm_attest LINK vault_device_fixture)
vault_unit_test(hsm_attest_mutation LINK vault_device_fixture)
vault_unit_test(hsm_formats LINK vault_hsm)
vault_unit_test(hsm_p11_faults LINK vault_device_fixture ${CMAKE_DL_LIBS})
add_dependencies(test_hsm_p11_faults vault_p11_shim)
target_compile_definitions(test_hsm_p11_faults PRIVATE P11_SHIM_PATH="$<TARGET_FILE:vault_p11_shim>")
# Every case on six devices: two minutes under a sanitizer.
set_tests_properties(unit.hsm PROPERTIES TIMEOUT 300 COST 60) # the longest first
