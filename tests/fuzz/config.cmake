# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(config LINK vault_config)
