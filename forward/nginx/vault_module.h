// SPDX-License-Identifier: Apache-2.0
// The nginx module: what its files share. Every name here is internal.
//
// A request passes through the files in this order: vault_mask (a token in the
// query must not reach a log) → vault_handler → vault_take (carriers out) →
// vault_body (model) → vault_cache or vault_link (redeemer) → nginx's proxy →
// vault_inject (credential in, answer checked) → vault_echo (no credential in the answer)
// → vault_meter (what the answer cost).
// vault_refuse answers instead. While
// it is under way vault_open has it in a list: vault_watch hears that something was
// taken back, vault_standing asks what that ends, vault_open cuts it.
#ifndef VLT_FORWARD_NGINX_VAULT_MODULE_H
#define VLT_FORWARD_NGINX_VAULT_MODULE_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <ngx_http.h>

#include "forward/core/answer.h"
#include "forward/core/ask.h"
#include "forward/core/body_look.h"
#include "forward/core/echo_scan.h"
#include "forward/core/head.h"
#include "forward/core/model_scan.h"
#include "forward/core/profile.h"
#include "forward/core/reply.h"
#include "forward/core/usage_scan.h"

extern ngx_module_t ngx_http_vault_module;

#define VAULT_KEY_BYTES 32
#define VAULT_SILENCE_MS 3000 // without a word from the watch nothing is served from the cache
#define VAULT_LINKS_IDLE_MAX 64

// ---- Configuration ----

typedef struct vault_main_conf_s vault_main_conf_t;
typedef struct vault_asker_s vault_asker_t;

typedef struct {
    ngx_event_t event;
    ngx_connection_t none; // nginx's debug log wants one; holds the owner
} vault_timer_t;

typedef struct { // of this worker, but for the first two
    ngx_addr_t addr;
    ngx_flag_t cuts; // some location ends requests that lost what they were granted on
    ngx_queue_t idle; // vault_link_t, kept alive
    ngx_uint_t idle_count;

    ngx_connection_t *watch; // NULL: none
    ngx_peer_connection_t watch_peer;
    vault_timer_t watch_again;
    struct watch_reader reader;
    vault_main_conf_t *cache; // that this watch keeps good; NULL: none
    unsigned is_lost : 1;     // the watch, and that was said

    // Requests under way, vault_ctx_t.open.
    ngx_queue_t standing_requests, doubtful_requests, asked_requests;
    unsigned has_standing : 1;
    unsigned is_outdated : 1; // the watch said something since the last question was asked
    uint64_t standing;        // as the watch said it last
    vault_asker_t *asker;     // NULL: nothing was in doubt yet
} vault_redeemer_t;

// TOKEN: a body that is not read for its model is read for a token with max_tokens.
typedef enum { VAULT_MAX_TOKENS_TOKEN, VAULT_MAX_TOKENS_ON } vault_max_tokens_e;

typedef enum { VAULT_MODEL_OFF, VAULT_MODEL_ON, VAULT_MODEL_PATH } vault_model_e;

typedef struct {
    ngx_flag_t redeem;
    vault_redeemer_t *redeemer;
    ngx_str_t destination; // "https://api.openai.com"
    ngx_str_t host;        // "api.openai.com" or "api.openai.com:8443"
    ngx_str_t host_name;   // without the port
    ngx_flag_t is_https;
    ngx_str_t origin; // "https://llm.example.com", no slash at the end
    ngx_msec_t timeout_ms;
    ngx_int_t cache_max_s; // 0: off
    ngx_uint_t model;      // vault_model_e
    ngx_uint_t max_tokens; // vault_max_tokens_e
    ngx_str_t profile_name;
    const struct profile *profile; // NULL: none configured
    struct head_strip strip;
    ngx_flag_t needs_verified_tls;
    ngx_flag_t cut_streams;
    ngx_flag_t meter;
    ngx_flag_t cover_echoes;

    // What proxy_pass of this location says.
    ngx_str_t pass_url, pass_uri, pass_location, pass_host;
    ngx_flag_t pass_is_https;
    ngx_http_handler_pt pass_handler;
    void **loc_conf; // of every module in this location
} vault_loc_conf_t;

typedef struct {
    ngx_http_upstream_srv_conf_t *upstream;
    ngx_http_upstream_init_peer_pt init; // the one that was wrapped
    const vault_loc_conf_t *owner;       // NULL: no vault location uses it
} vault_upstream_t;

struct vault_main_conf_s {
    ngx_shm_zone_t *zone;
    vault_redeemer_t *watch;
    ngx_str_t profiles_folder;
    struct profile_set *profiles;
    ngx_array_t locations; // vault_loc_conf_t *, every one that nginx merged
    ngx_array_t redeemers; // vault_redeemer_t *
    ngx_array_t upstreams; // vault_upstream_t
    ngx_int_t request_id;  // index of $request_id
    ngx_flag_t is_used;    // some location redeems
    ngx_flag_t is_metered; // and some with vault_meter
    ngx_flag_t is_covered; // and some with vault_cover_echoes
};

// ---- One request ----

typedef enum {
    VAULT_NEW,
    VAULT_READING, // the body, for the model
    VAULT_READY,   // every fact is known
    VAULT_WAITING, // for the redeemer
    VAULT_GRANTED,
    VAULT_REFUSED,
    VAULT_CUT // granted first
} vault_state_e;

typedef struct vault_link_s vault_link_t;
typedef struct vault_echo_s vault_echo_t;

// Two questions, four rooms for answers, a kept answer, a head, and two of vault_echo.
#define VAULT_WIPES_MAX 10

typedef struct {
    ngx_http_request_t *request;
    vault_state_e state;
    unsigned in_handler : 1; // what comes at once is not resumed: the handler goes on by itself
    unsigned is_spliced : 1;
    unsigned is_from_cache : 1;
    unsigned was_retried : 1;
    struct ask ask;
    ngx_str_t masked_token;  // copy of the token that stood in the query
    struct model_scan *scan; // while the body is read
    struct body_look look;
    vlt_result scan_result;
    uint64_t known_as; // vault_key_knows the token; 0: it does not
    uint8_t key[VAULT_KEY_BYTES];
    uint64_t generation; // of the cache, read before asking; 0: do not keep the answer
    vault_link_t *link;
    struct answer answer;
    struct denial denial;
    vault_redeemer_t *redeemer; // in whose list it is; NULL: in none
    ngx_queue_t open;
    ngx_uint_t asked_as; // its index in the question
    ngx_http_event_handler_pt resumed;
    ngx_int_t (*process_header)(ngx_http_request_t *r); // the proxy's
    struct usage_scan *meter; // NULL: the answer is not read
    vault_echo_t *echo;       // NULL: the answer is not searched
    size_t wipe_count;
    struct {
        void *at;
        size_t size;
    } wipes[VAULT_WIPES_MAX]; // memory that held a credential
} vault_ctx_t;

static inline struct bytes vault_bytes(ngx_str_t text) {
    return bytes_of(text.data, text.len);
}
static inline ngx_str_t vault_str(struct bytes bytes) {
    return (ngx_str_t){bytes.size, (u_char *)(uintptr_t)bytes.at};
}

vault_ctx_t *vault_ctx(ngx_http_request_t *r);     // NULL: none
vault_ctx_t *vault_ctx_new(ngx_http_request_t *r); // NULL: out of memory
// The memory is wiped when the request ends.
ngx_int_t vault_wipe_later(vault_ctx_t *ctx, void *at, size_t size);

// vault_handler.c: PRECONTENT phase.
ngx_int_t vault_handler(ngx_http_request_t *r);
void vault_resume(vault_ctx_t *ctx); // state is VAULT_GRANTED or VAULT_REFUSED now

// vault_mask.c: POST_READ phase, and its inverse for other locations.
ngx_int_t vault_mask(ngx_http_request_t *r);
void vault_unmask(ngx_http_request_t *r, vault_ctx_t *ctx);

// vault_take.c: token and proof out of the request. NGX_OK, NGX_ERROR, or
// NGX_DECLINED with a denial.
ngx_int_t vault_take(vault_ctx_t *ctx, const vault_loc_conf_t *conf);

// vault_facts.c: method, paths, source, client certificate. As above.
ngx_int_t vault_facts(vault_ctx_t *ctx, const vault_loc_conf_t *conf);

// vault_body.c: the model, and how many tokens are asked for. NGX_OK when they are
// known or not wanted, NGX_DONE when the body is still to come, NGX_DECLINED with a
// denial, or a status.
ngx_int_t vault_model_find(vault_ctx_t *ctx, const vault_loc_conf_t *conf);
ngx_int_t vault_body_filter(ngx_http_request_t *r, ngx_chain_t *in);
extern ngx_http_request_body_filter_pt vault_next_body_filter;

// vault_link.c: asks the redeemer. The answer arrives through vault_resume.
void vault_link_ask(vault_ctx_t *ctx, const vault_loc_conf_t *conf);
void vault_link_cancel(vault_ctx_t *ctx);

// vault_key.c: into ctx->key. False: nothing can be looked up or kept.
bool vault_key_make(vault_ctx_t *ctx);
// The connection asked with this token before: it has the shape of one. Noted, so that
// vault_key_make does not compare it again.
bool vault_key_knows(vault_ctx_t *ctx);

// vault_cache.c
char *vault_cache_zone(ngx_conf_t *cf, vault_main_conf_t *main_conf, ngx_str_t size);
// Also notes the generation, so that an answer may be kept.
bool vault_cache_get(vault_ctx_t *ctx, const vault_main_conf_t *main_conf);
void vault_cache_put(vault_ctx_t *ctx, const vault_main_conf_t *main_conf, time_t lifetime_s);
// From the watch: it said this epoch; it fell silent.
void vault_cache_epoch(const vault_main_conf_t *main_conf, uint64_t epoch);
void vault_cache_silence(const vault_main_conf_t *main_conf);
void vault_cache_sweep(const vault_main_conf_t *main_conf); // wipes what is too old

// vault_watch.c
void vault_watch_start(vault_main_conf_t *main_conf);
void vault_watch_stop(vault_main_conf_t *main_conf);
void vault_timer_init(vault_timer_t *timer, ngx_event_handler_pt handler, void *owner);
void *vault_timer_owner(const ngx_event_t *event);

// vault_open.c: requests under way. A request is added when it is granted.
void vault_open_add(vault_ctx_t *ctx, const vault_loc_conf_t *conf);
void vault_open_remove(vault_ctx_t *ctx);
bool vault_open_is_empty(const vault_redeemer_t *redeemer);
void vault_open_doubt(vault_redeemer_t *redeemer, uint64_t standing); // the watch said it
void vault_open_ask_again(vault_redeemer_t *redeemer);                // no answer came
// Ends the request, and the one to the provider. It may be gone when this returns.
void vault_open_cut(vault_ctx_t *ctx, struct bytes reason);

// vault_standing.c: asks about what is in doubt, soon.
void vault_standing_ask(vault_redeemer_t *redeemer);
void vault_standing_stop(vault_redeemer_t *redeemer);

// vault_inject.c
ngx_int_t vault_upstreams_wrap(ngx_conf_t *cf, vault_main_conf_t *main_conf);

// vault_refuse.c
VLT_COLD void vault_deny(vault_ctx_t *ctx, unsigned status, const char *code, const char *message);
VLT_COLD ngx_int_t vault_refuse(vault_ctx_t *ctx,
                                const vault_loc_conf_t *conf); // sends it; NGX_DONE
ngx_int_t vault_header_filter(ngx_http_request_t *r);
extern ngx_http_output_header_filter_pt vault_next_header_filter;
ngx_int_t vault_header_add(ngx_http_request_t *r, struct bytes name, struct bytes value);

// vault_pass.c: learns what proxy_pass says.
void vault_pass_watch(ngx_conf_t *cf);
void vault_pass_forget(void);

// vault_check.c: refuses configurations that could leak a credential.
ngx_int_t vault_check(ngx_conf_t *cf, vault_main_conf_t *main_conf);
ngx_int_t vault_check_cycle(ngx_cycle_t *cycle);

// vault_meter.c: what an answer cost, into ctx->meter. Filters for all locations; one location:
// false where its profile does not say how.
void vault_meter_install(void);
bool vault_meter_prepare(vault_loc_conf_t *conf);

// vault_echo.c: what the provider repeats. Filters for all locations; one location; one
// request, once it is known what is put into it. Then, of its answer: what has come of the head
// is covered, each time before nginx reads on; once it is read: can the answer be searched?
void vault_echo_install(void);
void vault_echo_prepare(vault_loc_conf_t *conf);
ngx_int_t vault_echo_begin(vault_ctx_t *ctx);
void vault_echo_cover_head(vault_ctx_t *ctx);
bool vault_echo_is_readable(const vault_ctx_t *ctx);
uint64_t vault_echo_count(const vault_ctx_t *ctx); // how often it was covered

// vault_variables.c
ngx_int_t vault_variables_add(ngx_conf_t *cf);

// vault_request_id.c: a cheaper $request_id.
void vault_request_id_replace(ngx_conf_t *cf);

#endif
