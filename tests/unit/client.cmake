# SPDX-License-Identifier: Apache-2.0
vault_unit_test(client LINK vault_client vault_net vault_http vault_crypto)
