# SPDX-License-Identifier: Apache-2.0
vault_unit_test(base LINK vault_base)
vault_unit_test(jsonflat LINK vault_base)
vault_unit_test(jsontext LINK vault_base)
