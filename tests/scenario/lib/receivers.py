#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Receivers of the audit log, as programs of their own so that they can be killed.

    receivers.py syslog    PORT CERTIFICATE KEY CLIENT-CA OUT
    receivers.py collector PORT CERTIFICATE KEY HEADER OUT [SEED]
    receivers.py silent    PORT

syslog is strict about RFC 5425 and RFC 5424 and wants a client certificate. What
it got is on the disk (OUT) before it answers the goodbye of TLS. collector takes
JSON lines; with a SEED it fails in every way it knows before it takes a batch.
silent accepts connections and never reads. Whatever is against a format ends up
in OUT.bad.
"""

import http.server
import os
import random
import re
import socket
import ssl
import sys
import threading
import time

HEADER = re.compile(rb'<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([!-~]{1,255}) vaultd - ([!-~]{1,32}) '
                    rb'\[meta sequenceId="([1-9]\d*)"\] (\{.*\})')
lock = threading.Lock()


class Out:
    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def put(self, content):
        with lock:
            os.write(self.fd, content)

    def sync(self):
        os.fsync(self.fd)

    def bad(self, what):
        with lock, open(f"{self.path}.bad", "a") as out:
            out.write(f"{what}\n")


def take_frames(rest, out):
    """Takes whole frames off; gives what is left of them."""
    while True:
        found = re.match(rb"([1-9]\d{0,6}) ", rest)
        if not found:
            if rest and not re.fullmatch(rb"[1-9]\d{0,6}", rest):
                raise ValueError(f"no length: {rest[:40]!r}")
            return rest
        size = int(found.group(1))
        if len(rest) < found.end() + size:
            return rest
        message = rest[found.end():found.end() + size]
        parts = HEADER.fullmatch(message)
        if not parts:
            raise ValueError(f"no message: {message[:120]!r}")
        if int(parts.group(1)) // 8 != 13 or f'"sequence":{int(parts.group(5))},'.encode() not in parts.group(6):
            raise ValueError(f"a header that does not fit: {message[:120]!r}")
        out.put(parts.group(6) + b"\n")
        rest = rest[found.end() + size:]


def serve_syslog(link, context, out):
    try:
        # An end without TLS's goodbye, as of a killed sender, raises: what it tore is no fault of format.
        with context.wrap_socket(link, server_side=True, suppress_ragged_eofs=False) as tls:
            rest = b""
            while True:
                got = tls.recv(65536)
                if not got:
                    break
                rest = take_frames(rest + got, out)
            if rest:
                raise ValueError(f"{len(rest)} bytes of no frame")
            out.sync()
            tls.unwrap()
    except ValueError as error:
        out.bad(error)
    except OSError:
        pass


def listener(port):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen(16)
    return server


def syslog(port, certificate, key, client_ca, path):
    out = Out(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    server = listener(int(port))
    while True:
        link, _ = server.accept()
        threading.Thread(target=serve_syslog, args=(link, context, out), daemon=True).start()


def collector(port, certificate, key, header, path, seed=None):
    out = Out(path)
    chance = random.Random(int(seed)) if seed else None

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status, *headers):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_POST(self):
            size = int(self.headers["content-length"])
            body = self.rfile.read(size)
            if len(body) < size:  # whoever sent it was killed meanwhile: no request
                self.close_connection = True
                return
            if self.headers["authorization"] != header or self.headers["content-type"] != "application/x-ndjson" or body[-1:] != b"\n":
                out.bad(f"{self.headers} {body[-20:]!r}")
            mood = chance.random() if chance else 1
            if mood < 0.1:
                self.answer(500)
            elif mood < 0.2:
                self.answer(429, ("retry-after", "1"))
            elif mood < 0.3:
                time.sleep(0.3)
                self.connection.close()
            else:
                out.put(body)
                out.sync()
                if mood < 0.4:  # has it, and does not say so
                    self.answer(503)
                else:
                    self.answer(204)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def silent(port):
    server, links = listener(int(port)), []
    while True:
        links.append(server.accept())


if __name__ == "__main__":
    {"syslog": syslog, "collector": collector, "silent": silent}[sys.argv[1]](*sys.argv[2:])
