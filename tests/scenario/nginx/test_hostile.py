# SPDX-License-Identifier: Apache-2.0
"""Clients that try to be read in two ways, and providers that do not behave."""
import json
import socket
import subprocess
import unittest

from fixture import HANGS_S, Case
from locations import SERVER
from standins import SECRET, grant, token

GEMINI = "https://generativelanguage.googleapis.com"


class Hostile(Case):
    server, logged = SERVER, "$arg_key"

    def ask(self, text, *headers, body="", host="host: a"):
        """One raw request on a connection of its own; `text` is its first line."""
        lines = [text + " HTTP/1.1", host, "connection: close", f"authorization: Bearer {token()}", *headers]
        return self.raw("\r\n".join(lines) + "\r\n\r\n" + body)

    def status(self, answer):
        return int(answer.split(b" ", 2)[1])

    def names(self):
        return {name.lower() for name, _ in self.provider.last()["headers"]}

    # ---- One request or two? ----

    def test_refuses_what_has_two_lengths(self):
        hidden = f"GET /openai/v1/hidden HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token()}\r\n\r\n"
        for headers in (["content-length: 4", "transfer-encoding: chunked"], ["content-length: 4", "content-length: 5"],
                        ["content-length: 4", "content-length: 4"], ["transfer-encoding: xchunked"],
                        ["transfer-encoding: chunked, identity"], ["transfer-encoding: gzip, chunked"],
                        ["transfer-encoding: chunked", "transfer-encoding: chunked"], ["content-length: +4"],
                        ["content-length: 4, 4"], ["content-length : 4"], ["content-length: 0x4"]):
            answer = self.ask("POST /openai/v1/x", *headers, body="0\r\n\r\n" + hidden)
            self.assertIn(self.status(answer), (400, 501), headers)
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1, headers)
        self.assertEqual(self.provider.seen, [])

    def test_refuses_chunks_with_two_readings(self):
        for body in ("4\r\n{}  \r\n0\r\n", "-1\r\n{}\r\n0\r\n\r\n", "0x2\r\n{}\r\n0\r\n\r\n", "2\r\n{}xx0\r\n\r\n",
                     "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", self.port), HANGS_S) as s:
                s.sendall((f"POST /openai/v1/x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token()}\r\nconnection: close\r\n"
                           f"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{body}").encode())
                s.shutdown(socket.SHUT_WR)
                answer = s.recv(65536)
            self.assertTrue(answer == b"" or self.status(answer) == 400, (body, answer))
        self.assertEqual(self.provider.seen, [])

    def test_decides_on_each_request_of_a_connection(self):
        good = f"GET /openai/v1/one HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token()}\r\n\r\n"
        answer = self.raw(good + "GET /openai/v1/two HTTP/1.1\r\nhost: a\r\n\r\n" +
                          good.replace("/one", "/three").replace("host: a", "host: a\r\nconnection: close"))
        self.assertEqual([int(piece[:3]) for piece in answer.split(b"HTTP/1.1 ")[1:]], [200, 401, 200])
        self.assertEqual([seen["path"] for seen in self.provider.seen], ["/v1/one", "/v1/three"])

    def test_refuses_what_is_no_header(self):
        for header in ("authorization : Bearer sk-real", " folded: x", "x-a: b\r\n\tfolded", "x-a\x00: b", "x a: b"):
            answer = self.ask("GET /openai/v1/x", header)
            if self.status(answer) == 200:
                self.assertNotIn("sk-real", str(self.provider.last()))
                self.assertNotIn("folded", str(self.provider.last()))
            else:
                self.assertEqual(self.status(answer), 400, header)
        self.assertEqual(self.status(self.ask("GET /openai/v1/x", "x_api_key: sk-real")), 200)
        self.assertNotIn("sk-real", str(self.provider.last()))

    def test_sends_nothing_to_a_host_of_the_client(self):
        for line in ("GET http://evil.example/openai/v1/x", "GET http://evil.example:1/openai/v1/x"):
            self.assertEqual(self.status(self.ask(line, host="host: evil.example")), 200)
            self.assertEqual((self.header("host"), self.provider.last()["path"]), (["api.openai.com"], "/v1/x"))
            self.assertEqual(self.redeemer.asks[-1]["destination"], "api.openai.com")
        self.assertEqual(self.status(self.ask("GET /openai/v1/x", "x-forwarded-host: evil.example")), 200)
        self.assertEqual(self.header("host"), ["api.openai.com"])
        self.assertEqual(self.status(self.ask("GET /openai/v1/x", host="host: a\r\nhost: b")), 400)

    def test_refuses_methods_that_echo_or_tunnel(self):
        self.assertEqual(self.status(self.ask("TRACE /openai/v1/x")), 405)
        self.assertIn(self.status(self.ask("CONNECT evil.example:443")), (400, 405))
        self.assertEqual(self.provider.seen, [])

    # ---- What is for this hop ----

    def test_passes_nothing_on_that_is_for_this_hop(self):
        self.assertEqual(self.status(self.ask(
            "GET /openai/v1/x", "te: trailers", "keep-alive: timeout=5", "proxy-connection: keep-alive", "upgrade: h2c",
            "http2-settings: AAMAAABk", "proxy-authorization: Basic eDp5", "x-original-url: /v1/files",
            "x-rewrite-url: /v1/files", "x-kept: yes")), 200)
        self.assertFalse(self.names() & {"te", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "connection",
                                         "proxy-authorization", "x-original-url", "x-rewrite-url"}, self.names())
        self.assertIn("x-kept", self.names())

    def test_drops_what_the_client_names_in_connection(self):
        answer = self.raw(f"POST /openai/v1/x HTTP/1.1\r\nhost: a\r\nconnection: close, X-Mine , authorization, content-type\r\n"
                          f"x-mine: 1\r\nx-other: 2\r\nauthorization: Bearer {token()}\r\ncontent-type: application/json\r\n"
                          f"content-length: 13\r\n\r\n{{\"model\":\"a\"}}")
        self.assertEqual(self.status(answer), 200)
        self.assertFalse({"x-mine"} & self.names())
        self.assertTrue({"x-other", "content-type"} <= self.names())
        self.assertEqual(self.header("authorization"), ["Bearer " + SECRET])

        for headers in (["connection: x"] * 9, ["connection: " + "x," * 200]):
            answer = self.ask("GET /openai/v1/x", *headers)
            self.assertIn(b"crowded_connection", answer)

    def test_carries_no_other_upgrade_than_websocket(self):
        """An h2c connection would let a client send what nobody decides on."""
        answer = self.raw(f"GET /upgrade/v1/x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token()}\r\nupgrade: h2c\r\n"
                          "connection: upgrade, http2-settings, close\r\nhttp2-settings: AAMAAABk\r\n\r\n")
        self.assertFalse({"upgrade", "http2-settings"} & self.names())
        self.assertEqual(self.status(answer), 200)

    def test_leaves_no_empty_list_of_subprotocols(self):
        text = ("GET /upgrade/v1/socket HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                f"sec-websocket-protocol: openai-insecure-api-key.{token()}\r\n\r\nping")
        self.assertTrue(self.raw(text).endswith(b"gnip"))
        self.assertNotIn("sec-websocket-protocol", self.names())

    def test_answers_expect_and_keeps_it(self):
        body = b'{"model":"patient"}'
        with socket.create_connection(("127.0.0.1", self.port), HANGS_S) as s:
            s.sendall(f"POST /openai/v1/x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token()}\r\nexpect: 100-continue\r\n"
                      f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode())
            self.assertEqual(s.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
            self.assertEqual(self.redeemer.asks, [])
            s.sendall(body)
            self.assertTrue(s.recv(65536).startswith(b"HTTP/1.1 200"))
        self.assertEqual(self.redeemer.asks[-1]["model"], "patient")
        self.assertNotIn("expect", self.names())

    # ---- Bodies ----

    def test_finds_a_model_whatever_the_body_is_called(self):
        """Many servers parse JSON without a look at its type."""
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/octet-stream", "multipart/form-data; boundary=b"):
            self.assertEqual(self.send("/openai/v1/x", body=' \r\n{"model":"hidden"}', headers={"content-type": kind})[0], 200)
            self.assertEqual(self.redeemer.asks[-1].get("model"), "hidden", kind)
        self.ask("POST /openai/v1/x", "content-length: 18", body='{"model":"nobody"}')
        self.assertEqual(self.redeemer.asks[-1].get("model"), "nobody")
        self.redeemer.answer = lambda ask: grant("https://mcp.example")
        call = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "rm", "arguments": {}}}
        self.assertEqual(self.send("/mcp/", body=call, headers={"content-type": "text/plain"})[0], 200)
        self.assertEqual(self.redeemer.asks[-1]["tool"], "rm")

    def test_refuses_json_with_two_readings_whatever_it_is_called(self):
        plain = {"content-type": "text/plain"}
        for body in ('{"model":"a","model":"b"}', '{"model":"a"}{"model":"b"}', b'\xef\xbb\xbf{"model":"a"}',
                     '{"model":"a"}'.encode("utf-16"), '{"model":"a"}'.encode("utf-16-be"), '{"model":"a"}'.encode("utf-32")):
            self.refused(self.send("/openai/v1/x", body=body, headers=plain), 400, "ambiguous_body")
        call = '[{"jsonrpc":"2.0","method":"tools/call","params":{"name":"rm"}}]'
        self.refused(self.send("/mcp/", body=call, headers=plain), 400, "ambiguous_body")
        for body in ("/**/" + call[1:-1], "\u00a0" + call[1:-1], ")]}'\n" + call[1:-1], "text", " "):  # lenient parsers read these
            self.refused(self.send("/mcp/", body=body.encode(), headers=plain), 400, "ambiguous_body")
        self.assertEqual(self.redeemer.asks, [])

    def test_leaves_bodies_that_are_no_json(self):
        for body in (b"[notes] of today", b"model=a&x={}", b"\xff\xd8\xff\xe0\x00\x10JFIF{", b"\x00\x00\x00\x18ftyp{", b" \n", b"PK\x03\x04"):
            self.assertEqual(self.send("/openai/v1/x", body=body, headers={"content-type": "application/octet-stream"})[0], 200)
            self.assertNotIn("model", self.redeemer.asks[-1])
            self.assertEqual(self.provider.last()["size"], len(body))

    def test_scans_http2_bodies_without_a_length(self):
        for body, status in ((b'{"model":"streamed"}', 200), (b'{"model":"a","model":"b"}', 400)):
            done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--max-time", str(HANGS_S), "-w", "\n%{http_code}", "-X", "POST",
                                   "-T", "-", "-H", "authorization: Bearer " + token(), "-H", "content-type: application/json",
                                   f"http://127.0.0.1:{self.port_h2}/openai/v1/x"], input=body, capture_output=True, check=True)
            self.assertEqual(int(done.stdout.rsplit(b"\n", 1)[1]), status)
        self.assertEqual([ask["model"] for ask in self.redeemer.asks], ["streamed"])
        self.assertEqual(self.provider.last()["size"], 20)

    # ---- Providers, and ways inside nginx ----

    def test_sends_a_request_once(self):
        for _ in range(3):
            self.send("/openai/v1/warm", "GET")  # a kept connection is one that nginx would try again
        self.provider.seen.clear()
        self.assertEqual(self.send("/openai/v1/hangup", body={"model": "a"})[0], 502)
        self.assertEqual(len(self.provider.seen), 1)

    def test_injects_once_whatever_error_page_says(self):
        """The second place is another host: the first decision is not for it."""
        result = self.send("/falling/v1/limited", body={"model": "a"})
        self.assertEqual((result[0], json.loads(result[2])["error"]["code"]), (401, "missing_token"))
        self.assertEqual(len(self.provider.seen), 1)
        self.assertEqual(self.send("/falling/v1/x", body={"model": "a"})[0], 200)

    def test_covers_a_token_again_after_a_refusal(self):
        self.redeemer.answer = lambda ask: grant(GEMINI)
        path = f"/closed/v1beta/models?key={token()}"
        self.assertEqual(self.send(path, "GET", authorize=False)[0], 200)
        self.assertEqual(self.redeemer.asks[-1]["token"], token())

    def test_finds_a_covered_token_after_an_internal_redirect(self):
        self.redeemer.answer = lambda ask: grant(GEMINI)
        self.assertEqual(self.send(f"/tried/v1beta/models?key={token()}&a=b", "GET", authorize=False)[0], 200)
        self.assertEqual((self.redeemer.asks[-1]["token"], self.provider.last()["path"]), (token(), "/v1beta/models?a=b"))
        path = f"/triedother/x?key={token()}&a=b"
        self.assertEqual(self.send(path, "GET", authorize=False)[0], 200)
        self.assertEqual(self.plain.last()["path"], path)


if __name__ == "__main__":
    unittest.main()
