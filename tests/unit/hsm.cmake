# SPDX-License-Identifier: Apache-2.0
add_library(vault_device_fixture STATIC ${PROJECT_SOURCE_DIR}/tests/devices/device_fixture.c)
target_link_libraries(vault_device_fixture PUBLIC vault_hsm)
vault_unit_test(hsm LINK vault_device_fixture)
