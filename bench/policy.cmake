# SPDX-License-Identifier: Apache-2.0
vault_program(bench_policy WHOLE SOURCES ${CMAKE_CURRENT_LIST_DIR}/policy.c LINK vault_policy)
