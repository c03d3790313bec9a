# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(jsontext LINK vault_base)
