# SPDX-License-Identifier: Apache-2.0
"""How many tokens a request may have produced: read, told to the redeemer, and compared with what is kept."""
import gzip
import json
import unittest

from fixture import Case
from locations import SERVER
from standins import deny, grant, token

CHAT = "/openai/v1/chat/completions"
GEMINI = "/gemini/v1beta/models/gemini-pro:generateContent"
AZURE = "/azure/openai/deployments/gpt/chat/completions"


class MaxTokens(Case):
    server = SERVER

    def asked(self, path, body, **more):
        """max_tokens of what the redeemer was asked."""
        self.redeemer.asks.clear()
        headers = {"authorization": "Bearer " + more.pop("token", token()), **more.pop("headers", {})}
        result = self.send(path, body=body, headers=headers, **more)
        self.assertEqual(len(self.redeemer.asks), 1, result)
        return self.redeemer.asks[0].get("max_tokens")

    def test_tells_the_number_of_each_provider(self):
        for path, body, number in ((CHAT, {"model": "m", "max_tokens": 5}, 5), (CHAT, {"model": "m", "max_completion_tokens": 5, "n": 3}, 15),
                                   (CHAT, {"model": "m"}, None), (CHAT, {"model": "m", "max_tokens": None}, None),
                                   (CHAT, {"model": "m", "max_tokens": 0}, None), (CHAT, {"model": "m", "max_output_tokens": 5}, None),
                                   ("/openai/v1/responses", {"model": "m", "max_output_tokens": 6}, 6),
                                   ("/openai/v1/embeddings", {"model": "m", "max_tokens": 6}, None),
                                   ("/anthropic/v1/messages", {"model": "m", "max_tokens": 7}, 7),
                                   ("/anthropic/v1/messages/batches", {"model": "m", "max_tokens": 7}, None),
                                   ("/unbuffered/v1/chat/completions", {"model": "m", "max_tokens": 5}, 5)):
            self.assertEqual(self.asked(path, body), number, (path, body))
        self.assertEqual(self.asked(CHAT, iter([b'{"model":"m","max_to', b'kens":12', b'34}']), encode_chunked=True), 1234)

    def test_reads_a_body_for_it_only_where_the_token_has_a_limit(self):
        config = {"maxOutputTokens": 8, "candidateCount": 2}
        for path, body, number, model in ((GEMINI, {"generationConfig": config}, 16, "gemini-pro"), (AZURE, {"max_tokens": 9}, 9, "gpt")):
            self.assertIsNone(self.asked(path, body))
            self.assertEqual(self.asked(path, body, token=token(max_tokens=100)), number)
            self.assertEqual(self.redeemer.asks[0]["model"], model)
            self.assertIsNone(self.asked(path, b"no json"))  # not looked at
            self.assertEqual(self.send(path, body=b"no json", headers={"authorization": "Bearer " + token(max_tokens=100)})[0], 400)
        self.assertEqual(self.asked("/always" + GEMINI.removeprefix("/gemini"), {"generationConfig": config}), 16)
        self.assertIsNone(self.asked("/pathonly/v1/chat/completions", {"max_tokens": 5}, token=token(max_tokens=100)))

    def test_has_no_number_where_there_is_no_json(self):
        limited = token(max_tokens=100)
        multipart = b'--x\r\ncontent-disposition: form-data; name="max_tokens"\r\n\r\n5\r\n--x--\r\n'
        self.assertIsNone(self.asked(CHAT, multipart, token=limited, headers={"content-type": "multipart/form-data; boundary=x"}))
        self.assertIsNone(self.asked(CHAT, None, token=limited))
        self.assertIsNone(self.asked(CHAT, b"", token=limited))
        self.assertEqual(self.asked(CHAT, b'{"max_tokens":5}', token=limited, headers={"content-type": "text/plain"}), 5)
        self.redeemer.asks.clear()
        packed = gzip.compress(b'{"max_tokens":5}')
        for path in (CHAT, GEMINI):
            result = self.send(path, body=packed, headers={"authorization": "Bearer " + limited, "content-encoding": "gzip"})
            self.assertEqual(result[0], 415, result)
        self.assertEqual(self.redeemer.asks, [])

    def test_refuses_what_is_no_number_or_has_two_readings(self):
        for body in ('{"max_tokens":"5"}', '{"max_tokens":1.5}', '{"max_tokens":1e99}', '{"max_tokens":5,"max_tokens":6}',
                     '{"max_tokens":5,"MAX_TOKENS":6}', '{"max\\u005ftokens":5}', '{"max_tokens":[5]}', '{"max_tokens":true}',
                     '{"max_tokens":5,"n":-2}', '{"max_tokens":99999999999999999999}'):
            self.refused(self.send(CHAT, body=body), 400, "ambiguous_body")
        self.redeemer.answer = lambda ask: grant("https://generativelanguage.googleapis.com")
        for body in ('{"generationConfig":{"maxOutputTokens":5},"generation_config":{}}', '{"generationConfig":{"maxOutputTokens":"5"}}'):
            status, _, text = self.send(GEMINI, body=body, headers={"authorization": "Bearer " + token(max_tokens=9)})
            self.assertEqual((status, json.loads(text)["error"]["status"]), (400, "INVALID_ARGUMENT"), text)
            self.assertEqual(self.send(GEMINI, body=body)[0], 200)  # nobody's concern
        self.assertEqual(len(self.redeemer.asks), 2)

    def test_refuses_an_answer_for_other_numbers(self):
        self.redeemer.answer = lambda ask: grant(max_tokens_from=1, max_tokens_to=10)
        self.refused(self.send(CHAT, body={"max_tokens": 11}), 403, "max_tokens_required")
        self.refused(self.send(CHAT, body={}), 403, "max_tokens_required")
        self.assertEqual(self.send(CHAT, body={"max_tokens": 10})[0], 200)

    def test_passes_on_what_the_vault_says(self):
        self.redeemer.answer = lambda ask: deny(403, "max_tokens_exceeded", message="at most 10")
        result = self.send(CHAT, body={"max_tokens": 11})
        self.refused(result, 403, "max_tokens_exceeded")
        self.assertEqual(json.loads(result[2])["error"]["message"], "at most 10")

    def cached(self, body, status=200):
        before = len(self.redeemer.asks)
        self.assertEqual(self.send("/cached/v1/chat/completions", body=body)[0], status)
        return len(self.redeemer.asks) == before

    def warm(self, answer):
        self.redeemer.answer = answer
        self.redeemer.push()
        self.wait(lambda: self.cached({"model": "warm", "max_tokens": 5}), "the cache")

    def test_keeps_one_answer_for_all_numbers_inside_the_limit(self):
        def decide(ask):
            if not 1 <= ask.get("max_tokens", 0) <= 10:
                return deny(403, "max_tokens_exceeded")
            return grant(epoch=self.redeemer.epoch, max_tokens_from=1, max_tokens_to=10)
        self.warm(decide)
        self.assertFalse(self.cached({"model": "a", "max_tokens": 5}))
        for number in (1, 10, 7):
            self.assertTrue(self.cached({"model": "a", "max_tokens": number}), number)
        for body in ({"model": "a", "max_tokens": 11}, {"model": "a"}, {"model": "a", "max_tokens": 4, "n": 3}):
            self.assertFalse(self.cached(body, 403), body)  # decided, and so recorded, by the vault
        self.assertTrue(self.cached({"model": "a", "max_tokens": 6}))

    def test_keeps_an_answer_for_one_number_where_a_policy_looked(self):
        def decide(ask):
            number = ask.get("max_tokens", 0)
            return grant(epoch=self.redeemer.epoch, max_tokens_from=number, max_tokens_to=number)
        self.warm(decide)
        for body in ({"model": "b", "max_tokens": 3}, {"model": "b", "max_tokens": 4}, {"model": "b"}):
            self.assertFalse(self.cached(body), body)
            self.assertTrue(self.cached(body), body)

    def test_keeps_one_answer_for_every_number_without_a_limit(self):
        self.warm(lambda ask: grant(epoch=self.redeemer.epoch))
        self.assertFalse(self.cached({"model": "c", "max_tokens": 3}))
        for body in ({"model": "c", "max_tokens": 10 ** 6}, {"model": "c"}, {"model": "c", "max_tokens": None}):
            self.assertTrue(self.cached(body), body)


if __name__ == "__main__":
    unittest.main()
