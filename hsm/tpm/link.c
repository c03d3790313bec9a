// SPDX-License-Identifier: Apache-2.0
#include "hsm/tpm/link.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <tss2/tss2_tctildr.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "libvault/secret/secret.h"

#define LINK_MAGIC 0x766c745f74706d31ULL
#define LINK_HEADER_BYTES 10 // tag u16, size u32, code u32

struct tpm_link {
    TSS2_TCTI_CONTEXT_COMMON_V2 own; // first: TCTI callbacks get a pointer to it
    TSS2_TCTI_CONTEXT *foreign;      // loaded by tctildr, or NULL
    int fd;
    bool is_device, is_raw, is_waiting, has_timed_out;
    bool has_looked_late; // beyond the deadline
    unsigned timeout_ms;
    int64_t sent_at_ms;
    size_t have;
    uint8_t answer[TPM2_MAX_RESPONSE_SIZE];
};

static struct tpm_link *link_of(TSS2_TCTI_CONTEXT *tcti) {
    struct tpm_link *link = (struct tpm_link *)(void *)tcti;
    assert(link->own.v1.magic == LINK_MAGIC);
    return link;
}

// True when fd is ready before the deadline of the command, or at one look after it: whoever
// was held up by the machine looks late at an answer that came in time.
static bool link_wait(struct tpm_link *link, short events) {
    for (;;) {
        int64_t left = link->sent_at_ms + link->timeout_ms - clock_elapsed_ms();
        struct pollfd p = {.fd = link->fd, .events = events};
        int ready = poll(&p, 1, left > 60000 ? 60000 : left > 0 ? (int)left : 0);
        if (ready < 0 && errno != EINTR)
            return false;
        if (left <= 0 && (ready <= 0 || link->has_looked_late)) {
            link->has_timed_out = true;
            return false;
        }
        link->has_looked_late = left <= 0;
        if (ready > 0)
            return true;
    }
}

// What tpm2-tss loaded, with our deadline around it: it is asked to wait no longer.
// (Its TCTIs for a device and for simulators wait for ever all the same.)
static TSS2_RC link_foreign_receive(struct tpm_link *link, size_t *size, uint8_t *response) {
    int64_t left = link->sent_at_ms + link->timeout_ms - clock_elapsed_ms();
    TSS2_RC rc = Tss2_Tcti_Receive(link->foreign, size, response, left > 0 ? (int32_t)left : 0);
    if (rc != TSS2_TCTI_RC_TRY_AGAIN)
        return rc;
    link->has_timed_out = true;
    return TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC link_transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command) {
    struct tpm_link *link = link_of(tcti);
    if (link->is_waiting)
        return TSS2_TCTI_RC_BAD_SEQUENCE;
    link->sent_at_ms = clock_elapsed_ms();
    link->has_timed_out = link->has_looked_late = false;
    if (link->foreign)
        return Tss2_Tcti_Transmit(link->foreign, size, command);
    for (size_t sent = 0; sent < size;) {
        ssize_t n = link->is_device ? write(link->fd, command + sent, size - sent)
                                    : send(link->fd, command + sent, size - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else if (n < 0 && errno == EAGAIN && link_wait(link, POLLOUT))
            continue;
        else if (!(n < 0 && errno == EINTR))
            return TSS2_TCTI_RC_IO_ERROR;
    }
    link->is_waiting = true;
    link->have = 0;
    return TSS2_RC_SUCCESS;
}

// Size that the answer announces; 0 while the header is incomplete, and a value
// beyond the buffer when it is nonsense.
static size_t link_announced(const struct tpm_link *link) {
    if (link->have < LINK_HEADER_BYTES)
        return 0;
    const uint8_t *a = link->answer;
    size_t size = (size_t)a[2] << 24 | (size_t)a[3] << 16 | (size_t)a[4] << 8 | a[5];
    return size < LINK_HEADER_BYTES ? sizeof link->answer + 1 : size;
}

static TSS2_RC link_receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response,
                            int32_t timeout) {
    // The timeout argument is Esys's "for ever"; our deadline counts from the command.
    struct tpm_link *link = link_of(tcti);
    if (link->foreign)
        return link_foreign_receive(link, size, response);
    if (!link->is_waiting)
        return TSS2_TCTI_RC_BAD_SEQUENCE;
    size_t announced = link_announced(link);
    while (!announced || link->have < announced) {
        if (!link_wait(link, POLLIN))
            return TSS2_TCTI_RC_IO_ERROR;
        ssize_t n = read(link->fd, link->answer + link->have, sizeof link->answer - link->have);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n == 0 && link->is_device) { // not ready although poll said so: Linux before 5.6
            poll(NULL, 0, 1);
            continue;
        }
        if (n <= 0)
            return TSS2_TCTI_RC_IO_ERROR;
        link->have += (size_t)n;
        announced = link_announced(link);
        // More bytes than announced means that the stream is out of step.
        if (announced > sizeof link->answer || (announced && link->have > announced))
            return TSS2_TCTI_RC_MALFORMED_RESPONSE;
    }
    if (response && *size < announced)
        return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    *size = announced;
    if (response) {
        memcpy(response, link->answer, announced);
        secret_cleanse(link->answer, announced);
        link->is_waiting = false;
    }
    return TSS2_RC_SUCCESS;
}

static void link_finalize(TSS2_TCTI_CONTEXT *tcti) {}
static TSS2_RC link_cancel(TSS2_TCTI_CONTEXT *tcti) { return TSS2_TCTI_RC_NOT_IMPLEMENTED; }
static TSS2_RC link_poll_handles(TSS2_TCTI_CONTEXT *tcti, TSS2_TCTI_POLL_HANDLE *handles,
                                 size_t *count) {
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}
static TSS2_RC link_locality(TSS2_TCTI_CONTEXT *tcti, uint8_t locality) {
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}
static TSS2_RC link_sticky(TSS2_TCTI_CONTEXT *tcti, TPM2_HANDLE *handle, uint8_t sticky) {
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

// --- opening ----------------------------------------------------------------

static vlt_result link_fault(struct fault *fault, const char *tcti) {
    int error = errno;
    enum vlt_class class = error == EACCES || error == EPERM ? VLT_DENIED
                           : error == ENOENT                 ? VLT_NOT_FOUND
                                                             : VLT_UNAVAILABLE;
    const char *advice =
        error == EACCES || error == EPERM ? "let the user that runs the keeper open it (group tss)"
        : error == EBUSY  ? "another program holds it: use device:/dev/tpmrm0"
        : error == EAGAIN ? "another program holds it, a swtpm serves one at a time"
        : error == ENOENT ? "is the TPM switched on in the firmware, or swtpm started?"
                          : "is the TPM daemon running?";
    return fault_set(fault, class, "TPM cannot be reached", "TPM %s cannot be reached (%s): %s",
                     tcti, strerrordesc_np(error), advice);
}

static bool link_connected(struct tpm_link *link) {
    int error = ETIMEDOUT;
    socklen_t error_size = sizeof error;
    if (link_wait(link, POLLOUT))
        (void)getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
    errno = error;
    return !error;
}

// Non-blocking, so that a full backlog or a lost packet is bounded as well.
static bool link_connect(struct tpm_link *link, const struct sockaddr *address, socklen_t size) {
    link->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (link->fd < 0)
        return false;
    link->sent_at_ms = clock_elapsed_ms();
    while (connect(link->fd, address, size)) {
        if (errno == EINPROGRESS)
            return link_connected(link);
        // The queue of a unix socket is full: there is nothing to poll for.
        if (errno != EAGAIN || clock_elapsed_ms() - link->sent_at_ms > link->timeout_ms)
            return false;
        poll(NULL, 0, 10);
    }
    return true;
}

static bool link_connect_unix(struct tpm_link *link, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!bytes_to_text(bytes_of_text(path), address.sun_path, sizeof address.sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    return link_connect(link, (const struct sockaddr *)&address, sizeof address);
}

static bool link_connect_tcp(struct tpm_link *link, const char *host, const char *port) {
    // Numeric only: looking up a name can block for as long as it likes.
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (getaddrinfo(strcmp(host, "localhost") ? host : "127.0.0.1", port, &hints, &found)) {
        errno = EINVAL;
        return false;
    }
    bool done = link_connect(link, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    int on = 1;
    if (done)
        (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return done;
}

// One "name=value" of a swtpm configuration.
static bool link_swtpm_part(struct bytes part, char path[108], char host[64], char port[8]) {
    struct bytes value = bytes_from(part, 5);
    if (bytes_begin_with(part, BYTES_LITERAL("path=")))
        return bytes_to_text(value, path, 108);
    if (bytes_begin_with(part, BYTES_LITERAL("host=")))
        return bytes_to_text(value, host, 64);
    return bytes_begin_with(part, BYTES_LITERAL("port=")) && bytes_to_text(value, port, 8);
}

// "path=…" or "host=…,port=…" (either may be absent), as swtpm's TCTI has them.
static vlt_result link_open_swtpm(struct tpm_link *link, const char *tcti, struct fault *fault) {
    char path[108] = "", host[64] = "127.0.0.1", port[8] = "2321";
    struct bytes rest = bytes_from(bytes_of_text(tcti), strlen("swtpm:"));
    while (rest.size) {
        size_t end = bytes_find(rest, ',');
        if (!link_swtpm_part(bytes_of(rest.at, end), path, host, port))
            return fault_set(fault, VLT_MALFORMED, "TCTI configuration is not understood",
                             "TPM setting '%s' is not swtpm:path=SOCKET or "
                             "swtpm:host=ADDRESS,port=PORT",
                             tcti);
        rest = bytes_from(rest, end + 1);
    }
    link->is_raw = true;
    if (!(path[0] ? link_connect_unix(link, path) : link_connect_tcp(link, host, port)))
        return link_fault(fault, tcti);
    return vlt_ok();
}

static vlt_result link_open_device(struct tpm_link *link, const char *tcti, struct fault *fault) {
    const char *path = tcti + strlen("device:");
    // Non-blocking mode makes the kernel work in the background, so that poll
    // can watch the clock (Linux 5.0 and later).
    link->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (link->fd < 0)
        return link_fault(fault, tcti);
    link->is_device = true;
    const char *name = strrchr(path, '/');
    link->is_raw = strncmp(name ? name + 1 : path, "tpmrm", 5) != 0;
    return vlt_ok();
}

static vlt_result link_open_foreign(struct tpm_link *link, const char *tcti, struct fault *fault) {
    if (Tss2_TctiLdr_Initialize(tcti, &link->foreign) != TSS2_RC_SUCCESS) {
        link->foreign = NULL;
        return fault_set(fault, VLT_UNAVAILABLE, "TPM cannot be reached",
                         "TPM '%s' cannot be reached through tpm2-tss: check the setting, that its "
                         "TCTI library is installed and its daemon is running",
                         tcti);
    }
    // mssim is a bare simulator; whatever else there is may be shared.
    link->is_raw = !strncmp(tcti, "mssim", 5);
    return vlt_ok();
}

vlt_result tpm_link_open(const char *tcti, unsigned timeout_ms, struct fault *fault,
                         struct tpm_link **ret_link) {
    struct tpm_link *link = calloc(1, sizeof *link);
    if (!link)
        return fault_set(fault, VLT_LIMIT, "out of memory", "out of memory");
    link->own.v1 = (TSS2_TCTI_CONTEXT_COMMON_V1){.magic = LINK_MAGIC,
                                                 .version = 2,
                                                 .transmit = link_transmit,
                                                 .receive = link_receive,
                                                 .finalize = link_finalize,
                                                 .cancel = link_cancel,
                                                 .getPollHandles = link_poll_handles,
                                                 .setLocality = link_locality};
    link->own.makeSticky = link_sticky;
    link->fd = -1;
    link->timeout_ms = timeout_ms;
    vlt_result result = !strncmp(tcti, "swtpm:", 6)    ? link_open_swtpm(link, tcti, fault)
                        : !strncmp(tcti, "device:", 7) ? link_open_device(link, tcti, fault)
                                                       : link_open_foreign(link, tcti, fault);
    if (!vlt_is_ok(result)) {
        tpm_link_close(link);
        return result;
    }
    *ret_link = link;
    return vlt_ok();
}

void tpm_link_close(struct tpm_link *link) {
    if (!link)
        return;
    if (link->foreign)
        Tss2_TctiLdr_Finalize(&link->foreign);
    if (link->fd >= 0)
        close(link->fd);
    secret_cleanse(link, sizeof *link);
    free(link);
}

TSS2_TCTI_CONTEXT *tpm_link_tcti(struct tpm_link *link) {
    return (TSS2_TCTI_CONTEXT *)(void *)&link->own;
}
bool tpm_link_timed_out(const struct tpm_link *link) { return link->has_timed_out; }
bool tpm_link_is_raw(const struct tpm_link *link) { return link->is_raw; }
