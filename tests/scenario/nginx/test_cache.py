# SPDX-License-Identifier: Apache-2.0
"""The cache, the watch, and a redeemer that is gone."""
import json
import socket
import statistics
import time
import unittest

from fixture import HANGS_S, Case, clock
from locations import SERVER
from standins import deny, grant, token


class Cache(Case):
    server, workers = SERVER, 2

    def setUp(self):
        super().setUp()
        if not self.redeemer.server:
            self.redeemer.start()
        self.redeemer.heartbeat_s = 1.0
        self.redeemer.answer = lambda ask: grant(epoch=self.redeemer.epoch)
        self.empty()

    def empty(self):
        """A new epoch, and proof that it arrived: an answer is kept again, for this time."""
        self.redeemer.push()
        self.wait(self.is_kept, "the cache")
        self.redeemer.asks.clear()
        self.provider.seen.clear()

    def is_kept(self):
        self.ask(sub="warm")
        before = len(self.redeemer.asks)
        self.ask(sub="warm")
        return len(self.redeemer.asks) == before

    def ask(self, path="/cached/v1/models", method="GET", sub="alice", **more):
        return self.send(path, method, headers={"authorization": "Bearer " + token(sub), **more.pop("headers", {})},
                         **more)[0]

    def test_answers_from_memory(self):
        self.assertEqual([self.ask() for _ in range(20)], [200] * 20)
        self.assertEqual(len(self.redeemer.asks), 1)
        self.assertEqual(len(self.provider.seen), 20)

    def test_names_the_decision_that_an_answer_from_memory_is_of(self):
        self.redeemer.answer = lambda ask: grant(epoch=self.redeemer.epoch, txn=ask["request_id"])
        self.assertEqual([self.ask(sub="named") for _ in range(2)], [200, 200])
        decided = self.redeemer.asks[0]["request_id"]
        _, headers, _ = self.send("/cached/v1/models", "GET", headers={"authorization": "Bearer " + token("named")})
        self.assertEqual(len(self.redeemer.asks), 1)
        self.assertNotEqual(headers["x-vault-request-id"], decided)
        self.assertEqual(headers["x-vault-correlation-id"], decided)
        self.assertIn(("x-vault-correlation-id", decided), [(name.lower(), value) for name, value in self.provider.last()["headers"]])

    def test_keeps_apart_what_the_decision_depends_on(self):
        asks = [lambda: self.ask(), lambda: self.ask(sub="bob"), lambda: self.ask(method="DELETE"),
                lambda: self.ask("/cached/v1/files"), lambda: self.ask(method="POST", body={"model": "a"}),
                lambda: self.ask(method="POST", body={"model": "b"}), lambda: self.ask(method="POST", body={}),
                lambda: self.ask(source="127.0.0.2")]  # policies may look at where a request comes from
        for _ in range(2):
            for ask in asks:
                self.assertEqual(ask(), 200)
        self.assertEqual(len(self.redeemer.asks), len(asks))

    def test_keeps_apart_what_comes_over_one_connection(self):
        """A connection remembers its last question: another one, or a forged token, must not get its answer."""
        s = socket.create_connection(("127.0.0.1", self.port), HANGS_S)
        answers = s.makefile("rb")

        def one(text, path="/cached/v1/models"):
            s.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {text}\r\n\r\n".encode())
            status, size = int(answers.readline().split()[1]), 0
            while (line := answers.readline().strip()):
                if line.lower().startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
            answers.read(size)
            return status
        alice, large = token("alice"), token("large" * 800)  # the last is not remembered, only hashed
        places = [len(alice) - 1, len(alice) - 17, len(alice) - 64, 60]
        forged = [alice[:at] + ("B" if alice[at] == "A" else "A") + alice[at + 1:] for at in places]
        self.redeemer.answer = lambda ask: (deny(401, "revoked", "authentication_error") if ask["token"] in forged
                                            else grant(epoch=self.redeemer.epoch))
        for text in (alice, large, token("bo"), alice):
            self.assertEqual([one(text) for _ in range(3)], [200] * 3)
        self.assertEqual([one(alice, "/cached/v1/modelz"), one(alice), one(large)], [200] * 3)
        self.assertEqual(len(self.redeemer.asks), 4)
        for text in forged:
            self.assertEqual([one(alice), one(text), one(text), one(alice)], [200, 401, 401, 200])
        self.assertEqual(len(self.redeemer.asks), 4 + 2 * len(forged))
        for foreign in ("x" * len(alice), alice[:-1] + "=", alice[:-1]):  # the last is a token, but not this one
            self.assertEqual([one(foreign), one(alice)], [200 if foreign == alice[:-1] else 401, 200], foreign)
        self.assertEqual(len(self.redeemer.asks), 5 + 2 * len(forged))
        answers.close()
        s.close()

    def test_keeps_nothing_where_it_may_not(self):
        proof = {"dpop": token("proof"), "authorization": "DPoP " + token()}
        cases = [(grant(cache_s=0), "/cached/v1/a", {}), (grant(), "/openai/v1/b", {}), (grant(), "/cached/v1/c", proof),
                 (deny(403, "policy"), "/cached/v1/d", {}),
                 (grant(epoch=0), "/cached/v1/e", {})]  # older than what the watch said
        for answer, path, headers in cases:
            self.redeemer.asks.clear()
            if answer[0] == 200 and answer[1]["epoch"]:
                answer[1]["epoch"] = self.redeemer.epoch
            self.redeemer.answer = lambda ask: answer
            for _ in range(3):
                self.send(path, "GET", headers=headers)
            self.assertEqual(len(self.redeemer.asks), 3, path)

    def test_forgets_in_time(self):
        def asks():
            before = len(self.redeemer.asks)
            self.ask("/short/v1/models")
            return len(self.redeemer.asks) - before
        self.wait(lambda: not asks(), "an answer from memory")  # two questions in one second
        time.sleep(1.2)
        self.assertEqual(asks(), 1)

    def test_forgets_at_once_after_a_revocation(self):
        delays = []
        for round_number in range(5):
            self.redeemer.answer = lambda ask: grant(epoch=self.redeemer.epoch)
            sub = f"round-{round_number}"
            self.wait(lambda: self.ask(sub=sub) == 200 and self.kept(sub), "a kept answer")
            self.redeemer.answer = lambda ask: deny(401, "revoked", "authentication_error")
            begin = clock()
            self.redeemer.push()
            self.wait(lambda: self.ask(sub=sub) == 401, "the revocation", 1.0)
            delays.append(clock() - begin)
        print(f"\nrevocation to first 401: median {statistics.median(delays) * 1000:.1f} ms, "
              f"max {max(delays) * 1000:.1f} ms")

    def kept(self, sub):
        before = len(self.redeemer.asks)
        return self.ask(sub=sub) == 200 and len(self.redeemer.asks) == before

    def test_loses_no_revocation_that_races_an_answer(self):
        def slow(ask):
            answer = grant(epoch=self.redeemer.epoch)
            self.redeemer.push()
            time.sleep(0.3)
            return answer
        self.redeemer.answer = slow
        self.ask(sub="race")
        self.redeemer.answer = lambda ask: deny(401, "revoked", "authentication_error")
        self.assertEqual(self.ask(sub="race"), 401)

    def test_forgets_when_the_redeemer_is_gone(self):
        self.assertEqual(self.ask(), 200)
        self.redeemer.stop()
        begin = clock()
        self.wait(lambda: self.ask() == 503, "the refusal", 2.0)
        result = self.send("/cached/v1/models", "GET")
        self.assertEqual((result[0], result[1]["retry-after"]), (503, "1"))
        self.assertEqual(json.loads(result[2])["error"]["code"], "vault_unavailable")
        self.assertLess(clock() - begin, 2.0)
        self.redeemer.start()
        self.wait(lambda: self.ask() == 200, "the redeemer")

    def test_forgets_when_the_watch_is_silent(self):
        self.assertEqual(self.ask(), 200)
        self.redeemer.heartbeat_s = 30
        self.wait(self.is_kept_after_a_word, "a kept answer")
        self.wait(lambda: not self.kept("silent"), "the silence", 4.5)
        self.assertEqual(self.ask("/openai/v1/models"), 200)

    def is_kept_after_a_word(self):
        """The only one for a long time; the first answer behind it is not kept yet."""
        self.redeemer.push()
        return any(self.kept("silent") for _ in range(5))

    def test_survives_more_answers_than_fit(self):
        big = [{"in": "header", "name": "x-big", "value": "v" * 2000}]
        self.redeemer.answer = lambda ask: grant(epoch=self.redeemer.epoch, inject=big)
        for number in range(600):
            self.assertEqual(self.ask(sub=f"many-{number}"), 200)
        self.redeemer.asks.clear()
        self.assertEqual(self.ask(sub="many-599"), 200)
        self.assertEqual(self.redeemer.asks, [])
        self.assertEqual(self.ask(sub="many-0"), 200)
        self.assertEqual(len(self.redeemer.asks), 1)


class Failures(Case):
    server = SERVER

    def test_refuses_when_the_redeemer_hangs(self):
        self.redeemer.answer = lambda ask: time.sleep(3)
        begin, began = clock(), time.monotonic()
        result = self.send("/impatient/v1/models", "GET")
        self.refused(result, 503, "vault_timeout")
        self.assertEqual(result[1]["retry-after"], "1")
        self.assertGreater(time.monotonic() - began, 0.25)
        self.assertLess(clock() - begin, 2.5)

    def test_refuses_when_the_redeemer_hangs_up(self):
        self.redeemer.answer = lambda ask: None
        self.refused(self.send("/openai/v1/models", "GET"), 503, "vault_unavailable")

    def test_asks_again_on_a_connection_that_was_closed(self):
        self.assertEqual(self.send("/openai/v1/models", "GET")[0], 200)
        for connection in list(self.redeemer.connections):
            connection.shutdown(2)
        self.assertEqual(self.send("/openai/v1/models", "GET")[0], 200)

    def test_survives_clients_that_leave(self):
        import socket
        self.redeemer.answer = lambda ask: time.sleep(0.2) or grant()
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", self.port)) as s:
                s.sendall(f"POST /openai/v1/x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token()}\r\n"
                          "content-type: application/json\r\ncontent-length: 13\r\n\r\n{\"model\":\"a\"}".encode())
        time.sleep(0.5)
        self.redeemer.answer = lambda ask: grant()
        self.assertEqual(self.send("/openai/v1/models", "GET")[0], 200)

    def test_survives_a_reload(self):
        import os
        import signal
        self.assertEqual(self.send("/cached/v1/models", "GET")[0], 200)
        watches = self.redeemer.watches
        self.nginx.send_signal(signal.SIGHUP)
        self.wait(lambda: self.redeemer.watches > watches, "the new watch")
        for _ in range(10):
            self.assertEqual(self.send("/cached/v1/models", "GET")[0], 200)
        self.assertTrue(os.path.exists(self.folder + "/nginx.pid"))


if __name__ == "__main__":
    unittest.main()
