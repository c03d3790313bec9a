# SPDX-License-Identifier: Apache-2.0
vault_program(bench_audit SOURCES ${CMAKE_CURRENT_LIST_DIR}/audit.c LINK vault_auditor)
vault_program(bench_audit_log SOURCES ${CMAKE_CURRENT_LIST_DIR}/audit_log.c LINK vault_auditor)
vault_program(auditor_off WHOLE SOURCES auditor_off.c LINK vault_role)
vault_program(auditor_floor WHOLE SOURCES auditor_floor.c LINK vault_worker vault_role)
vault_program(auditor_slow WHOLE SOURCES ${CMAKE_CURRENT_LIST_DIR}/slow_sync.c
  ${PROJECT_SOURCE_DIR}/vaultd/auditor/main.c LINK vault_auditor vault_role)
