# SPDX-License-Identifier: Apache-2.0
vault_unit_test(transfer LINK vault_transfer)
