// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/config_address.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// Splits "host:port"; the host of "[::1]:8443" loses its brackets.
static bool split_address(const char *address, char host[256], char port[8]) {
    const char *colon = strrchr(address, ':');
    if (!colon || (size_t)(colon - address) >= 256 || strlen(colon + 1) >= 8 || !colon[1])
        return false;
    size_t size = (size_t)(colon - address);
    if (size >= 2 && address[0] == '[' && colon[-1] == ']') {
        address++;
        size -= 2;
    }
    memcpy(host, address, size);
    host[size] = 0;
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return true;
}

struct addrinfo *config_address_find(const char *address) {
    char host[256], port[8];
    const struct addrinfo wanted = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                                    .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (!split_address(address, host, port))
        return NULL;
    unsigned long number = strtoul(port, NULL, 10); // getaddrinfo takes what is left of 99999
    bool is_port = strspn(port, "0123456789") == strlen(port) && number >= 1 && number <= 65535;
    return is_port && getaddrinfo(host, port, &wanted, &found) == 0 ? found : NULL;
}
