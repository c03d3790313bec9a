# SPDX-License-Identifier: Apache-2.0
foreach(name note checkpoint pruned tlog_proof witness quorum)
  vault_fuzz_target(${name} LINK vault_audit)
endforeach()
