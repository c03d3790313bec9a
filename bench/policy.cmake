# SPDX-License-Identifier: Apache-2.0
vault_program(bench_policy SOURCES ${CMAKE_CURRENT_LIST_DIR}/policy.c LINK vault_policy)
