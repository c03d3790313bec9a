# SPDX-License-Identifier: Apache-2.0
vault_unit_test(shipper LINK vault_shipper)
