# SPDX-License-Identifier: Apache-2.0
vault_unit_test(sandbox LINK vault_sandbox)
