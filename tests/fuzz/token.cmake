# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(claims LINK vault_token)
vault_fuzz_target(oauth_form LINK vault_token vault_http)
