# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(redeem_request LINK vault_redeem_request)
vault_fuzz_target(grant LINK vault_redeem_request)
