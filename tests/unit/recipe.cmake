# SPDX-License-Identifier: Apache-2.0
vault_unit_test(recipe LINK vault_recipe)
