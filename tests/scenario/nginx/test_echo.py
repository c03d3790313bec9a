# SPDX-License-Identifier: Apache-2.0
"""A provider that repeats what it was sent: clients do not see the credential, and everything else as it was."""
import gzip
import http.client
import json
import os
import socket
import subprocess
import time
import unittest
import urllib.parse

from fixture import Scripted, body_until_closed
from locations import UPSTREAMS, tls_location
from standins import SECRET, SmallChunks, grant, token

HOST = "api.openai.com"
COVER = "vault_profile openai; vault_cover_echoes on; "
SERVER = UPSTREAMS + """
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{port_h2} http2; server_name llm.example.com;
    large_client_header_buffers 4 16k;
""" + "".join([
    tls_location("/on/", "openai", HOST, COVER),
    tls_location("/unbuffered/", "openai", HOST, COVER + "proxy_buffering off;"),
    tls_location("/cached/", "openai", HOST, COVER + "vault_cache max=30s;"),
    tls_location("/metered/", "openai", HOST, COVER + "vault_meter on;"),
    tls_location("/forced/", "openai", HOST, COVER + "proxy_force_ranges on;"),
    tls_location("/off/", "openai", HOST, "vault_profile openai;"),
    tls_location("/hidden/", "openai", HOST, COVER + "proxy_hide_header x-repeated; add_header x-shown $upstream_http_x_repeated always;"),
    tls_location("/intercepted/", "openai", HOST, COVER + "proxy_intercept_errors on; error_page 401 = @refused;"),
    tls_location("/memory/", "openai", HOST, COVER + "proxy_max_temp_file_size 0;"),
    tls_location("/zipped/", "openai", HOST, COVER + "gzip on; gzip_types application/json; gzip_min_length 1;"),
    tls_location("/small/", "openai", HOST, COVER + "sendfile on; proxy_buffers 2 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k;"),
]).replace("{", "{{").replace("}", "}}") + """
    location @refused {{ add_header x-shown $upstream_http_x_repeated always; return 401 "refused"; }}
  }}
"""
STARS = "*" * len(SECRET)
TEXT = b"{\"k\":\"" + SECRET.encode() + b"\",\"part\":\"" + SECRET[:-1].encode() + b"\",\"twice\":\"" + 2 * SECRET.encode() + b"\"}"


def without(text):
    return text.replace(SECRET.encode(), STARS.encode())


class Echo(Scripted):
    server, logged = SERVER, "covered=$vault_covered"

    def ask(self, location, route="scripted", headers=None):
        path = self.path(location, route)
        self.status, self.got, body = self.send(path, body={"model": "m"}, headers=headers)
        return body, self.logged_for(path)

    def test_covers_what_a_mirror_shows(self):
        for location in ("on", "unbuffered", "metered", "cached", "cached"):
            body, count = self.ask(location, "mirror")
            self.assertEqual((self.status, self.got["x-repeated"]), (200, "Bearer " + STARS), location)
            self.assertEqual(dict(json.loads(body))["authorization"], "Bearer " + STARS)
            self.assertEqual(count, "2")
        self.assertEqual(len(self.redeemer.asks), 4)  # one answer was kept
        self.assertIn("held the credential \"openai-prod\": it was covered", self.read("error.log"))
        body, count = self.ask("off", "mirror")
        self.assertIn(SECRET.encode(), body)
        self.assertEqual(count, "-")

    def test_covers_headers_that_nginx_uses_otherwise(self):
        self.ask("hidden", "mirror")
        self.assertEqual((self.got["x-shown"], "x-repeated" in self.got), ("Bearer " + STARS, False))
        self.script(b"no", status=401, www_authenticate=f'Bearer realm="{SECRET}"', x_repeated=SECRET)
        body, _ = self.ask("intercepted")  # the page is nginx's, this header the provider's
        self.assertEqual((self.status, body), (401, b"refused"))
        self.assertEqual((self.got["www-authenticate"], self.got["x-shown"]), (f'Bearer realm="{STARS}"', STARS))

    def say(self, location, *pieces):
        self.provider.script = {"raw": pieces}
        return self.ask(location, "raw")

    def test_covers_what_is_left_of_a_head_that_nginx_refuses(self):
        head = f"HTTP/1.1 200 OK\r\nx-repeated: {SECRET}\r\n".encode()
        for rest in (b"", b"x: " + b"a" * 20_000, b"x y: z\r\n\r\n", SECRET.encode() + b" z\r\n\r\n",
                     b"x: " + SECRET.encode() + b"\0\r\n\r\n"):  # logs are looked at, too
            for size in (len(head + rest), 30, 1):
                self.say("hidden", *((head + rest)[i:i + size] for i in range(0, 200, size)), (head + rest)[200:])
                self.assertEqual((self.status, self.got["x-shown"]), (502, STARS), (rest, size))

    def test_covers_what_is_no_http(self):
        for location in ("on", "unbuffered"):
            for size in (len(TEXT), 20, 1):
                self.provider.script = {"raw": [TEXT[i:i + size] for i in range(0, len(TEXT), size)]}
                self.assertEqual(self.raw(f"GET {self.path(location, 'raw')} HTTP/1.0\r\nauthorization: Bearer {token()}\r\n\r\n"), without(TEXT))

    def test_covers_it_in_pieces_of_any_size(self):
        for size in (len(TEXT), 61, 17, 3, 1):
            for location in ("on", "unbuffered"):
                self.script(*(TEXT[i:i + size] for i in range(0, len(TEXT), size)))
                self.assertEqual(self.ask(location), (without(TEXT), "3"), (location, size))

    def test_covers_it_in_other_forms_and_in_answers_of_every_status(self):
        secret = "sk-MARKER/with+more=signs"
        self.redeemer.answer = lambda ask: grant(inject=[{"in": "header", "name": "authorization", "value": "Bearer " + secret,
                                                          "secret_from": 7, "secret_to": 7 + len(secret)}])
        for form in (secret, secret.replace("/", "\\/"), urllib.parse.quote(secret, safe="")):
            for status in (200, 404, 500):
                self.script(b"x" + form.encode() + b"y", content_type="text/plain", status=status)
                self.assertEqual(self.ask("on"), (b"x" + b"*" * len(form) + b"y", "1"), (form, status))
        short = "1234567"  # is in any text
        self.redeemer.answer = lambda ask: grant(inject=[{"in": "header", "name": "authorization", "value": short,
                                                          "secret_from": 0, "secret_to": len(short)}])
        self.script(short.encode())
        self.assertEqual(self.ask("on"), (short.encode(), "-"))

    def test_leaves_other_answers_as_they_are(self):
        for answer in (b"", b"{}", SECRET[:-1].encode(), SECRET.encode()[1:], bytes(range(256)) * 1000):
            for size in (len(answer) + 1, 1000):
                self.script(*(answer[i:i + size] for i in range(0, len(answer), size)))
                for location in ("on", "unbuffered"):
                    self.assertEqual(self.ask(location), (answer, "-"), (location, size))
        path = self.path("on")
        self.assertEqual(self.send(path, "HEAD")[2], b"")

    def test_passes_each_event_on_at_once(self):
        for location in ("on", "unbuffered"):
            self.provider.release.clear()
            self.script(b"data: s\n\n", b"data: sk", None, SECRET[2:].encode() + b"\n\n", content_type="text/event-stream")
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            self.addCleanup(connection.close)
            connection.request("POST", self.path(location), '{"model":"m"}', {"authorization": "Bearer " + token(), "content-type": "application/json"})
            answer = connection.getresponse()
            self.assertEqual(answer.read(9), b"data: s\n\n")  # while the provider waits
            self.provider.release.set()
            self.assertEqual(answer.read(), b"data: " + STARS.encode() + b"\n\n")

    def test_passes_on_what_was_held_back_when_a_stream_ends(self):
        for location in ("on", "unbuffered"):
            self.script(b"data: ", SECRET[:20].encode(), content_type="text/event-stream")
            self.assertEqual(self.ask(location), (b"data: " + SECRET[:20].encode(), "-"))

    def test_gives_no_halves(self):
        for location in ("on", "forced"):
            for wanted in ({"range": "bytes=0-150"}, {"range": "bytes=151-"}, {"range": "bytes=0-150", "if-range": '"x"'}):
                body, _ = self.ask(location, "mirror", wanted)
                self.assertEqual((self.status, self.header("range"), self.header("if-range")), (200, [], []))
                self.assertIn(STARS.encode(), body)

    def test_asks_for_answers_that_can_be_read(self):
        accepts = {"accept-encoding": "gzip"}
        body, count = self.ask("zipped", "mirror", accepts)
        self.assertEqual((self.got["content-encoding"], self.header("accept-encoding")), ("gzip", []))
        self.assertEqual((dict(json.loads(gzip.decompress(body)))["authorization"], count), ("Bearer " + STARS, "2"))
        for encoding in ("gzip", "br", "identity, gzip"):
            self.script(gzip.compress(TEXT), content_encoding=encoding)
            self.ask("on", headers=accepts)
            self.assertEqual(self.status, 502, encoding)
        for encoding in (b"gzip, chunked", b"x-gzip, chunked", b"gzip"):
            self.say("on", b"HTTP/1.1 200 OK\r\ntransfer-encoding: " + encoding + b"\r\n\r\n", SmallChunks(gzip.compress(TEXT), 1000), b"0\r\n\r\n")
            self.assertEqual(self.status, 502, encoding)
        self.assertIn("is compressed, which it was not asked for", self.read("error.log"))
        self.script(TEXT, content_encoding="identity")
        self.assertEqual(self.ask("on"), (without(TEXT), "3"))

    def test_reads_what_a_slow_client_leaves_in_files(self):
        answer = b"".join(b"x" * 99_990 + SECRET.encode() for _ in range(140))
        path, received = self.slowly("small", answer)
        self.assertTrue(received == without(answer))
        self.assertEqual(self.logged_for(path), "140")

    def peak_kib(self):
        """Of the worker's memory, so far. A sanitizer keeps what was freed: nothing can be said."""
        if os.environ.get("VAULT_NGINX_PRELOAD"):
            return 0
        pid = subprocess.run(["pgrep", "-P", str(self.nginx.pid)], capture_output=True, text=True, check=True).stdout.strip()
        with open(f"/proc/{pid}/status") as status:
            return int(next(line for line in status if line.startswith("VmHWM")).split()[1])

    def test_needs_no_memory_for_each_piece(self):
        text = b"a:" + SECRET[:30].encode() + b"\n"  # held back, let go, held back
        for location, kind in (("unbuffered", "text/plain"), ("on", "text/plain"), ("on", "text/event-stream")):
            for count in (100, 6000):
                before = self.peak_kib()
                self.script(*[SmallChunks(text)] * count, content_type=kind)
                body, _ = self.ask(location)
                self.assertTrue(body == text * count)
            self.assertLess(self.peak_kib() - before, 4096, (location, kind))

    def test_holds_the_provider_up_when_a_client_does_not_read(self):
        count, text = 12_000, b"s" * 500
        for location, kind in (("unbuffered", "text/plain"), ("memory", "text/plain"), ("on", "text/event-stream")):
            told = []

            def pieces():
                for _ in range(count):
                    yield SmallChunks(text, 10)
                    told.append(1)
            self.script(content_type=kind)
            self.provider.script["pieces"] = pieces()
            before = self.peak_kib()
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.settimeout(20)
                s.connect(("127.0.0.1", self.port))
                s.sendall(f"GET {self.path(location)} HTTP/1.0\r\nhost: a\r\nauthorization: Bearer {token()}\r\n\r\n".encode())
                seen = -1
                while len(told) < count and len(told) != seen:  # until it is held up
                    seen = len(told)
                    time.sleep(0.5)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                received = body_until_closed(s)
            self.assertTrue(received == text * count, location)
            self.assertLess(self.peak_kib() - before, 16384, (location, kind))

    def test_serves_http2(self):
        for location in ("on", "unbuffered"):
            for size in (len(TEXT), 50, 1):
                self.script(*(TEXT[i:i + size] for i in range(0, len(TEXT), size)))
                done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--max-time", "20", "-H", "authorization: Bearer " + token(),
                                       "-H", "content-type: application/json", "-d", '{"model":"m"}',
                                       f"http://127.0.0.1:{self.port_h2}{self.path(location)}"], capture_output=True, check=True)
                self.assertEqual(done.stdout, without(TEXT))

    def test_refuses_what_it_can_not_search_for(self):
        self.redeemer.answer = lambda ask: grant(inject=[{"in": "header", "name": "authorization", "value": "Bearer " + SECRET}])
        self.ask("on", "mirror")
        self.assertEqual((self.status, self.provider.seen), (500, []))
        self.assertIn("does not say which part of a header is secret", self.read("error.log"))
        self.ask("off", "mirror")
        self.assertEqual(self.status, 200)


if __name__ == "__main__":
    unittest.main()
