# SPDX-License-Identifier: Apache-2.0
vault_program(bench_token SOURCES ${CMAKE_CURRENT_LIST_DIR}/token.c LINK vault_token vault_identity)
