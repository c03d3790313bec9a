# SPDX-License-Identifier: Apache-2.0
vault_unit_test(ipc LINK vault_ipc)
