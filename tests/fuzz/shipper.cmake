# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(shipper LINK vault_shipper)
