# SPDX-License-Identifier: Apache-2.0
vault_unit_test(net LINK vault_net)
vault_unit_test(net_lifetime LINK vault_net)
vault_unit_test(net_tls LINK vault_net)
vault_unit_test(net_tls_memory LINK vault_net)
vault_unit_test(net_gate LINK vault_net)
vault_unit_test(net_refusal LINK vault_net)
