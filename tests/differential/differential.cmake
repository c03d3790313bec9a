# SPDX-License-Identifier: Apache-2.0
# Our half of the comparison with the official Cedar engine; see README.md.
vault_program(cedar_answer SOURCES ${CMAKE_CURRENT_LIST_DIR}/cedar_answer.c LINK vault_policy)
vault_program(cedar_schema SOURCES ${CMAKE_CURRENT_LIST_DIR}/cedar_schema.c LINK vault_policy)
