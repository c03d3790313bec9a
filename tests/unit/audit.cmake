# SPDX-License-Identifier: Apache-2.0
foreach(part merkle note handover pruned pseudonym verify witness)
  vault_unit_test(audit_${part} LINK vault_audit)
endforeach()
