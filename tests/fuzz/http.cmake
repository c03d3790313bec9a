# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(http1 LINK vault_http)
