// SPDX-License-Identifier: Apache-2.0
#include "vaultd/view/credential_view.h"

static vlt_result read_hosts(struct bytes list, struct credential_view *view) {
    struct wire_reader r;
    wire_reader_init(&r, list);
    while (r.next < r.size && !r.failed && view->host_count < RECORD_HOSTS_MAX)
        view->hosts[view->host_count++] = wire_get_bytes(&r, 255);
    return wire_reader_end(&r);
}

vlt_result credential_view_read(struct store *store, uint32_t tenant, struct bytes name,
                                struct credential_view *ret_view) {
    struct credential_view view = {0};
    struct record_credential_state state;
    struct record_credential_secret secret;
    struct bytes value;
    uint8_t room[RECORD_NAME_MAX + 5];
    VLT_TRY(store_get(store, tenant, STORE_CREDENTIAL_STATE, name, &value, NULL));
    VLT_TRY(record_credential_state_get(value, &state));
    if (state.status != RECORD_CREDENTIAL_ACTIVE)
        return vlt_fail(VLT_DENIED, "the credential is disabled");
    VLT_TRY(store_get(store, tenant, STORE_CREDENTIAL_SECRET,
                      record_credential_secret_name(name, state.version, room), &value, NULL));
    VLT_TRY(record_credential_secret_get(value, &secret));
    VLT_TRY(read_hosts(secret.hosts, &view));
    view.version = state.version;
    view.created_at = state.created_at;
    view.profile = secret.profile;
    *ret_view = view;
    return vlt_ok();
}

bool credential_view_serves(const struct credential_view *view, struct bytes host) {
    for (size_t i = 0; i < view->host_count; i++)
        if (bytes_equal_nocase(view->hosts[i], host))
            return true;
    return false;
}
