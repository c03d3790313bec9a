// SPDX-License-Identifier: Apache-2.0
// libcurl's transfers on a libevent loop: its sockets and its timer are events of ours.
#ifndef VLT_TRANSFER_TRANSFER_LOOP_H
#define VLT_TRANSFER_TRANSFER_LOOP_H

#include <curl/curl.h>

#include "libvault/base/result.h"

struct event_base;
struct transfer_loop;

// A transfer is over. The callee removes `easy` from the loop; it may add others.
typedef void transfer_over_fn(CURL *easy, CURLcode code, void *context);

// libcurl must be initialised. The loop lives as long as `base` at the most.
vlt_result transfer_loop_new(struct event_base *base, transfer_over_fn *over, void *context,
                             struct transfer_loop **ret_loop) VLT_MUST_USE;
// Every transfer was removed before. NULL is fine.
void transfer_loop_free(struct transfer_loop *loop);

vlt_result transfer_loop_add(struct transfer_loop *loop, CURL *easy) VLT_MUST_USE;
void transfer_loop_remove(struct transfer_loop *loop, CURL *easy); // also one never added

#endif
