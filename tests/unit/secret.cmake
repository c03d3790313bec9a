# SPDX-License-Identifier: Apache-2.0
vault_unit_test(secret LINK vault_secret)
vault_unit_test(secret_file LINK vault_secret)
