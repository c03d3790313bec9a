// SPDX-License-Identifier: Apache-2.0
// The only owner of keys and plaintext.
//
// One heap for each process, of fixed size, in memory that the kernel hides
// from everybody else (memfd_secret) or, where the kernel has no such memory,
// in locked memory; never dumped, never inherited by a fork, with guard pages
// at both ends. Everything taken from it is wiped when it goes back. Running
// out, or failing to lock, is an error and never falls back to ordinary memory.
//
// A `struct secret` has a fixed capacity from birth and a guard word behind it
// that secret_free checks. There is no way to print one.
#ifndef VLT_SECRET_SECRET_H
#define VLT_SECRET_SECRET_H

#include "libvault/base/bytes.h"
#include "libvault/base/fault.h"

enum secret_memory {
    SECRET_MEMORY_NONE,   // secret_heap_open was not called
    SECRET_MEMORY_HIDDEN, // memfd_secret: not readable through /proc/pid/mem, even by root
    SECRET_MEMORY_LOCKED  // mlock, MADV_DONTDUMP
};

// Called once, before the first secret, before threads. heap_bytes is rounded
// up to pages. VLT_UNAVAILABLE with a fault that says what to change
// (RLIMIT_MEMLOCK) when memory can not be locked; a process calls it once.
vlt_result secret_heap_open(size_t heap_bytes, struct fault *fault) VLT_MUST_USE;
// Wipes and unmaps; every secret must be free. Does nothing once another heap was
// adopted: its owner still frees at exit, and the kernel clears the pages then.
void secret_heap_close(void);
enum secret_memory secret_heap_kind(void);
const char *secret_heap_kind_text(void); // "memfd_secret", "mlock", "none"
size_t secret_heap_used_bytes(void);

// Puts OpenSSL's heap (CRYPTO_set_mem_functions), and with `libevent` its heap
// too, into the secret heap, so that key schedules, TLS buffers and evbuffers
// are hidden and wiped as well. Must run before the first call of OpenSSL.
// A forked child has no such memory: it must exec or _exit, not exit.
// Sanitizer builds adopt as well; leaks are still found, overruns inside the heap
// only by its guard words.
// (The libevent half is a callback so that this library needs no libevent:
// pass event_set_mem_functions, or NULL.)
typedef void secret_set_mem_functions(void *(*malloc_fn)(size_t),
                                      void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *));
vlt_result secret_heap_adopt_openssl(void) VLT_MUST_USE;
void secret_heap_adopt(secret_set_mem_functions *set);

struct secret; // opaque: not convertible to bytes by accident

// What a caller says then: which limit to raise.
#define SECRET_EXHAUSTED                                                                           \
    "secret memory is exhausted: allow more of it (LimitMEMLOCK= of the service or ulimit -l, "    \
    "keeper.secret_heap_kib of vaultd.conf)"
// NULL when the heap is exhausted. Zero-filled, size 0.
struct secret *secret_new(size_t capacity);
void secret_free(
    struct secret *secret); // wipes; aborts when the guard word is damaged; NULL is fine

size_t secret_size(const struct secret *secret);
size_t secret_capacity(const struct secret *secret);
// Replaces the content. VLT_LIMIT when it does not fit.
vlt_result secret_set(struct secret *secret, const void *at, size_t size) VLT_MUST_USE;
vlt_result secret_copy(struct secret *to, const struct secret *from) VLT_MUST_USE; // the same
// Fills with `size` random bytes (RAND_priv_bytes).
vlt_result secret_set_random(struct secret *secret, size_t size) VLT_MUST_USE;
void secret_wipe(struct secret *secret); // content gone, size 0

// The bytes, for the one call that needs them. Keep borrow and release in one
// function; the pointer must not outlive it.
const uint8_t *secret_borrow(const struct secret *secret);
// Writable room of `capacity` bytes; secret_release_sized fixes the new size.
uint8_t *secret_borrow_room(struct secret *secret);
// The same for who writes no more than `size` bytes: a wipe then costs no more than they.
uint8_t *secret_borrow_room_of(struct secret *secret, size_t size);
void secret_release_sized(struct secret *secret, size_t size);
void secret_release(const struct secret *secret);

// Constant time in the content (not in the sizes).
bool secret_equal(struct bytes a, struct bytes b);
bool secret_is_same(const struct secret *a, const struct secret *b); // neither is borrowed
// OPENSSL_cleanse for short-lived plaintext in caller's storage.
void secret_cleanse(void *at, size_t size);

#endif
