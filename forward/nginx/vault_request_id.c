// SPDX-License-Identifier: Apache-2.0
// nginx draws 16 random bytes for each $request_id, and OpenSSL's price for
// that is nearly all overhead of the call: a microsecond in every request. Drawn
// here for many requests at once. The same variable, so that both logs agree.
#include "forward/nginx/vault_module.h"

#include <openssl/rand.h>

#define ID_BYTES 16
#define IDS_AT_ONCE 1024

// Of eight numbers below 16. Which bits of the drawn ones make which digit does not matter.
static uint64_t digits_of(uint64_t numbers) {
    static const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t are_letters = (numbers + 6 * each) >> 4 & each;
    return numbers + '0' * each + are_letters * ('a' - '0' - 10);
}

static void put_digits(u_char *at, const u_char *drawn) {
    static const uint64_t low = UINT64_C(0x0f0f0f0f0f0f0f0f);
    for (size_t i = 0; i < ID_BYTES; i += sizeof low) {
        uint64_t bits;
        ngx_memcpy(&bits, drawn + i, sizeof bits);
        const uint64_t digits[2] = {digits_of(bits & low), digits_of(bits >> 4 & low)};
        at = ngx_cpymem(at, digits, sizeof digits);
    }
}

static ngx_int_t get(ngx_http_request_t *r, ngx_http_variable_value_t *value, uintptr_t unused) {
    static u_char pool[ID_BYTES * IDS_AT_ONCE];
    static size_t left; // of the pool; each worker fills its own after the fork
    u_char *id = ngx_pnalloc(r->pool, 2 * ID_BYTES);
    if (!id)
        return NGX_ERROR;
    if (!left) {
        if (RAND_bytes(pool, sizeof pool) != 1)
            return NGX_ERROR;
        left = sizeof pool;
    }
    left -= ID_BYTES;
    put_digits(id, pool + left);
    value->valid = 1;
    value->no_cacheable = 0;
    value->not_found = 0;
    value->len = 2 * ID_BYTES;
    value->data = id;
    return NGX_OK;
}

// The copy of nginx's table that belongs to this configuration only.
void vault_request_id_replace(ngx_conf_t *cf) {
    static const ngx_str_t name = ngx_string("request_id");
    const ngx_http_core_main_conf_t *core =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    const ngx_hash_key_t *keys = core->variables_keys->keys.elts;
    for (ngx_uint_t i = 0; i < core->variables_keys->keys.nelts; i++)
        if (keys[i].key.len == name.len && !ngx_strncmp(keys[i].key.data, name.data, name.len))
            ((ngx_http_variable_t *)keys[i].value)->get_handler = get;
}
