// SPDX-License-Identifier: Apache-2.0
// One suite for every back end of hsm/hsm.h, each case on a fresh real device.
#include "tests/devices/device_bench.h"

#include "hsm/record.h"

// --- the life of a key ------------------------------------------------------

static void hsm_accepts_its_own_blob(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key();
    struct buf blob, again;
    bench_wrap(b, plain, &blob);
    opens(b, buf_bytes(&blob), plain);
    bench_wrap(b, plain, &again);
    bool is_random = b->device.settings.mechanism != HSM_MECHANISM_KEY_WRAP; // RFC 3394 is not
    assert_int_equal(!bytes_equal(buf_bytes(&blob), buf_bytes(&again)), is_random);
    OK(hsm_check(b->hsm, &b->fault));
    buf_done(&blob);
    buf_done(&again);
    secret_free(plain);
}

static void hsm_accepts_reopening(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    for (unsigned i = 0; i < 3; i++) {
        bench_close(b);
        bench_open(b);
        OK(hsm_key_find(b->hsm, &b->key, &b->fault));
        OK(hsm_key_find(b->hsm, &b->key, &b->fault));
        opens(b, buf_bytes(&blob), plain);
    }
    buf_done(&blob);
    secret_free(plain);
}

static void hsm_accepts_generations(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key();
    struct buf old, new;
    struct hsm_key second;
    bench_wrap(b, plain, &old);
    FAILS(hsm_key_create(b->hsm, 1, &b->fault, &second), VLT_CONFLICT, "exists");
    OK(hsm_key_create(b->hsm, 2, &b->fault, &second));
    bench_wrap(b, plain, &new);
    uint8_t id[2][HSM_KEY_ID_BYTES], second_id[HSM_KEY_ID_BYTES];
    enum hsm_kind kind;
    uint32_t generation;
    OK(hsm_blob_key_id(buf_bytes(&old), id[0]));
    OK(hsm_blob_key_id(buf_bytes(&new), id[1]));
    OK(hsm_key_facts(&second, &kind, &generation, second_id));
    assert_int_equal(kind, b->device.kind);
    assert_int_equal(generation, 2);
    assert_memory_equal(id[1], second_id, sizeof second_id);
    assert_memory_not_equal(id[0], second_id, sizeof second_id);
    for (unsigned i = 0; i < 3; i++) { // turn by turn, as the device may hold one at a time
        opens(b, buf_bytes(&old), plain);
        opens(b, buf_bytes(&new), plain);
    }
    OK(hsm_check(b->hsm, &b->fault));
    OK(hsm_key_destroy(b->hsm, &b->key, &b->fault));
    struct secret *got = secret_new(HSM_DATA_KEY_BYTES);
    FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&old), &b->fault, got), VLT_NOT_FOUND,
          "not opened");
    opens(b, buf_bytes(&new), plain);
    secret_free(got);
    buf_done(&old);
    buf_done(&new);
    secret_free(plain);
}

static void hsm_accepts_description(void **state) {
    struct bench *b = *state;
    struct hsm_description d;
    bench_open(b);
    hsm_describe(b->hsm, &d);
    assert_int_equal(d.key_count, 0);
    assert_int_equal(d.generation, 0);
    OK(hsm_key_create(b->hsm, 3, &b->fault, &b->key));
    hsm_describe(b->hsm, &d);
    assert_int_equal(d.kind, b->device.kind);
    assert_int_equal(d.key_count, 1);
    assert_int_equal(d.generation, 3);
    assert_true(d.manufacturer[0] && d.serial[0] && d.label[0] && d.mechanism[0]);
}

// --- altered and misplaced blobs --------------------------------------------

static void hsm_rejects_wrong_context(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = fresh_key(),
                  *before = secret_new(HSM_DATA_KEY_BYTES);
    assert_true(vlt_is_ok(secret_set(before, secret_borrow(got), HSM_DATA_KEY_BYTES)));
    struct buf blob;
    bench_wrap(b, plain, &blob);
    FAILS(hsm_unwrap(b->hsm, BYTES_LITERAL("tenant=acme;key=2"), buf_bytes(&blob), &b->fault, got),
          VLT_CRYPTO, "healthy");
    FAILS(hsm_unwrap(b->hsm, BYTES_LITERAL("tenant=acme;key="), buf_bytes(&blob), &b->fault, got),
          VLT_CRYPTO, "healthy");
    FAILS(hsm_unwrap(b->hsm, bytes_of("", 0), buf_bytes(&blob), &b->fault, got), VLT_BUG,
          "context");
    assert_true(same_key(got, before)); // outputs are untouched on failure
    opens(b, buf_bytes(&blob), plain);
    buf_done(&blob);
    secret_free(plain);
    secret_free(before);
    secret_free(got);
}

// Every byte flipped, every truncation, one byte more: never opens, never
// crashes, and the device works on afterwards.
// An RSA signature takes 15 ms in a swtpm: not every byte there.
static size_t stride(const struct bench *b) { return b->device.is_tpm2_pkcs11 ? 5 : 1; }

static void hsm_rejects_every_mutation(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    uint8_t copy[HSM_BLOB_MAX_BYTES + 1];
    for (size_t i = 0; i < blob.size; i += i < RECORD_BLOB_HEADER_BYTES ? 1 : stride(b)) {
        memcpy(copy, blob.at, blob.size);
        copy[i] ^= (uint8_t)(1 << i % 8);
        vlt_result r = hsm_unwrap(b->hsm, CONTEXT, bytes_of(copy, blob.size), &b->fault, got);
        enum vlt_class wanted = i == 0                          ? VLT_MALFORMED
                                : i == 1                        ? VLT_CLASS_COUNT
                                : i < RECORD_BLOB_HEADER_BYTES ? VLT_NOT_FOUND
                                                                : VLT_CRYPTO;
        if (wanted == VLT_CLASS_COUNT)
            assert_true(r.class == VLT_MALFORMED || r.class == VLT_CRYPTO);
        else if (r.class != wanted)
            fail_msg("byte %zu: got %s (%s)", i, vlt_class_name(r.class), r.reason);
    }
    for (size_t size = 0; size < blob.size; size += stride(b))
        assert_false(vlt_is_ok(hsm_unwrap(b->hsm, CONTEXT, bytes_of(blob.at, size), NULL, got)));
    memcpy(copy, blob.at, blob.size);
    copy[blob.size] = 0;
    FAILS(hsm_unwrap(b->hsm, CONTEXT, bytes_of(copy, blob.size + 1), &b->fault, got), VLT_CRYPTO,
          "");
    assert_int_equal(secret_size(got), 0);
    opens(b, buf_bytes(&blob), plain);
    buf_done(&blob);
    secret_free(plain);
    secret_free(got);
}

// No mutation of the record opens, except one that changes nothing that matters.
static void hsm_rejects_altered_record(void **state) {
    struct bench *b = *state;
    bench_create(b);
    bench_close(b);
    bench_open(b);
    unsigned opened = 0;
    struct hsm_description d;
    for (size_t i = 0; i < b->key.size; i += stride(b)) {
        struct hsm_key altered = b->key;
        altered.at[i] ^= (uint8_t)(1 << i % 8);
        vlt_result r = hsm_key_find(b->hsm, &altered, &b->fault);
        if (r.class == VLT_UNAVAILABLE || r.class == VLT_BUG)
            fail_msg("byte %zu: %s (%s)", i, vlt_class_name(r.class),
                     fault_or_reason(&b->fault, r));
        if (vlt_is_ok(r)) { // texts and generation of a record are not authenticated
            opened++;
            bench_close(b);
            bench_open(b);
        }
    }
    for (size_t size = 0; size < b->key.size; size += 7) {
        struct hsm_key cut = b->key;
        cut.size = size;
        assert_false(vlt_is_ok(hsm_key_find(b->hsm, &cut, &b->fault)));
    }
    assert_true(opened < b->key.size / 2);
    hsm_describe(b->hsm, &d);
    assert_int_equal(d.key_count, 0);
    OK(hsm_key_find(b->hsm, &b->key, &b->fault));
}

// --- other devices ----------------------------------------------------------

static void hsm_rejects_another_device(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    bench_close(b);
    device_fixture_replace(&b->device);
    bench_open(b);
    if (b->device.is_tpm2_pkcs11) // all of its devices have one serial number: 0
        FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_NOT_FOUND, "does not hold");
    else
        FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_CONFLICT,
              b->device.kind == HSM_TPM ? "not the one" : "was made with device");
    struct hsm_key other;
    OK(hsm_key_create(b->hsm, 1, &b->fault, &other));
    FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got), VLT_NOT_FOUND,
          "another device");
    // Even with the id of a key that is open here.
    OK(hsm_blob_key_id(buf_bytes(&blob), (uint8_t[HSM_KEY_ID_BYTES]){0}));
    uint8_t forged[HSM_BLOB_MAX_BYTES];
    enum hsm_kind kind;
    uint32_t generation;
    memcpy(forged, blob.at, blob.size);
    OK(hsm_key_facts(&other, &kind, &generation, forged + 2));
    FAILS(hsm_unwrap(b->hsm, CONTEXT, bytes_of(forged, blob.size), &b->fault, got), VLT_CRYPTO,
          "healthy");
    buf_done(&blob);
    secret_free(plain);
    secret_free(got);
}

static void hsm_rejects_another_device_while_running(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    device_fixture_replace(&b->device);
    enum vlt_class wanted = b->device.is_tpm2_pkcs11 ? VLT_NOT_FOUND : VLT_CONFLICT;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got).class,
                         wanted);
    buf_done(&blob);
    secret_free(plain);
    secret_free(got);
}

// --- devices that come and go -----------------------------------------------

static void hsm_survives_device_restart(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    for (unsigned i = 0; i < 3; i++) {
        device_fixture_unplug(&b->device);
        device_fixture_plug(&b->device);
        opens(b, buf_bytes(&blob), plain); // at once, nobody notices
        OK(hsm_check(b->hsm, &b->fault));
    }
    buf_done(&blob);
    secret_free(plain);
}

static void hsm_survives_device_away(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    device_fixture_unplug(&b->device);
    for (unsigned i = 0; i < 3; i++) {
        vlt_result r = hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got);
        if (r.class != VLT_UNAVAILABLE && r.class != VLT_NOT_FOUND)
            fail_msg("%s: %s", vlt_class_name(r.class), fault_or_reason(&b->fault, r));
        r = hsm_check(b->hsm, &b->fault);
        assert_true(r.class == VLT_UNAVAILABLE || r.class == VLT_NOT_FOUND);
    }
    device_fixture_plug(&b->device);
    opens(b, buf_bytes(&blob), plain);
    buf_done(&blob);
    secret_free(plain);
    secret_free(got);
}

// --- what stays behind ------------------------------------------------------

// Counts a value in all memory of this process that can be read. The value is
// given masked, so that the search does not find itself.
#define MASK 0x5a
static unsigned copies_in_memory(const uint8_t masked[HSM_DATA_KEY_BYTES]) {
    static uint8_t chunk[1 << 16];
    unsigned found = 0;
    char line[512], mode[8];
    unsigned long from, to;
    FILE *maps = fopen("/proc/self/maps", "re"), *memory = fopen("/proc/self/mem", "re");
    assert_non_null(maps);
    assert_non_null(memory);
    setvbuf(memory, NULL, _IONBF, 0);
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[1] != 'w' ||
            to - from > 1UL << 28) // a sanitizer's shadow has terabytes
            continue;
        for (unsigned long at = from; at < to; at += sizeof chunk - HSM_DATA_KEY_BYTES) {
            size_t want = to - at < sizeof chunk ? to - at : sizeof chunk;
            if (fseek(memory, (long)at, SEEK_SET) || fread(chunk, 1, want, memory) != want)
                break; // hidden: the secret heap itself
            for (size_t i = 0; i + HSM_DATA_KEY_BYTES <= want; i++) {
                size_t same = 0;
                while (same < HSM_DATA_KEY_BYTES && (chunk[i + same] ^ MASK) == masked[same])
                    same++;
                found += same == HSM_DATA_KEY_BYTES;
            }
            memset(chunk, 0, sizeof chunk);
        }
    }
    fclose(memory);
    fclose(maps);
    return found;
}

static void hsm_survives_search_of_memory(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    uint8_t masked[HSM_DATA_KEY_BYTES];
    struct buf blob;
    for (unsigned i = 0; i < HSM_DATA_KEY_BYTES; i++)
        masked[i] = secret_borrow(plain)[i] ^ MASK;
    secret_release(plain);
    uint8_t *planted = malloc(HSM_DATA_KEY_BYTES); // the search finds what is there
    for (unsigned i = 0; i < HSM_DATA_KEY_BYTES; i++)
        planted[i] = masked[i] ^ MASK;
    assert_int_not_equal(copies_in_memory(masked), 0);
    secret_cleanse(planted, HSM_DATA_KEY_BYTES);
    free(planted);
    bench_wrap(b, plain, &blob);
    OK(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got));
    unsigned expected = secret_heap_kind() == SECRET_MEMORY_HIDDEN ? 0 : 2;
    assert_int_equal(copies_in_memory(masked), expected);
    buf_done(&blob);
    secret_free(got);
    secret_free(plain);
    assert_int_equal(copies_in_memory(masked), 0);
}

// --- rollback counter -------------------------------------------------------

static void counter_accepts_only_the_next_value(void **state) {
    struct bench *b = *state;
    struct hsm_counter counter, other;
    uint64_t first = 0, value = 0, second = 0;
    bench_open(b);
    OK(hsm_counter_create(b->hsm, &b->fault, &counter, &first));
    OK(hsm_counter_create(b->hsm, &b->fault, &other, &second));
    for (uint64_t i = 1; i <= 5; i++) {
        OK(hsm_counter_advance(b->hsm, &counter, first + i, &b->fault));
        OK(hsm_counter_advance(b->hsm, &counter, first + i, &b->fault)); // the answer was lost
        OK(hsm_counter_read(b->hsm, &counter, &b->fault, &value));
        assert_int_equal(value, first + i);
    }
    FAILS(hsm_counter_advance(b->hsm, &counter, first + 4, &b->fault), VLT_CONFLICT, "old copy");
    FAILS(hsm_counter_advance(b->hsm, &counter, first + 7, &b->fault), VLT_CONFLICT, "cannot move");
    FAILS(hsm_counter_advance(b->hsm, &counter, 0, &b->fault), VLT_CONFLICT, "cannot move");
    OK(hsm_counter_read(b->hsm, &other, &b->fault, &value));
    assert_int_equal(value, second);
    OK(hsm_counter_destroy(b->hsm, &other, &b->fault));
    FAILS(hsm_counter_read(b->hsm, &other, &b->fault, &value), VLT_NOT_FOUND, "counter");
    OK(hsm_counter_read(b->hsm, &counter, &b->fault, &value));
    assert_int_equal(value, first + 5);
}

static void counter_survives_restart_and_reopening(void **state) {
    struct bench *b = *state;
    struct hsm_counter counter;
    uint64_t first = 0, value = 0;
    bench_create(b);
    OK(hsm_counter_create(b->hsm, &b->fault, &counter, &first));
    for (uint64_t i = 1; i <= 3; i++) {
        device_fixture_unplug(&b->device);
        vlt_result r = hsm_counter_advance(b->hsm, &counter, first + i, &b->fault);
        // libtpm2-pkcs11 keeps data objects in a file and needs no TPM for them.
        assert_true(r.class == VLT_UNAVAILABLE || r.class == VLT_NOT_FOUND ||
                    (b->device.is_tpm2_pkcs11 && vlt_is_ok(r)));
        device_fixture_plug(&b->device);
        OK(hsm_counter_advance(b->hsm, &counter, first + i, &b->fault));
        bench_close(b);
        bench_open(b);
        OK(hsm_counter_read(b->hsm, &counter, &b->fault, &value));
        assert_int_equal(value, first + i);
    }
}

static void counter_rejects_another_device_and_altered_records(void **state) {
    struct bench *b = *state;
    struct hsm_counter counter;
    uint64_t first = 0, value = 99;
    bench_open(b);
    OK(hsm_counter_create(b->hsm, &b->fault, &counter, &first));
    for (size_t i = 0; i < counter.size; i++) {
        struct hsm_counter altered = counter;
        altered.at[i] ^= (uint8_t)(1 << i % 8);
        vlt_result r = hsm_counter_read(b->hsm, &altered, &b->fault, &value);
        if (vlt_is_ok(r) || r.class == VLT_BUG || r.class == VLT_UNAVAILABLE)
            fail_msg("byte %zu: %s", i, vlt_class_name(r.class));
    }
    for (size_t size = 0; size < counter.size; size++) {
        struct hsm_counter cut = counter;
        cut.size = size;
        FAILS(hsm_counter_read(b->hsm, &cut, &b->fault, &value), VLT_MALFORMED, "damaged");
    }
    assert_int_equal(value, 99);
    bench_close(b);
    device_fixture_replace(&b->device);
    bench_open(b);
    FAILS(hsm_counter_read(b->hsm, &counter, &b->fault, &value), VLT_NOT_FOUND, "another");
    FAILS(hsm_counter_advance(b->hsm, &counter, first + 1, &b->fault), VLT_NOT_FOUND, "another");
}

// --- libtpm2-pkcs11 -----------------------------------------------------------

// A bare swtpm holds three objects, of which the module needs two: it can not have
// two wrapping keys open without a resource manager. Said clearly, nothing breaks.
static void tpm2_pkcs11_rejects_a_second_key_without_a_resource_manager(void **state) {
    struct bench *b = *state;
    struct hsm_key second;
    bench_create(b);
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    FAILS(hsm_key_create(b->hsm, 2, &b->fault, &second), VLT_UNAVAILABLE, "make a wrapping key");
    opens(b, buf_bytes(&blob), plain);
    OK(hsm_check(b->hsm, &b->fault));
    buf_done(&blob);
    secret_free(plain);
}

// No AES-GCM, no AES key wrap: found out by trying, not by asking.
static void tpm2_pkcs11_accepts_what_it_can_do(void **state) {
    struct bench *b = *state;
    struct hsm_description d;
    struct hsm_signer signer;
    uint8_t signature[HSM_SIGNATURE_BYTES];
    static const enum hsm_mechanism lacking[] = {HSM_MECHANISM_GCM, HSM_MECHANISM_KEY_WRAP};
    for (size_t i = 0; i < 2; i++) {
        b->device.settings.mechanism = lacking[i];
        bench_open(b);
        FAILS(hsm_key_create(b->hsm, 1, &b->fault, &b->key), VLT_UNAVAILABLE, "trial");
        assert_non_null(strstr(b->fault.text, "0x54")); // CKR_FUNCTION_NOT_SUPPORTED
        bench_close(b);
    }
    b->device.settings.mechanism = HSM_MECHANISM_AUTO;
    bench_create(b);
    hsm_describe(b->hsm, &d);
    assert_non_null(strstr(d.mechanism, "RSA signature"));
    bench_close(b);
    bench_open(b); // and it signs tokens
    OK(hsm_signer_create(b->hsm, &b->fault, &signer));
    OK(hsm_sign(b->hsm, &signer, (const uint8_t *)"01234567890123456789012345678901", &b->fault,
                signature));
    OK(hsm_signer_destroy(b->hsm, signer.id, &b->fault));
}

#define CASE(name, setup) cmocka_unit_test_setup_teardown(name, setup, bench_stop)
#define SUITE(setup)                                                                               \
    CASE(hsm_accepts_its_own_blob, setup),                                                         \
        CASE(hsm_accepts_reopening, setup),                                                        \
        CASE(hsm_accepts_description, setup),                                                      \
        CASE(hsm_rejects_wrong_context, setup),                                                    \
        CASE(hsm_rejects_every_mutation, setup),                                                   \
        CASE(hsm_rejects_altered_record, setup),                                                   \
        CASE(hsm_rejects_another_device, setup),                                                   \
        CASE(hsm_rejects_another_device_while_running, setup),                                     \
        CASE(hsm_survives_device_restart, setup),                                                  \
        CASE(hsm_survives_device_away, setup),                                                     \
        CASE(hsm_survives_search_of_memory, setup),                                                \
        CASE(counter_accepts_only_the_next_value, setup),                                          \
        CASE(counter_survives_restart_and_reopening, setup),                                       \
        CASE(counter_rejects_another_device_and_altered_records, setup)

int main(void) {
    bench_heap_open();
    const struct CMUnitTest tpm[] = {SUITE(bench_tpm), CASE(hsm_accepts_generations, bench_tpm)};
    const struct CMUnitTest p11[] = {SUITE(bench_p11), CASE(hsm_accepts_generations, bench_p11)};
    const struct CMUnitTest p11_key_wrap[] = {SUITE(bench_p11_key_wrap),
                                              CASE(hsm_accepts_generations, bench_p11_key_wrap)};
    const struct CMUnitTest p11_signature[] = {
        // RSA keys take their time: what differs from the other mechanisms.
        CASE(hsm_accepts_its_own_blob, bench_p11_signature),
        CASE(hsm_accepts_generations, bench_p11_signature),
        CASE(hsm_rejects_wrong_context, bench_p11_signature),
        CASE(hsm_rejects_every_mutation, bench_p11_signature),
        CASE(hsm_survives_search_of_memory, bench_p11_signature)};
    const struct CMUnitTest tpm2_pkcs11[] = {
        SUITE(bench_tpm2_pkcs11), CASE(hsm_accepts_generations, bench_tpm2_pkcs11),
        CASE(tpm2_pkcs11_accepts_what_it_can_do, bench_tpm2_pkcs11)};
    const struct CMUnitTest tpm2_pkcs11_bare[] = {
        CASE(hsm_accepts_its_own_blob, bench_tpm2_pkcs11_bare),
        CASE(hsm_survives_device_restart, bench_tpm2_pkcs11_bare),
        CASE(tpm2_pkcs11_rejects_a_second_key_without_a_resource_manager, bench_tpm2_pkcs11_bare)};
    int failed = cmocka_run_group_tests_name("TPM 2.0", tpm, NULL, NULL);
    failed += cmocka_run_group_tests_name("PKCS#11 AES-GCM", p11, NULL, NULL);
    failed += cmocka_run_group_tests_name("PKCS#11 key wrap", p11_key_wrap, NULL, NULL);
    failed += cmocka_run_group_tests_name("PKCS#11 by signature", p11_signature, NULL, NULL);
    failed += cmocka_run_group_tests_name("libtpm2-pkcs11, bare", tpm2_pkcs11_bare, NULL, NULL);
    failed += cmocka_run_group_tests_name("libtpm2-pkcs11 behind tpm2-abrmd", tpm2_pkcs11, NULL,
                                          NULL);
    return failed;
}
