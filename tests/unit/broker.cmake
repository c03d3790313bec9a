# SPDX-License-Identifier: Apache-2.0
vault_unit_test(broker LINK vault_broker)
vault_unit_test(broker_caller LINK vault_broker)
vault_unit_test(broker_evaluate LINK vault_broker)
