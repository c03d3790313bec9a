# SPDX-License-Identifier: Apache-2.0
vault_unit_test(audit_event LINK vault_audit)
vault_unit_test(auditor LINK vault_auditor)
vault_unit_test(auditor_crash LINK vault_auditor)
vault_unit_test(auditor_retention LINK vault_auditor)
vault_unit_test(auditor_repeats LINK vault_auditor)
vault_unit_test(auditor_speaker LINK vault_auditor)
vault_unit_test(log_index LINK vault_auditor)
