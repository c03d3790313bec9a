# SPDX-License-Identifier: Apache-2.0
vault_unit_test(config LINK vault_config)
