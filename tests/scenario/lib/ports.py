# SPDX-License-Identifier: Apache-2.0
"""Ports for servers that tests start."""

import random
import socket

given = {}  # and the name that no other test can take while this one runs


def claimed(port):
    """Tests run beside each other: two must not be given one port before either of them listens."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0vaultd-test-port-{port}")
        return claim
    except OSError:
        claim.close()
        return None


def free_port():
    """Free now, never given before, and none of those that the kernel gives to clients: they would take it before the server is up."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as limits:
        first_of_clients = int(limits.read().split()[0])
    while True:
        port = random.randrange(first_of_clients // 2, first_of_clients)
        if port in given or not (claim := claimed(port)):
            continue
        given[port] = claim
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
