# SPDX-License-Identifier: Apache-2.0
vault_fuzz_target(ipc LINK vault_ipc)
