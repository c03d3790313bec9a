# SPDX-License-Identifier: Apache-2.0
foreach(name jwk jws jwe)
  vault_fuzz_target(${name} LINK vault_crypto)
endforeach()
