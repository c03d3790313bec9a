# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(admin_body LINK vault_admin)
