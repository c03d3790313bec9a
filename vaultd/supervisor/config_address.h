// SPDX-License-Identifier: Apache-2.0
// An address to listen on, as the configuration writes it. For the check of the
// configuration, and for who binds it.
#ifndef VLT_SUPERVISOR_CONFIG_ADDRESS_H
#define VLT_SUPERVISOR_CONFIG_ADDRESS_H

#include <netdb.h>

// "127.0.0.1:8443", "[::1]:8443", "0.0.0.0:8443": an IP address and a port from 1
// to 65535. NULL: it is none. The caller ends it with freeaddrinfo.
struct addrinfo *config_address_find(const char *address);

#endif
