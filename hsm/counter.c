// SPDX-License-Identifier: Apache-2.0
#include "hsm/device.h"

static vlt_result counter_decode(const struct hsm *hsm, const struct hsm_counter *counter,
                                 struct fault *fault, struct record_counter *ret_record) {
    if (counter->size > sizeof counter->at)
        return vlt_fail(VLT_BUG, "counter record has no valid size");
    struct record_counter record;
    vlt_result result = record_counter_decode(bytes_of(counter->at, counter->size), &record);
    if (!vlt_is_ok(result) || record.kind != hsm->settings.kind)
        return fault_set(fault, vlt_is_ok(result) ? VLT_CONFLICT : VLT_MALFORMED,
                         "counter record does not fit the device",
                         "the store's record of its rollback counter is damaged or belongs to "
                         "another kind of device: attach the device of before, or recover");
    *ret_record = record;
    return vlt_ok();
}

static vlt_result step_counter_create(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    VLT_TRY(hsm->ops->counter_create(hsm, call->counter, fault));
    return hsm->ops->counter_read(hsm, call->counter, fault, &call->value);
}

vlt_result hsm_counter_create(struct hsm *hsm, struct fault *fault, struct hsm_counter *ret_counter,
                              uint64_t *ret_value) {
    struct record_counter record = {.kind = hsm->settings.kind};
    struct hsm_call call = {.step = step_counter_create, .is_once = true, .counter = &record};
    VLT_TRY(hsm_run(hsm, &call, fault));
    VLT_TRY(record_counter_encode(&record, ret_counter));
    *ret_value = call.value;
    return vlt_ok();
}

static vlt_result step_counter_read(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    return hsm->ops->counter_read(hsm, call->counter, fault, &call->value);
}

vlt_result hsm_counter_read(struct hsm *hsm, const struct hsm_counter *counter, struct fault *fault,
                            uint64_t *ret_value) {
    struct record_counter record;
    VLT_TRY(counter_decode(hsm, counter, fault, &record));
    struct hsm_call call = {.step = step_counter_read, .counter = &record};
    VLT_TRY(hsm_run(hsm, &call, fault));
    *ret_value = call.value;
    return vlt_ok();
}

// Reads first: after a lost answer nobody knows whether the step was made.
static vlt_result step_counter_advance(struct hsm *hsm, struct hsm_call *call,
                                       struct fault *fault) {
    uint64_t now = 0;
    VLT_TRY(hsm->ops->counter_read(hsm, call->counter, fault, &now));
    if (now == call->value)
        return vlt_ok();
    if (now + 1 != call->value)
        return fault_set(fault, VLT_CONFLICT, "rollback counter is elsewhere",
                         "the rollback counter in the device is at %llu and cannot move to %llu: "
                         "another vault uses it, or an old copy of the store was put back",
                         (unsigned long long)now, (unsigned long long)call->value);
    return hsm->ops->counter_advance(hsm, call->counter, fault);
}

vlt_result hsm_counter_advance(struct hsm *hsm, const struct hsm_counter *counter, uint64_t target,
                               struct fault *fault) {
    struct record_counter record;
    VLT_TRY(counter_decode(hsm, counter, fault, &record));
    struct hsm_call call = {.step = step_counter_advance, .counter = &record, .value = target};
    return hsm_run(hsm, &call, fault);
}

static vlt_result step_counter_destroy(struct hsm *hsm, struct hsm_call *call,
                                       struct fault *fault) {
    return hsm->ops->counter_destroy(hsm, call->counter, fault);
}

vlt_result hsm_counter_destroy(struct hsm *hsm, const struct hsm_counter *counter,
                               struct fault *fault) {
    struct record_counter record;
    VLT_TRY(counter_decode(hsm, counter, fault, &record));
    struct hsm_call call = {.step = step_counter_destroy, .is_once = true, .counter = &record};
    return hsm_run(hsm, &call, fault);
}
