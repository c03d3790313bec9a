# SPDX-License-Identifier: Apache-2.0
vault_unit_test(store LINK vault_store)
vault_unit_test(store_change LINK vault_store)
vault_unit_test(store_scrub LINK vault_store)
vault_unit_test(store_scrub_pages LINK vault_store)
vault_unit_test(store_scrub_sync LINK vault_store)
target_link_options(test_store_scrub_sync PRIVATE
  -Wl,--wrap=pread -Wl,--wrap=pwrite -Wl,--wrap=fdatasync)
vault_unit_test(record LINK vault_store vault_secret)
vault_unit_test(record_binary LINK vault_store vault_secret)
