# SPDX-License-Identifier: Apache-2.0
"""HTTP by the byte, to each place where the vault listens."""

import contextlib
import socket
import ssl

from lab import HANGS_S


def request(method, path, body=b"", host="x", extra="", version="HTTP/1.1"):
    length = f"content-length: {len(body)}\r\n" if body else ""
    return f"{method} {path} {version}\r\nhost: {host}\r\n{length}{extra}\r\n".encode() + body


def read_all(connection):
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except (TimeoutError, OSError, ssl.SSLError):
        pass
    return received


def exchange_raw(connection, data):
    connection.settimeout(10)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            connection.sendall(data)
        return read_all(connection)
    finally:
        connection.close()


def open_tls(lab):
    context = ssl.create_default_context(cafile=lab.ca)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", lab.broker_port), HANGS_S), server_hostname="localhost")


def open_unix(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(path)
    return connection


def raw_tls(lab, data):
    return exchange_raw(open_tls(lab), data)


def listeners(lab):
    return {"broker": lambda: open_tls(lab), "redeemer": lambda: open_unix(lab.redeem_socket), "admin": lambda: open_unix(lab.admin_socket)}
