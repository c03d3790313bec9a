// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/datakey_use.h"

#include <stdlib.h>

struct datakey_use {
    uint32_t tenant, number;
    struct datakey_use *next, **link;
};

struct datakey_use *datakey_use_begin(struct keeper *keeper, uint32_t tenant, uint32_t number) {
    struct datakey_use *use = malloc(sizeof *use);
    if (!use)
        return NULL;
    *use = (struct datakey_use){tenant, number, keeper->datakey_uses, &keeper->datakey_uses};
    if (use->next)
        use->next->link = &use->next;
    keeper->datakey_uses = use;
    return use;
}

void datakey_use_end(struct keeper *keeper, struct datakey_use *use) {
    if (!use)
        return;
    *use->link = use->next;
    if (use->next)
        use->next->link = use->link;
    free(use);
}

bool datakey_use_of_other(const struct keeper *keeper, uint32_t tenant, uint32_t number) {
    for (const struct datakey_use *use = keeper->datakey_uses; use; use = use->next)
        if (use->tenant == tenant && use->number != number)
            return true;
    return false;
}
