# SPDX-License-Identifier: Apache-2.0
vault_unit_test(identity LINK vault_identity)
vault_unit_test(identity_dpop LINK vault_identity)
vault_unit_test(identity_pieces LINK vault_identity)
vault_unit_test(identity_jwks LINK vault_identity vault_net)
