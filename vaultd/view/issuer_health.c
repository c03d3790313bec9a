// SPDX-License-Identifier: Apache-2.0
#include "vaultd/view/issuer_health.h"

#include "vaultd/log/log.h"

static void on_health(const char *issuer, const char *url, const char *fault, void *context) {
    (void)context;
    if (fault[0])
        log_warning("the keys of the issuer %s can not be fetched from %s: %s; its tokens are "
                    "refused unless their key was fetched before",
                    issuer, url, fault);
    else
        log_notice("the keys of the issuer %s can be fetched again", issuer);
}

void issuer_health_log(struct jwks_cache *cache) { jwks_cache_watch(cache, on_health, NULL); }
