# SPDX-License-Identifier: Apache-2.0
vault_unit_test(token LINK vault_token)
vault_unit_test(token_scope LINK vault_token)
