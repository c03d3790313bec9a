# SPDX-License-Identifier: Apache-2.0
"""What never reaches the provider, and in which shape clients hear of it."""
import gzip
import json
import unittest

from fixture import HANGS_S, Case
from locations import SERVER
from standins import deny, grant, token


class Refusals(Case):
    # nginx logs what it refuses by itself, with the headers that the client sent:
    # docs/forwarder.md says not to log those.
    server, logged = SERVER, "$arg_key"

    def test_wants_a_token(self):
        result = self.send("/openai/v1/models", "GET", authorize=False)
        self.refused(result, 401, "missing_token")
        self.assertEqual(json.loads(result[2]), {"type": "error", "error": {
            "type": "authentication_error", "message": "the request carries no token", "code": "missing_token",
            "param": None}})
        self.assertEqual(result[1]["content-type"], "application/json")
        self.assertEqual(result[1]["x-should-retry"], "false")
        self.assertIn("www-authenticate", result[1])
        self.assertRegex(result[1]["x-vault-request-id"], "^[0-9a-f]{32}$")
        self.assertEqual(self.redeemer.asks, [])

    def test_refuses_a_providers_key(self):
        for headers in ({"authorization": "Bearer sk-proj-abcdef"}, {"x-api-key": "sk-ant-api03-x"},
                        {"authorization": "Basic dXNlcjpwYXNz"}, {"authorization": "Bearer "},
                        {"authorization": "Digest username=x"}, {"api-key": "0123456789abcdef"},
                        {"authorization": "Bearer ey.a"}, {"authorization": "Bearer " + token() + ".x"},
                        {"authorization": "Bearer ey" + "a" * 9000 + ".b.c"}):
            result = self.send("/openai/v1/models", "GET", headers=headers, authorize=False)
            self.refused(result, 401, "not_a_vault_token")
        result = self.send("/gemini/v1beta/models?key=AIzaSyReal", "GET", authorize=False)
        self.assertEqual(result[0], 401)
        self.assertEqual(json.loads(result[2])["error"]["status"], "UNAUTHENTICATED")
        self.assertEqual(self.redeemer.asks, [])

    def test_refuses_two_different_tokens(self):
        self.refused(self.send("/openai/v1/models", "GET", headers={"x-api-key": token("bob")}), 400,
                     "conflicting_tokens")
        self.refused(self.send("/openai/v1/models", "GET", headers={"x-api-key": "sk-real"}), 400,
                     "conflicting_tokens")
        self.assertEqual(self.send("/gemini/v1beta/models?key=" + token("bob"), "GET")[0], 400)
        twice = f"/gemini/v1beta/models?key={token()}&key={token()}"
        self.assertEqual(self.send(twice, "GET", authorize=False)[0], 400)
        answer = self.raw(f"GET /openai/v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer "
                          f"{token()}\r\nauthorization: Bearer {token('bob')}\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 400"), answer)
        self.assertEqual(self.redeemer.asks, [])

    def test_refuses_a_token_that_went_astray(self):
        self.refused(self.send("/openai/v1/models?session=" + token(), "GET"), 400, "token_in_query")
        session = "eyJmb3JlaWduIjoxfQ.eyJ4IjoxfQ.c2ln"  # the provider's own, of the same shape
        self.assertEqual(self.send("/openai/v1/models?session=" + session, "GET")[0], 200)
        self.assertEqual(self.provider.last()["path"], "/v1/models?session=" + session)

    def test_refuses_two_proofs(self):
        answer = self.raw(f"GET /openai/v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: DPoP "
                          f"{token()}\r\ndpop: {token('p')}\r\ndpop: {token('p')}\r\n\r\n")
        self.assertIn(b"invalid_dpop_proof", answer)
        self.assertEqual(self.redeemer.asks, [])

    def test_refuses_paths_with_two_readings(self):
        for path in ("/openai/a/..%2fv1/files", "/openai/a/../v1/files", "/openai/v1//files", "/openai/./v1/files",
                     "/openai/v1/%2e%2e/files", "/openai/v1/fil%65s", "/openai/v1/..;/files", "/openai/v1%5Cfiles",
                     "/openai/v1/%252e%252e/x", "/openai/v1/x%00y", "/openai/v1/x%0ay", "/openai/v1/a%2Fb",
                     "/v1/a/..%2ffiles", "/v1/a/../../v1/files", "/other/../openai/v1/files", "/openai/v1/%e9"[:-1] + "9",
                     "/rewritten/a%2Fb"):
            result = self.raw(f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer "
                              f"{token()}\r\n\r\n")
            self.assertIn(b" 400 ", result.split(b"\r\n")[0], path)
        self.assertEqual((self.redeemer.asks, self.provider.seen), ([], []))

    def test_refuses_bodies_with_two_readings(self):
        for body in ('{"model":"a","model":"b"}', '{"mod\\u0065l":"b"}', '{"Model":"b"}', '{"model":"a"}{"model":"b"}',
                     '{"model":"a"', '[{"model":"a"}]', '{"model":null}', '{"model":"g\\u0070t"}',
                     '{"model":"' + "m" * 200 + '"}', "{" * 300, "not json"):
            self.refused(self.send("/openai/v1/chat/completions", body=body), 400, "ambiguous_body")
        large = b'{"x":"' + b"y" * 200_000 + b'","model":"a","model":"b"}'
        self.refused(self.send("/openai/v1/chat/completions", body=large), 400, "ambiguous_body")
        self.assertEqual(self.redeemer.asks, [])

    def test_refuses_bodies_that_it_can_not_read(self):
        body = gzip.compress(b'{"model":"a"}')
        self.refused(self.send("/openai/v1/x", body=body, headers={"content-encoding": "gzip"}), 415, "encoded_body")
        answer = self.raw(f"POST /openai/v1/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer "
                          f"{token()}\r\ncontent-type: application/json\r\ncontent-type: text/plain\r\n"
                          f"content-length: 2\r\n\r\n{{}}")
        self.assertIn(b"conflicting_content_type", answer)
        self.assertEqual(self.redeemer.asks, [])

    def test_passes_the_vaults_refusal_on(self):
        self.redeemer.answer = lambda ask: deny(403, "model_not_allowed", message="this token may not use gpt-5")
        result = self.send("/openai/v1/x", body={"model": "gpt-5"})
        self.refused(result, 403, "model_not_allowed")
        self.assertEqual(json.loads(result[2])["error"]["message"], "this token may not use gpt-5")
        self.assertEqual(result[1]["x-should-retry"], "false")
        self.redeemer.answer = lambda ask: deny(401, "use_dpop_nonce", "authentication_error",
                                                www_authenticate='DPoP error="use_dpop_nonce"', dpop_nonce="n-1")
        result = self.send("/openai/v1/x", "GET")
        self.refused(result, 401, "use_dpop_nonce")
        self.assertEqual((result[1]["www-authenticate"], result[1]["dpop-nonce"]),
                         ('DPoP error="use_dpop_nonce"', "n-1"))
        self.redeemer.answer = lambda ask: deny(429, "budget_exhausted", "rate_limit_error")
        self.assertEqual(self.send("/openai/v1/x", "GET")[1]["x-should-retry"], "false")
        self.redeemer.answer = lambda ask: deny(429, "slow", "rate_limit_error", retry_after="5")
        result = self.send("/openai/v1/x", "GET")
        self.assertEqual(result[1]["retry-after"], "5")
        self.assertNotIn("x-should-retry", result[1])

    def test_keeps_the_connection_after_a_refusal(self):
        import http.client
        self.redeemer.answer = lambda ask: deny(403, "policy")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANGS_S)
        for _ in range(3):
            connection.request("POST", "/openai/v1/x", "{}", {"authorization": "Bearer " + token(),
                                                            "content-type": "application/json"})
            answer = connection.getresponse()
            self.assertEqual((answer.status, b"policy" in answer.read()), (403, True))
        connection.close()

    def test_uses_no_grant_for_another_place(self):
        for answer in (grant("https://api.openai.com.evil.example"), grant("http://api.openai.com"),
                       grant("https://api.anthropic.com")):
            self.redeemer.answer = lambda ask: answer
            self.refused(self.send("/openai/v1/models", "GET"), 403, "wrong_destination")
        self.redeemer.answer = lambda ask: grant(model_required=True)
        self.refused(self.send("/openai/v1/models", "GET"), 403, "model_required")
        self.assertEqual(self.send("/openai/v1/x", body={"model": "m"})[0], 200)

    def test_uses_no_malformed_answer(self):
        header = lambda name, value: [{"in": "header", "name": name, "value": value}]
        for answer in (grant(inject=[]), grant(inject=header("x\r\ny", "z")), grant(inject=header("x-a", "a\r\nb: c")),
                       grant(inject=header("", "z")), grant(inject=[{"in": "body", "name": "a", "value": "b"}]),
                       grant(inject=header("x-a", "") * 9), (200, b"not json"), (200, b"{}"), (302, {}), (200, b""),
                       (403, b"oops"), (200, json.dumps(grant()[1]).encode() + b"x")):
            self.redeemer.answer = lambda ask: answer
            self.refused(self.send("/openai/v1/models", "GET"), 503, "vault_answer")

    def test_refuses_redirects_of_the_provider(self):
        result = self.send("/openai/v1/redirect", "GET")
        self.assertEqual(result[0], 502)
        self.assertNotIn("location", result[1])

    def test_ignores_a_provider_that_steers_nginx(self):
        self.assertEqual(self.send("/openai/v1/accel", "GET")[2], b"from upstream")

    def test_can_not_be_skipped(self):
        self.assertEqual(self.send("/anysat/v1/models", "GET", authorize=False)[0], 401)
        self.assertEqual(self.send("/sneaky/v1/models", "GET")[0], 500)
        self.assertEqual(self.provider.seen, [])

    def test_refuses_a_request_that_changed_after_the_decision(self):
        self.assertEqual(self.send("/setbody/v1/x", body={"model": "y"})[0], 500)
        self.assertEqual(self.send("/setmethod/v1/x", body={"model": "y"})[0], 500)
        self.assertEqual(self.provider.seen, [])

    def test_masks_a_token_in_an_early_refusal(self):
        answer = self.raw(f"POST /gemini/v1beta/x?key={token()} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
                          f"content-length: 99999999\r\n\r\n")
        self.assertIn(b" 413 ", answer.split(b"\r\n")[0])
        self.assertIn("too large body", self.read("error.log"))  # check_logs looks for the token


if __name__ == "__main__":
    unittest.main()
