# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(recipe LINK vault_recipe)
