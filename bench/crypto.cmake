# SPDX-License-Identifier: Apache-2.0
vault_program(bench_crypto SOURCES ${CMAKE_CURRENT_LIST_DIR}/crypto.c LINK vault_crypto)
