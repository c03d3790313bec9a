// SPDX-License-Identifier: Apache-2.0
#include "hsm/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/base/whoami.h"

// Turns a source into a path, or says why not.
static vlt_result pin_path(const char *source, struct fault *fault, char *path, size_t capacity) {
    int size = -1;
    if (!strncmp(source, "file://", 7) && source[7] == '/') {
        size = snprintf(path, capacity, "%s", source + 7);
    } else if (!strncmp(source, "file:/", 6)) {
        size = snprintf(path, capacity, "%s", source + 5);
    } else if (source[0] == '/') {
        size = snprintf(path, capacity, "%s", source);
    } else if (source[0] && source[0] != '.' && !strchr(source, '/')) {
        const char *folder = getenv("CREDENTIALS_DIRECTORY");
        if (!folder || folder[0] != '/')
            return fault_set(fault, VLT_NOT_FOUND, "no systemd credentials",
                             "PIN source '%s' is the name of a systemd credential, but "
                             "CREDENTIALS_DIRECTORY is not set: add LoadCredential=%s:… to the "
                             "unit, or give an absolute path",
                             source, source);
        size = snprintf(path, capacity, "%s/%s", folder, source);
    } else {
        return fault_set(fault, VLT_MALFORMED, "PIN source is not understood",
                         "PIN source '%s' is neither an absolute path nor the name of a systemd "
                         "credential",
                         source);
    }
    if (size < 0 || (size_t)size >= capacity)
        return fault_set(fault, VLT_LIMIT, "PIN source is too long", "PIN source is too long");
    return vlt_ok();
}

static vlt_result pin_check_file(int fd, const char *source, const char *path,
                                 struct fault *fault) {
    struct stat st;
    // Of a systemd credential the group's bits are the mask of an access list that lets the
    // service's user in; the group is root's, and the folder keeps others out.
    bool is_credential = !strchr(source, '/');
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return fault_set(fault, VLT_MALFORMED, "PIN file is not a regular file",
                         "PIN file %s is not a regular file", path);
    // The roles share a group: what it may read, the process that faces agents may.
    if (st.st_mode & (S_IRWXG | S_IRWXO) & ~(is_credential ? S_IRGRP : 0U))
        return fault_set(fault, VLT_DENIED, "PIN file is open to others",
                         "PIN file %s has mode %04o: others can read or change it; run "
                         "chmod 0400 %s and, if it was readable, change the PIN",
                         path, (unsigned)st.st_mode & 07777U, path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return fault_set(fault, VLT_DENIED, "PIN file belongs to somebody else",
                         "PIN file %s belongs to user %u, neither to root nor to %s, who runs "
                         "this process: run chown on it",
                         path, (unsigned)st.st_uid, whoami().text);
    return vlt_ok();
}

// Reads at most PIN_MAX_BYTES and one newline; one byte more shows excess.
static ssize_t pin_fill(int fd, uint8_t *room, size_t capacity) {
    size_t size = 0;
    while (size < capacity) {
        ssize_t more = read(fd, room + size, capacity - size);
        if (more < 0 && errno == EINTR)
            continue;
        if (more < 0)
            return -1;
        if (more == 0)
            break;
        size += (size_t)more;
    }
    return (ssize_t)size;
}

static vlt_result pin_take(int fd, const char *path, struct fault *fault, struct secret *pin) {
    uint8_t *room = secret_borrow_room(pin);
    ssize_t got = pin_fill(fd, room, secret_capacity(pin));
    size_t size = got < 0 ? 0 : (size_t)got;
    if (size && room[size - 1] == '\n')
        size--;
    bool is_one_line = !memchr(room, '\n', size) && !memchr(room, 0, size);
    secret_release_sized(pin, size <= PIN_MAX_BYTES ? size : 0);
    if (got < 0)
        return fault_set(fault, VLT_UNAVAILABLE, "PIN file cannot be read",
                         "PIN file %s cannot be read", path);
    if (!size || size > PIN_MAX_BYTES || !is_one_line)
        return fault_set(fault, VLT_MALFORMED, "PIN file does not hold one PIN",
                         "PIN file %s must hold one line of 1 to %d bytes and nothing else", path,
                         PIN_MAX_BYTES);
    return vlt_ok();
}

static vlt_result pin_not_opened(const char *path, int error, struct fault *fault) {
    const char *why = strerrordesc_np(error);
    return error == EACCES
               ? fault_set(fault, VLT_DENIED, "PIN file cannot be opened",
                           "PIN file %s cannot be opened (%s): let %s, who runs this process, "
                           "read it",
                           path, why, whoami().text)
               : fault_set(fault, VLT_NOT_FOUND, "PIN file cannot be opened",
                           "PIN file %s cannot be opened (%s): create it with mode 0400, or "
                           "correct the setting",
                           path, why);
}

vlt_result pin_read(const char *source, struct fault *fault, struct secret **ret_pin) {
    char path[512];
    VLT_TRY(pin_path(source, fault, path, sizeof path));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return pin_not_opened(path, errno, fault);
    struct secret *pin = NULL;
    vlt_result result = pin_check_file(fd, source, path, fault);
    if (vlt_is_ok(result)) {
        pin = secret_new(PIN_MAX_BYTES + 2);
        result = pin ? pin_take(fd, path, fault, pin)
                     : fault_set(fault, VLT_LIMIT, "secret memory is exhausted", SECRET_EXHAUSTED);
    }
    close(fd);
    if (!vlt_is_ok(result)) {
        secret_free(pin);
        return result;
    }
    *ret_pin = pin;
    return vlt_ok();
}

// --- memory of refused PINs -------------------------------------------------

#define PIN_REFUSED_MAX 64
#define PIN_MARK_BYTES 32

static struct {
    pthread_mutex_t lock;
    bool has_key;
    uint8_t key[PIN_MARK_BYTES]; // for this process only: a mark cannot be searched for a short PIN
    unsigned count;
    uint8_t marks[PIN_REFUSED_MAX][PIN_MARK_BYTES];
} refused = {.lock = PTHREAD_MUTEX_INITIALIZER};

// With the lock held. False when no mark can be made: then the PIN is not tried.
static bool pin_mark(const char *device, const struct secret *pin, uint8_t mark[PIN_MARK_BYTES]) {
    if (!refused.has_key && RAND_priv_bytes(refused.key, sizeof refused.key) != 1)
        return false;
    refused.has_key = true;
    uint8_t device_mark[PIN_MARK_BYTES];
    unsigned size = 0;
    bool done = HMAC(EVP_sha256(), refused.key, sizeof refused.key, (const uint8_t *)device,
                     strlen(device), device_mark, &size) &&
                HMAC(EVP_sha256(), device_mark, sizeof device_mark, secret_borrow(pin),
                     secret_size(pin), mark, &size);
    secret_release(pin);
    secret_cleanse(device_mark, sizeof device_mark);
    return done;
}

bool pin_was_refused(const char *device, const struct secret *pin) {
    uint8_t mark[PIN_MARK_BYTES];
    pthread_mutex_lock(&refused.lock);
    // A full memory refuses everything: rather no service than a locked device.
    bool found = refused.count == PIN_REFUSED_MAX || !pin_mark(device, pin, mark);
    for (unsigned i = 0; i < refused.count && !found; i++)
        found = secret_equal(bytes_of(mark, sizeof mark),
                             bytes_of(refused.marks[i], sizeof refused.marks[i]));
    pthread_mutex_unlock(&refused.lock);
    return found;
}

void pin_note_refused(const char *device, const struct secret *pin) {
    pthread_mutex_lock(&refused.lock);
    if (refused.count < PIN_REFUSED_MAX && pin_mark(device, pin, refused.marks[refused.count]))
        refused.count++;
    else
        refused.count = PIN_REFUSED_MAX;
    pthread_mutex_unlock(&refused.lock);
}
