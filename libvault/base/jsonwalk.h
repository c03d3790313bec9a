// SPDX-License-Identifier: Apache-2.0
// Inside of libvault/base: taking texts out of JSON that jsontext_check has accepted.
// Nothing is checked again: with any other text these read beyond its end.
#ifndef VLT_BASE_JSONWALK_H
#define VLT_BASE_JSONWALK_H

#include "libvault/base/bytes.h"

struct jsonwalk {
    struct bytes json;
    size_t at;
    uint8_t *room; // json.size bytes, for texts that held an escape
    size_t used;
};

static inline void jsonwalk_skip_space(struct jsonwalk *w) {
    while (w->at < w->json.size && w->json.at[w->at] <= ' ')
        w->at++;
}

// At an opening quote; goes behind the closing one. A view into `json`, or into `room`
// when it held an escape: one is never shorter than what it stands for, so that is
// large enough for all texts of `json` together.
struct bytes jsonwalk_text(struct jsonwalk *w);

#endif
