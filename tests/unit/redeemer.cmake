# SPDX-License-Identifier: Apache-2.0
vault_unit_test(redeem_request LINK vault_redeem_request)
vault_unit_test(verdict_memo LINK vault_redeem_request)
vault_unit_test(grant LINK vault_redeem_request)
