# SPDX-License-Identifier: Apache-2.0
foreach(part aead digest jwk jws jwe pkey recovery)
  vault_unit_test(crypto_${part} LINK vault_crypto)
endforeach()
