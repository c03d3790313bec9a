# SPDX-License-Identifier: Apache-2.0
if(TARGET vault_keeper_fixture)
  add_executable(bench_rotate ${CMAKE_CURRENT_LIST_DIR}/rotate.c)
  target_include_directories(bench_rotate PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(bench_rotate PRIVATE vault_keeper_fixture)
endif()
