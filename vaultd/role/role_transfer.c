// SPDX-License-Identifier: Apache-2.0
#include "vaultd/role/role_transfer.h"

#include "libvault/transfer/transfer.h"
#include "vaultd/log/log.h"

static void told(CURL *easy, CURLcode code) {
    struct transfer_facts facts;
    if (!log_shows(LOG_LEVEL_DEBUG))
        return;
    transfer_facts(easy, code, &facts);
    if (facts.error[0])
        log_debug("%s to %.*s: failed in %lld ms: %s", facts.method, (int)facts.host.size,
                  (const char *)facts.host.at, (long long)facts.took_ms, facts.error);
    else
        log_debug("%s to %.*s: %u in %lld ms", facts.method, (int)facts.host.size,
                  (const char *)facts.host.at, facts.status, (long long)facts.took_ms);
}

void role_transfer_log(void) { transfer_watch(told); }
