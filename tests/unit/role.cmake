# SPDX-License-Identifier: Apache-2.0
vault_unit_test(worker LINK vault_worker)
