# SPDX-License-Identifier: Apache-2.0
"""Requests that are under way when what they were granted on is taken back."""
import signal
import socket
import struct
import threading
import time
import unittest

from fixture import HANGS_S, Case, clock
from locations import LOCATIONS, UPSTREAMS, tls_location
from standins import deny, grant, token

SERVER = UPSTREAMS + """
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{port_h2} http2; server_name llm.example.com;
    large_client_header_buffers 4 16k;
""" + tls_location("/uncut/", "openai", "api.openai.com", "vault_profile openai; vault_cut_streams off;").replace(
    "{", "{{").replace("}", "}}") + LOCATIONS + """
  }}
"""
AT_ONCE_S = 1.0
ROUND_S = 0.1  # of one worker, from a question to the next


class Stream:
    """A request whose answer does not end by itself. `name` is who asks: the stand-in's grant is of that name."""

    def __init__(self, case, name, path="/openai/v1/{}/ticks", head="", port=None):
        self.name, self.path, self.received, self.error, self.is_over = name, path.format(name), b"", None, False
        self.socket = socket.create_connection(("127.0.0.1", port or case.port), HANGS_S)
        self.socket.sendall(f"GET {self.path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token(name)}\r\n{head}\r\n".encode())
        self.socket.settimeout(10 * HANGS_S)  # some are silent
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        case.addCleanup(self.close)

    def _read(self):
        try:
            while piece := self.socket.recv(65536):
                self.received += piece
        except OSError as error:
            self.error = error
        self.is_over = True

    def ticks(self):
        return self.received.count(b"data: tick")

    def goes_on(self, case):
        before = len(self.received)
        case.wait(lambda: len(self.received) > before, f"more of {self.name}")
        return not self.is_over

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Cut(Case):
    server, workers = SERVER, 2

    def setUp(self):
        super().setUp()
        if not self.redeemer.server:
            self.redeemer.start()
        self.redeemer.questions.clear()
        self.redeemer.ended.clear()
        self.redeemer.says = self.redeemer.standing_answer
        self.redeemer.answer = self.granted
        self.addCleanup(self.wait, lambda: not self.provider.open, "the end of what this test began")

    def granted(self, ask):
        name = next(name for name in self.names() if token(name) == ask["token"])
        return grant(epoch=self.redeemer.epoch, standing=self.redeemer.standing, grant="grant-of-" + name)

    @staticmethod
    def names():
        return ["alice", "bob", "carol"] + [f"n{i}" for i in range(300)]

    def begin(self, *names, **more):
        streams = [Stream(self, name, **more) for name in names]
        for stream in streams:
            self.wait(lambda: len(stream.received) > 0, stream.name)
        self.wait(lambda: all(stream.path.split("/", 2)[2] in "".join(self.provider.open) for stream in streams), "the provider")
        return streams

    def is_cut(self, stream, begin):
        self.wait(lambda: stream.is_over, f"the end of {stream.name}", AT_ONCE_S)
        self.wait(lambda: not any(stream.path.endswith(path.split("/", 2)[2]) for path in self.provider.open),
                  f"the provider's end of {stream.name}", AT_ONCE_S)
        self.assertIsInstance(stream.error, ConnectionResetError)  # and not an end that looks like one
        return clock() - begin

    def take_back(self, *names):
        begin = clock()
        self.redeemer.take_back(*("grant-of-" + name for name in names))
        return begin

    def test_cuts_the_one_and_no_other(self):
        alice, bob, carol = self.begin("alice", "bob", "carol")
        begin = self.take_back("alice")
        print(f"\ntaken back to cut: {self.is_cut(alice, begin) * 1000:.0f} ms")
        self.assertNotIn(b"0\r\n\r\n", alice.received[-5:])
        for other in (bob, carol):
            self.assertTrue(other.goes_on(self))
        self.wait(lambda: 'vault: request cut: the token is revoked, credential "openai-prod"' in self.read("error.log"), "the log")
        self.wait(lambda: "[cut - openai-prod" in self.read("access.log"), "the access log")
        asked = [item for question in self.redeemer.questions for item in question["grants"]]
        self.assertEqual({item["grant"] for item in asked}, {"grant-of-alice", "grant-of-bob", "grant-of-carol"})
        self.assertTrue(all(len(item["request_id"]) == 32 for item in asked))

    def test_cuts_whatever_is_going_on(self):
        ways = {"alice": {}, "bob": {"path": "/openai/v1/{}/silence"},
                "carol": {"path": "/upgrade/v1/{}/echo", "head": "connection: upgrade\r\nupgrade: websocket\r\n"}}
        streams = [self.begin(name, **more)[0] for name, more in ways.items()]
        neighbour = self.begin("n0", **ways["carol"])[0]
        thinking = Stream(self, "n1", "/openai/v1/{}/thinking")
        self.wait(lambda: "/v1/n1/thinking" in self.provider.open, "the provider")
        begin = self.take_back("n1", *ways)
        for stream in (*streams, thinking):
            self.is_cut(stream, begin)
        neighbour.socket.sendall(b"abcd")
        self.wait(lambda: neighbour.received.endswith(b"dcba"), "the neighbour's echo")
        self.assertFalse(neighbour.is_over)

    def test_cuts_a_request_whose_body_is_still_coming(self):
        with socket.create_connection(("127.0.0.1", self.port), HANGS_S) as s:
            s.sendall(f"POST /pathonly/v1/x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token('alice')}\r\n"
                      "content-length: 1000\r\n\r\nbegin".encode())
            self.wait(lambda: self.redeemer.asks, "the redeem")
            time.sleep(0.1)
            begin = self.take_back("alice")
            with self.assertRaises(ConnectionResetError):
                s.recv(1000)
            self.assertLess(clock() - begin, AT_ONCE_S)
        self.assertEqual(self.provider.seen, [])

    def test_cuts_what_began_with_a_kept_answer(self):
        self.assertEqual(self.send("/cached/v1/alice/x", "GET", headers={"authorization": "Bearer " + token("alice")})[0], 200)
        asks = len(self.redeemer.asks)
        kept = {"path": "/cached/v1/{}/ticks"}
        first = self.begin("alice", **kept)[0]
        second = self.begin("alice", **kept)[0]
        self.assertEqual(len(self.redeemer.asks), asks + 1)
        begin = self.take_back("alice")
        self.is_cut(first, begin)
        self.is_cut(second, begin)

    def test_leaves_streams_alone_when_the_watch_comes_back(self):
        alice, bob = self.begin("alice", "bob")
        watches = self.redeemer.watches
        self.redeemer.stop()
        time.sleep(0.6)
        self.redeemer.start()
        self.wait(lambda: self.redeemer.watches >= watches + 2, "the watches")
        time.sleep(0.3)
        self.assertTrue(alice.goes_on(self) and bob.goes_on(self))
        self.assertEqual(self.redeemer.questions, [])  # nothing was taken back meanwhile

    def test_finds_what_was_taken_back_while_it_was_away(self):
        alice, bob = self.begin("alice", "bob")
        self.redeemer.stop()
        time.sleep(0.4)
        self.assertTrue(alice.goes_on(self))
        self.redeemer.take_back("grant-of-alice")
        self.redeemer.start()
        self.wait(lambda: alice.is_over, "the end")
        self.assertTrue(bob.goes_on(self))

    def test_asks_until_it_is_answered(self):
        alice, bob = self.begin("alice", "bob")
        for says in (lambda question: (503, {}), lambda question: None, lambda question: (200, {"ended": [{"index": 99, "reason": "x"}]}),
                     lambda question: (200, b"not json"), lambda question: time.sleep(1.5)):
            asked = len(self.redeemer.questions)
            self.redeemer.says = says
            self.redeemer.take_back()
            self.wait(lambda: len(self.redeemer.questions) > asked + 1, "another question")
            self.assertFalse(alice.is_over or bob.is_over)
        self.redeemer.ended["grant-of-alice"] = "the credential is disabled"
        self.redeemer.says = self.redeemer.standing_answer
        self.wait(lambda: alice.is_over, "the end")
        self.assertTrue(bob.goes_on(self))
        self.assertIn("does not say which requests have ended", self.read("error.log"))

    def test_cuts_all_when_the_forwarder_is_not_enrolled(self):
        streams = self.begin("alice", "bob")
        self.redeemer.says = lambda question: deny(403, "not_permitted")
        begin = self.take_back()
        for stream in streams:
            self.is_cut(stream, begin)

    def test_loses_nothing_that_races_the_decision(self):
        def slow(ask):
            answer = self.granted(ask)
            self.redeemer.take_back("grant-of-alice")
            time.sleep(0.3)
            return answer
        self.redeemer.answer = slow
        alice = Stream(self, "alice")
        self.wait(lambda: alice.is_over, "the end")

    def test_loses_nothing_that_races_a_question(self):
        alice, bob = self.begin("alice", "bob")

        def slow(question):
            answer = self.redeemer.standing_answer(question)
            if "grant-of-bob" not in self.redeemer.ended:
                self.redeemer.take_back("grant-of-bob")
            time.sleep(0.2)
            return answer
        self.redeemer.says = slow
        begin = self.take_back("alice")
        self.is_cut(alice, begin)
        self.is_cut(bob, begin)

    def test_cuts_one_stream_of_a_connection(self):
        connection = H2(self, self.port_h2)
        first = connection.get("/openai/v1/alice/ticks", token("alice"))
        second = connection.get("/openai/v1/bob/silence", token("bob"))
        self.wait(lambda: connection.bytes_of(first) and len(self.provider.open) == 2, "both")
        self.take_back("bob")  # nothing else is sent on it that would take the frame along
        self.wait(lambda: second in connection.resets, "RST_STREAM", AT_ONCE_S)
        before = connection.bytes_of(first)
        self.wait(lambda: connection.bytes_of(first) > before, "the other stream")
        third = connection.get("/openai/v1/carol/silence", token("carol"))
        self.wait(lambda: len(self.provider.open) == 2, "the third")
        self.take_back("alice", "carol")
        self.wait(lambda: {first, third} <= set(connection.resets), "both ends", AT_ONCE_S)
        self.assertFalse(connection.is_over)

    def test_leaves_alone_what_it_shall_not_cut(self):
        stream = self.begin("alice", path="/uncut/v1/{}/ticks")[0]
        self.take_back("alice")
        time.sleep(0.5)
        self.assertTrue(stream.goes_on(self))
        self.assertEqual(self.redeemer.questions, [])

    def test_cuts_in_a_worker_that_is_leaving(self):
        alice, bob = self.begin("alice", "bob")
        watches = self.redeemer.watches
        self.nginx.send_signal(signal.SIGHUP)
        self.wait(lambda: self.redeemer.watches >= watches + 2, "the new workers")
        begin = self.take_back("alice")
        self.is_cut(alice, begin)
        self.assertTrue(bob.goes_on(self))
        self.redeemer.stop()
        time.sleep(0.4)
        self.redeemer.take_back("grant-of-bob")
        self.redeemer.start()
        self.wait(lambda: bob.is_over, "the end of the other")
        self.wait(lambda: self.workers_now() == 2, "the old workers' end")

    def workers_now(self):
        with open(f"/proc/{self.nginx.pid}/task/{self.nginx.pid}/children") as at:
            return len(at.read().split())

    def test_survives_many_at_once(self):
        streams = self.begin(*(f"n{i}" for i in range(200)), path="/openai/v1/{}/silence")
        gone, left = streams[::2], streams[1::2]
        begin = self.take_back(*(stream.name for stream in gone))
        for stream in gone:
            self.wait(lambda: stream.is_over, stream.name, 3)
        took = clock() - begin
        print(f"\n100 of 200 cut after {took * 1000:.0f} ms, {len(self.redeemer.questions)} questions")
        self.assertFalse(any(stream.is_over for stream in left))
        self.redeemer.questions.clear()
        begin = time.monotonic()
        for _ in range(50):  # however often things change, questions keep their distance
            self.redeemer.take_back()
            time.sleep(0.01)
        time.sleep(0.3)
        rounds = (time.monotonic() - begin) / ROUND_S + 2
        self.assertLess(len(self.redeemer.questions), self.workers * rounds)
        for stream in left:
            stream.close()
        self.wait(lambda: not self.provider.open, "the ends")
        self.wait(self.nobody_asks, "the end of the questions")  # nothing is remembered of what is over

    def nobody_asks(self):
        """Whatever was on its way may still come."""
        self.redeemer.questions.clear()
        self.redeemer.take_back()
        time.sleep(0.3)
        return not self.redeemer.questions


class H2:
    """As much HTTP/2 (RFC 9113) as these tests need."""

    def __init__(self, case, port):
        self.next, self.got, self.resets, self.is_over = 1, {}, [], False
        self.socket = socket.create_connection(("127.0.0.1", port), HANGS_S)
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(4, 0, 0, b""))
        threading.Thread(target=self._read, daemon=True).start()
        case.addCleanup(self.socket.close)

    @staticmethod
    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    @staticmethod
    def text(value):  # RFC 7541 section 5.2, not Huffman
        value, out = value.encode(), b""
        if len(value) < 127:
            return bytes([len(value)]) + value
        left, out = len(value) - 127, bytes([127])
        while left >= 128:
            left, out = left >> 7, out + bytes([left % 128 + 128])
        return out + bytes([left]) + value

    def get(self, path, bearer):
        fields = {":method": "GET", ":scheme": "http", ":path": path, ":authority": "a", "authorization": "Bearer " + bearer}
        block = b"".join(b"\0" + self.text(name) + self.text(value) for name, value in fields.items())
        stream, self.next = self.next, self.next + 2
        self.socket.sendall(self.frame(1, 5, stream, block))
        return stream

    def bytes_of(self, stream):
        return self.got.get(stream, 0)

    def _read(self):
        try:
            with self.socket.makefile("rb") as file:
                while len(head := file.read(9)) == 9:
                    size, kind, stream = int.from_bytes(head[:3], "big"), head[3], int.from_bytes(head[5:], "big")
                    file.read(size)
                    if kind == 0:
                        self.got[stream] = self.bytes_of(stream) + size
                        self.socket.sendall(self.frame(8, 0, 0, struct.pack(">I", size or 1)))
                    elif kind == 3:
                        self.resets.append(stream)
        except (OSError, ValueError):
            pass
        self.is_over = True


if __name__ == "__main__":
    unittest.main()
