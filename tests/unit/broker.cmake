# SPDX-License-Identifier: Apache-2.0
vault_unit_test(broker LINK vault_broker)
