# SPDX-License-Identifier: Apache-2.0
"""What an answer cost, as the provider says in it: in the access log, with the answer untouched."""
import gzip
import http.client
import json
import socket
import subprocess
import unittest

from fixture import HANGS_S, Scripted
from locations import UPSTREAMS, tls_location
from standins import deny, grant, token

HOSTS = {"openai": "api.openai.com", "anthropic": "api.anthropic.com", "gemini": "generativelanguage.googleapis.com"}
SERVER = UPSTREAMS + """
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{port_h2} http2; server_name llm.example.com;
    large_client_header_buffers 4 16k;
""" + "".join(
    [tls_location(f"/{name}/", name, host, f"vault_profile {name}; vault_meter on;") for name, host in HOSTS.items()] +
    [tls_location(f"/unbuffered/{name}/", name, host, f"vault_profile {name}; vault_meter on; proxy_buffering off;")
     for name, host in HOSTS.items()] +
    [tls_location("/off/", "openai", HOSTS["openai"], "vault_profile openai;"),
     tls_location("/zipped/", "openai", HOSTS["openai"], "vault_profile openai; vault_meter on; gzip on; "
                  "gzip_types application/json; gzip_min_length 1; proxy_set_header Accept-Encoding br;"),
     tls_location("/small/", "openai", HOSTS["openai"], "vault_profile openai; vault_meter on; sendfile on; "
                  "proxy_buffers 2 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k;"),
     tls_location("/upgrade/", "openai", HOSTS["openai"], "vault_profile openai; vault_meter on; "
                  "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;")]
).replace("{", "{{").replace("}", "}}") + """
  }}
"""
FAKE = json.dumps({"usage": {"prompt_tokens": 900, "input_tokens": 901, "output_tokens": 902}, "usageMetadata": {"promptTokenCount": 9}})


def event(value, name=None):
    return (f"event: {name}\r\n" if name else "").encode() + b"data: " + json.dumps(value).encode() + b"\r\n\r\n"


CHAT = json.dumps({"choices": [{"message": {"content": FAKE}}], "usage": {"prompt_tokens": 19, "completion_tokens": 10}}).encode()
CHAT_EVENTS = (event({"choices": [{"delta": {"content": FAKE}}], "usage": None}) * 3 +
               event({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 11}}) + b"data: [DONE]\n\n")
RESPONSES_EVENTS = (event({"response": {"usage": None}}, "response.created") + event({"delta": FAKE}, "response.output_text.delta") +
                    event({"response": {"usage": {"input_tokens": 21, "output_tokens": 12}}}, "response.completed"))
MESSAGES = json.dumps({"content": [{"type": "text", "text": FAKE}], "usage": {
    "input_tokens": 20, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 13}}).encode()
MESSAGES_EVENTS = (event({"message": {"usage": {"input_tokens": 24, "output_tokens": 1}}}, "message_start") +
                   event({"delta": {"text": FAKE}}, "content_block_delta") +
                   event({"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 14}}, "message_delta"))
GEMINI = [{"candidates": [{"content": {"parts": [{"text": FAKE}]}}], "usageMetadata": {"promptTokenCount": 25}},
          {"candidates": [], "usageMetadata": {"promptTokenCount": 25, "candidatesTokenCount": 10, "thoughtsTokenCount": 5}}]


class Meter(Scripted):
    server, logged = SERVER, "usage=$vault_input_tokens/$vault_output_tokens"

    def setUp(self):
        super().setUp()
        self.redeemer.answer = lambda ask: grant("https://" + ask["destination"])

    def metered(self, location, method="POST", headers=None):
        """(what the log says, what the client got); the answer is what `script` said."""
        path = self.path(location)
        status, self.got, body = self.send(path, method, body=None if method in ("GET", "HEAD") else {"model": "m"}, headers=headers)
        self.assertEqual(status, self.provider.script["status"])
        return self.logged_for(path), body

    def counts(self, location, answer, usage, **more):
        """However it comes: at once, in pieces, byte by byte."""
        for size in (len(answer), 997, 7, 1):
            pieces = [answer[i:i + size] for i in range(0, len(answer), size)]
            for prefix in ("", "unbuffered/"):
                self.script(*pieces, **more)
                self.assertEqual(self.metered(prefix + location), (usage, answer), (location, size, prefix))

    def test_counts_what_each_provider_says(self):
        for location, answer, usage in (("openai", CHAT, "19/10"), ("anthropic", MESSAGES, "23/13"), ("gemini", json.dumps(GEMINI[1]).encode(), "25/15"),
                                        ("gemini", json.dumps(GEMINI, indent=1).encode(), "25/15"), ("openai", b'{"usage":{"prompt_tokens":8}}', "8/-")):
            self.counts(location, answer, usage)

    def test_counts_in_streams(self):
        for location, answer, usage in (("openai", CHAT_EVENTS, "20/11"), ("openai", RESPONSES_EVENTS, "21/12"), ("anthropic", MESSAGES_EVENTS, "24/14"),
                                        ("gemini", b"".join(map(event, GEMINI)), "25/15")):
            self.counts(location, answer, usage, content_type="text/event-stream")

    def test_reads_json_of_every_name_and_nothing_else(self):
        for content_type, usage in (("application/json; charset=UTF-8", "19/10"), ("Application/JSON", "19/10"), ("application/problem+json;a=b", "19/10"),
                                    ("text/plain", "-/-"), ("application/jsonl", "-/-"), ("application/x-json", "-/-"), ("+json", "-/-"),
                                    ("text/event-stream", "-/-"), ("", "-/-")):
            self.script(CHAT, content_type=content_type)
            self.assertEqual(self.metered("openai"), (usage, CHAT), content_type)
        self.script(CHAT_EVENTS, content_type="text/event-stream; charset=utf-8")
        self.assertEqual(self.metered("openai"), ("20/11", CHAT_EVENTS))

    def test_says_nothing_where_the_answer_says_nothing(self):
        for answer in (b"{}", b"", b"no json", CHAT_EVENTS):
            self.script(*[answer] if answer else [])
            self.assertEqual(self.metered("openai"), ("-/-", answer))
        for status, usage in ((200, "19/10"), (201, "19/10"), (400, "-/-"), (429, "-/-"), (500, "-/-")):
            self.script(CHAT, status=status)
            self.assertEqual(self.metered("openai"), (usage, CHAT), status)
        self.script(CHAT)
        self.assertEqual(self.metered("openai", "HEAD"), ("-/-", b""))
        self.assertEqual(self.metered("openai", "GET"), ("19/10", CHAT))
        self.assertEqual(self.metered("off"), ("-/-", CHAT))
        self.redeemer.answer = lambda ask: deny(403, "denied")
        path = self.path("openai")
        self.assertEqual(self.send(path, body={"model": "m"})[0], 403)
        self.assertEqual(self.logged_for(path), "-/-")

    def test_asks_for_answers_that_can_be_read(self):
        self.script(CHAT)
        accepts = {"Accept-Encoding": "gzip, br"}
        self.assertEqual(self.metered("openai", headers=accepts), ("19/10", CHAT))
        self.assertEqual(self.header("accept-encoding"), [])
        self.metered("off", headers=accepts)
        self.assertEqual(self.header("accept-encoding"), ["gzip, br"])
        # nginx may compress on its own, behind the meter, and whatever it asks for is not asked.
        usage, body = self.metered("zipped", headers=accepts)
        self.assertEqual((usage, gzip.decompress(body)), ("19/10", CHAT))
        self.assertEqual((self.got["content-encoding"], self.header("accept-encoding")), ("gzip", []))
        for packed, encoding in ((gzip.compress(CHAT), "gzip"), (CHAT, "br")):  # what comes all the same is not read
            self.script(packed, content_encoding=encoding)
            self.assertEqual(self.metered("openai", headers=accepts), ("-/-", packed))
        self.script(CHAT, content_encoding="identity")
        self.assertEqual(self.metered("openai"), ("19/10", CHAT))

    def test_passes_each_event_on_at_once(self):
        for location in ("openai", "unbuffered/openai"):
            self.provider.release.clear()
            self.script(b"data: one", b"\n\n", None, CHAT_EVENTS, content_type="text/event-stream")
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANGS_S)
            self.addCleanup(connection.close)
            path = self.path(location)
            connection.request("POST", path, '{"model":"m"}', {"authorization": "Bearer " + token(), "content-type": "application/json"})
            answer = connection.getresponse()
            self.assertEqual(answer.read(11), b"data: one\n\n")  # while the provider waits
            self.provider.release.set()
            self.assertEqual(answer.read(), CHAT_EVENTS)
            self.assertEqual(self.logged_for(path), "20/11")

    def test_counts_what_came_before_a_stream_broke(self):
        self.script(event({"message": {"usage": {"input_tokens": 24, "output_tokens": 1}}}), None, content_type="text/event-stream")
        path = self.path("anthropic")
        with socket.create_connection(("127.0.0.1", self.port), HANGS_S) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token()}\r\n\r\n".encode())
            received = b""
            while b"message" not in received:
                received += s.recv(4096)
        self.assertEqual(self.logged_for(path), "24/1")
        self.provider.release.set()

    def test_reads_what_a_slow_client_leaves_in_files(self):
        filler = b'["' + b"x" * 7_000_000 + b'"]'
        answer = b'{"choices":' + filler + b',"usage":{"prompt_tokens":31,"completion_tokens":32},"more":' + filler + b"}"
        path, received = self.slowly("small", answer)
        self.assertEqual(received, answer)
        self.assertEqual(self.logged_for(path), "31/32")

    def test_serves_http2(self):
        for location, answer, usage, content_type in (("openai", CHAT, "19/10", "application/json"),
                                                      ("unbuffered/anthropic", MESSAGES_EVENTS, "24/14", "text/event-stream")):
            self.script(*(answer[i:i + 50] for i in range(0, len(answer), 50)), content_type=content_type)
            path = self.path(location)
            done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--max-time", str(HANGS_S), "-H", "authorization: Bearer " + token(),
                                   "-H", "content-type: application/json", "-d", '{"model":"m"}', f"http://127.0.0.1:{self.port_h2}{path}"],
                                  capture_output=True, check=True)
            self.assertEqual(done.stdout, answer)
            self.assertEqual(self.logged_for(path), usage)

    def test_leaves_websockets_alone(self):
        answer = self.raw("GET /upgrade/v1/socket HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                          f"authorization: Bearer {token()}\r\n\r\nping")
        self.assertTrue(answer.startswith(b"HTTP/1.1 101"), answer)
        self.assertTrue(answer.endswith(b"gnip"), answer)


if __name__ == "__main__":
    unittest.main()
