// SPDX-License-Identifier: Apache-2.0
#include "vaultd/view/serving.h"

#include <stdlib.h>

struct asking {
    unsigned waiting; // answers that are still to come
    vlt_result result;
    serving_known *known;
    void *context;
};

static void answered(vlt_result result, const struct answer_serving *answer, void *context) {
    struct asking *asking = context;
    if (vlt_is_ok(asking->result))
        asking->result = result;
    if (--asking->waiting)
        return;
    asking->known(asking->result, asking->context);
    free(asking);
}

void serving_ask(struct channel *keeper, struct channel *auditor, serving_known *known,
                 void *context) {
    const struct ask_serving ask = {0};
    struct asking *asking = malloc(sizeof *asking);
    if (!asking) {
        known(vlt_fail(VLT_UNAVAILABLE, "out of memory"), context);
        return;
    }
    *asking = (struct asking){2, vlt_ok(), known, context};
    ask_serving(keeper, &ask, answered, asking);
    ask_serving(auditor, &ask, answered, asking);
}
