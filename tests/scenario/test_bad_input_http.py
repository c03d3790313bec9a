#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP that no client should send, wherever the vault listens: framing that can be read in two ways, what is too
large, too slow or too much. It is refused, nothing changes, and others are served."""

import contextlib
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from lab import HANGS_S, need, run_cases, wait_until  # noqa: E402
from pace import clock  # noqa: E402
from rawhttp import exchange_raw, listeners, open_unix, read_all, request  # noqa: E402
from refusals import bad_input  # noqa: E402

SECOND = b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n"
SMUGGLING = {
    "length and coding": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\ncontent-length: 5\r\n\r\n",
    "two equal lengths": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n",
    "a list of lengths": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0, 0\r\n\r\n",
    "a signed length": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: +0\r\n\r\n",
    "a negative length": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    "a hexadecimal length": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0x0\r\n\r\n",
    "a length beyond": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
    "an empty length": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: \r\n\r\n",
    "chunked twice": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two codings": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "gzip": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding almost chunked": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding behind a vertical tab": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length : 0\r\n\r\n",
    "a folded line": b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx: a\r\n b\r\n\r\n",
    "a folded first line": b"GET /v1/health HTTP/1.1\r\n host: x\r\n\r\n",
    "a bare LF": b"GET /v1/health HTTP/1.1\nhost: x\n\n", "a bare CR": b"GET /v1/health HTTP/1.1\r\nhost: x\rx: y\r\n\r\n",
    "NUL in a value": b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx: a\x00b\r\n\r\n",
    "NUL in a name": b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx\x00: a\r\n\r\n",
    "no host": b"GET /v1/health HTTP/1.1\r\n\r\n", "two hosts": b"GET /v1/health HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
    "a bad host": b"GET /v1/health HTTP/1.1\r\nhost: a b\r\n\r\n", "an empty name": b"GET /v1/health HTTP/1.1\r\nhost: x\r\n: a\r\n\r\n",
    "no version": b"GET /v1/health\r\nhost: x\r\n\r\n", "HTTP/1.0": b"GET /v1/health HTTP/1.0\r\nhost: x\r\n\r\n",
    "HTTP/2.0": b"GET /v1/health HTTP/2.0\r\nhost: x\r\n\r\n", "HTTP/1.10": b"GET /v1/health HTTP/1.10\r\nhost: x\r\n\r\n",
    "two spaces": b"GET  /v1/health HTTP/1.1\r\nhost: x\r\n\r\n", "a tab": b"GET\t/v1/health HTTP/1.1\r\nhost: x\r\n\r\n",
    "absolute form": b"GET http://x/v1/health HTTP/1.1\r\nhost: x\r\n\r\n", "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    "lower case method": b"get /v1/health HTTP/1.1\r\nhost: x\r\n\r\n", "an unknown method": b"BREW /v1/health HTTP/1.1\r\nhost: x\r\n\r\n",
    "a raw byte": b"GET /v1/h\xe9alth HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a long line": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "a long head": b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 17000 + b"\r\n\r\n",
    "many fields": b"GET /v1/health HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 65 + b"\r\n",
    "an expectation": b"POST /v1/x HTTP/1.1\r\nhost: x\r\nexpect: magic\r\ncontent-length: 1\r\n\r\nx",
    "a bad chunk size": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a signed chunk size": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
    "a huge chunk size": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "a chunk that is too long": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "a chunk with LF": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "a trailer that frames": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 5\r\n\r\n",
    "garbage": bytes(range(256)) * 8, "TLS in TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32,
}
STATUS = {"a long line": (b"414",), "a long head": (b"431",), "many fields": (b"431",), "an expectation": (b"417",),
          "gzip": (b"400", b"501"), "HTTP/1.0": (b"505",), "no version": (b"400", b"505"),
          "HTTP/2.0": (b"505",), "CONNECT": (b"400", b"501"), "an unknown method": (b"501",), "lower case method": (b"501",),
          "a huge chunk size": (b"400", b"413"), "a coding almost chunked": (b"400", b"501"), "two codings": (b"400", b"501"),
          "chunked twice": (b"400", b"501"),
          "HTTP/2 preface": (b"400", b"501", b"505"), "HTTP/1.10": (b"400", b"505"), "garbage": (b"400", b"414", b"431"),
          "a length beyond": (b"400", b"413")}


def framing_that_two_readers_could_see_differently():
    with bad_input() as lab:
        for role, connect in listeners(lab).items():
            for what, data in SMUGGLING.items():
                answer = exchange_raw(connect(), data + SECOND)
                lines = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
                allowed = STATUS.get(what, (b"400",))
                need(len(lines) == 1 and lines[0].split(b" ")[1] in allowed, f"{role}: {what}: {lines or answer[:200]} and not {allowed}")
                need(b"connection: close" in answer.lower(), f"{role}: {what}: the connection stays open: {answer[:300]}")
                need(b"alive" not in answer, f"{role}: {what}: the second request was answered")
            need(b'"alive"' in exchange_raw(connect(), request("GET", "/v1/health", extra="connection: close\r\n")), f"{role} afterwards")


def bodies_that_are_too_large():
    with bad_input() as lab:
        for role, path in (("broker", "/oauth2/token"), ("redeemer", "/v1/redeem"), ("admin", "/v1/tenants")):
            connect = listeners(lab)[role]
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n".encode()
            announced = exchange_raw(connect(), head + b"content-length: 100000000\r\n\r\n")
            need(announced.startswith(b"HTTP/1.1 413 "), f"{role}: an announced body: {announced[:100]}")
            expected = exchange_raw(connect(), head + b"content-length: 100000000\r\nexpect: 100-continue\r\n\r\n")
            need(expected.startswith(b"HTTP/1.1 413 "), f"{role}: with 100-continue: {expected[:100]}")
            chunks = b"transfer-encoding: chunked\r\n\r\n" + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 12
            chunked = exchange_raw(connect(), head + chunks)
            need(chunked.startswith(b"HTTP/1.1 413 ") or chunked == b"", f"{role}: in chunks: {chunked[:100]}")
            tiny = exchange_raw(connect(), head + b"transfer-encoding: chunked\r\n\r\n" + b"1;x=" + b"y" * 100000 + b"\r\nx\r\n")
            need(tiny.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")) or tiny == b"", f"{role}: framing: {tiny[:100]}")


FAST = {"broker": {"request_deadline_ms": 1000, "idle_ms": 1500, "max_connections": 8},
        "redeemer": {"request_deadline_ms": 1000, "idle_ms": 1500, "max_connections": 8},
        "admin": {"request_deadline_ms": 1000, "idle_ms": 1500, "max_connections": 8}}


def slow_requests_end():
    with bad_input(FAST) as lab:
        for role, connect in listeners(lab).items():
            for what, first, drip in (("a head", b"GET /v1/health HTTP/1.1\r\nhost: x\r\n", b"x: y\r\n"),
                                      ("a body", b"POST /v1/redeem HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                                       b"content-length: 1000\r\n\r\n", b" "),
                                      ("nothing", b"", b""), ("one byte", b"G", b"")):
                connection, begin = connect(), clock()
                connection.settimeout(0.1)
                ended = False
                if first:
                    connection.sendall(first)
                while clock() - begin < 6 and not ended:
                    try:
                        ended = connection.recv(4096) == b""
                    except TimeoutError:
                        with contextlib.suppress(OSError):
                            connection.sendall(drip)
                    except OSError:
                        ended = True
                connection.close()
                took = clock() - begin
                need(ended and took < 4, f"{role}: {what} was held for {took:.1f} s")
        plain = socket.create_connection(("127.0.0.1", lab.broker_port), HANGS_S)  # no TLS handshake at all
        plain.settimeout(HANGS_S)
        begin = clock()
        need(read_all(plain) == b"" and clock() - begin < 5, "a handshake that never comes is waited for")
        plain.close()


def too_many_connections():
    with bad_input(FAST) as lab:
        for role, connect in listeners(lab).items():
            held = []
            try:
                for _ in range(30):
                    with contextlib.suppress(OSError):
                        held.append(connect())
                time.sleep(0.2)
            finally:
                for connection in held:
                    connection.close()

            def answers():
                try:
                    return b'"alive"' in exchange_raw(connect(), request("GET", "/v1/health", extra="connection: close\r\n"))
                except OSError:
                    return False
            wait_until(f"{role} after too many connections", answers, 10)
        idle = [open_unix(lab.redeem_socket) for _ in range(7)]  # idle ones make room
        for connection in idle:
            connection.sendall(request("GET", "/v1/health"))
            need(b"alive" in connection.recv(4096), "an answer")
        need(all(lab.redeemer("GET", "/v1/health").status == 200 for _ in range(10)), "idle connections make no room")
        for connection in idle:
            connection.close()


if __name__ == "__main__":
    run_cases(framing_that_two_readers_could_see_differently, bodies_that_are_too_large, slow_requests_end,
              too_many_connections)
