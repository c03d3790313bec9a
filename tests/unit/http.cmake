# SPDX-License-Identifier: Apache-2.0
vault_unit_test(http LINK vault_http)
vault_unit_test(http_pieces LINK vault_http)
vault_unit_test(http_parts LINK vault_http)
