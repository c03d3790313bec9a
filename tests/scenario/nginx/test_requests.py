# SPDX-License-Identifier: Apache-2.0
"""What reaches the redeemer, the provider and the client."""
import hashlib
import json
import pathlib
import subprocess
import unittest

from fixture import HANGS_S, Case, clock
from locations import SERVER
from standins import HELD_S, SECRET, deny, grant, token

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi \"model\":\"x\""}]}


class Requests(Case):
    server = SERVER

    def test_injects_the_credential_and_nothing_else(self):
        status, headers, body = self.send("/openai/v1/chat/completions?a=1", body=CHAT,
                                          headers={"x-stainless": "kept", "x-http-method-override": "DELETE"})
        self.assertEqual((status, body), (200, b'{"ok":true}'))
        seen = self.provider.last()
        self.assertEqual((seen["method"], seen["path"]), ("POST", "/v1/chat/completions?a=1"))
        self.assertEqual(self.header("authorization"), ["Bearer " + SECRET])
        self.assertEqual(self.header("host"), ["api.openai.com"])
        self.assertEqual(self.header("x-stainless"), ["kept"])
        self.assertEqual(self.header("x-http-method-override"), [])
        self.assertEqual(self.header("x-request-id"), [headers["x-vault-request-id"]])
        self.assertNotIn(token(), str(seen))
        self.assertEqual(seen["sha256"], hashlib.sha256(json.dumps(CHAT).encode()).hexdigest())

    def test_asks_what_was_agreed(self):
        self.send("/openai/v1/chat/completions?a=1", body=CHAT)
        ask = self.redeemer.asks[0]
        self.assertRegex(ask.pop("request_id"), "^[0-9a-f]{32}$")
        self.assertEqual(ask, {
            "token": token(), "scheme": "bearer", "destination": "api.openai.com", "method": "POST",
            "path": "/v1/chat/completions", "uri": "https://llm.example.com/openai/v1/chat/completions",
            "model": "gpt-4o-mini", "source": "127.0.0.1"})

    def test_keeps_a_clients_request_id(self):
        self.send("/openai/v1/models", "GET", headers={"x-request-id": "mine"})
        self.assertEqual(self.header("x-request-id"), ["mine"])
        self.assertEqual(self.header("x-vault-correlation-id"), ["txn-1"])

    def test_one_id_is_enough_where_the_audit_log_has_it(self):
        self.redeemer.answer = lambda ask: grant(txn=ask["request_id"])
        _, headers, _ = self.send("/openai/v1/models", "GET", headers={"x-vault-correlation-id": "forged"})
        self.assertEqual(self.header("x-request-id"), [headers["x-vault-request-id"]])
        self.assertEqual(self.header("x-vault-correlation-id"), [])
        self.assertNotIn("x-vault-correlation-id", headers)

    def test_takes_the_token_from_every_carrier(self):
        for name, value in (("x-api-key", token()), ("api-key", token()), ("x-goog-api-key", token()),
                            ("authorization", "bearer " + token()), ("AUTHORIZATION", "BEARER  " + token())):
            self.assertEqual(self.send("/openai/v1/models", "GET", headers={name: value}, authorize=False)[0], 200)
            self.assertEqual(self.redeemer.asks[-1]["token"], token())
            self.assertNotIn(token(), str(self.provider.last()))
        both = {"x-api-key": token()}  # older Anthropic SDKs send both
        self.assertEqual(self.send("/anthropic/v1/messages", headers=both)[0], 403)
        self.redeemer.answer = lambda ask: grant("https://api.anthropic.com", inject=[
            {"in": "header", "name": "x-api-key", "value": SECRET}])
        self.assertEqual(self.send("/anthropic/v1/messages", headers=both)[0], 200)
        self.assertEqual(self.header("x-api-key"), [SECRET])
        self.assertEqual(self.header("authorization"), [])

    def test_takes_the_token_as_a_basic_password(self):
        import base64
        value = "Basic " + base64.b64encode(b"anyone:" + token().encode()).decode()
        self.assertEqual(self.send("/openai/v1/models", "GET", headers={"authorization": value})[0], 200)
        self.assertEqual(self.redeemer.asks[-1]["token"], token())

    def test_takes_the_token_out_of_the_query(self):
        self.redeemer.answer = lambda ask: grant("https://generativelanguage.googleapis.com", inject=[
            {"in": "header", "name": "x-goog-api-key", "value": SECRET}])
        path = "/gemini/v1beta/models/gemini-2.0-flash:generateContent?alt=sse&key=" + token() + "&x=1"
        self.assertEqual(self.send(path, body={"contents": []}, authorize=False)[0], 200)
        self.assertEqual(self.provider.last()["path"], "/v1beta/models/gemini-2.0-flash:generateContent?alt=sse&x=1")
        self.assertEqual(self.redeemer.asks[-1]["token"], token())
        self.assertEqual(self.redeemer.asks[-1]["model"], "gemini-2.0-flash")

    def test_leaves_other_locations_alone(self):
        self.assertEqual(self.send("/other/x?key=" + token() + "&b=2", "GET")[0], 200)
        self.assertEqual(self.plain.last()["path"], "/x?key=" + token() + "&b=2")
        self.assertIn(("authorization", "Bearer " + token()), self.plain.last()["headers"])
        self.assertEqual(self.redeemer.asks, [])

    def test_injects_into_the_query(self):
        self.redeemer.answer = lambda ask: grant("https://query.example", inject=[
            {"in": "query", "name": "appid", "value": "a&b=" + SECRET}])
        self.assertEqual(self.send("/query/data?appid=mine&q=1&%61ppid=2", "GET")[0], 200)
        self.assertEqual(self.provider.last()["path"], "/data?q=1&appid=a%26b%3D" + SECRET)

    def test_injects_several_headers(self):
        self.redeemer.answer = lambda ask: grant(inject=[
            {"in": "header", "name": "authorization", "value": "Bearer " + SECRET},
            {"in": "header", "name": "openai-organization", "value": "org-1"}], remove=["x-secret-of-client"])
        self.send("/openai/v1/models", "GET", headers={"openai-organization": "org-2", "x-secret-of-client": "s"})
        self.assertEqual(self.header("openai-organization"), ["org-1"])
        self.assertEqual(self.header("x-secret-of-client"), [])

    def test_passes_dpop_on(self):
        proof = token("proof")
        self.send("/cached/v1/models", "GET", headers={"authorization": "DPoP " + token(), "dpop": proof})
        self.send("/cached/v1/models", "GET", headers={"authorization": "DPoP " + token(), "dpop": proof})
        self.assertEqual([(a["scheme"], a["proof"]) for a in self.redeemer.asks], [("dpop", proof)] * 2)
        self.assertEqual(self.header("dpop"), [])

    def test_sets_the_host_whatever_the_configuration_says(self):
        self.send("/sethost/v1/models", "GET", headers={"host": "evil.example", "x-mine": "Bearer x"})
        self.assertEqual(self.header("host"), ["api.openai.com"])
        self.assertEqual(self.header("authorization"), ["Bearer " + SECRET])

    def test_follows_the_path_that_nginx_makes(self):
        for path, upstream in (("/v1/models/a%20b", "/v1/models/a%20b"), ("/rewritten/models", "/v1/models"),
                               ("/openai/v1/models/a%20b", "/v1/models/a%20b"), ("/openai/v1/", "/v1/")):
            self.assertEqual(self.send(path, "GET")[0], 200, path)
            self.assertEqual(self.provider.last()["path"], upstream)
            self.assertEqual(self.redeemer.asks[-1]["path"], upstream)

    def test_finds_the_model_where_the_profile_says(self):
        self.redeemer.answer = lambda ask: grant("https://mine.openai.azure.com")
        self.send("/azure/openai/deployments/prod-4o/chat/completions?api-version=1", body={"model": "ignored"})
        self.assertEqual(self.redeemer.asks[-1]["model"], "prod-4o")
        self.send("/azure/openai/v1/chat/completions", body={"model": "other"})
        self.assertEqual(self.redeemer.asks[-1]["model"], "other")
        self.send("/pathonly/v1/chat/completions", body=CHAT)
        self.assertNotIn("model", self.redeemer.asks[-1])

    def test_finds_the_tool(self):
        self.redeemer.answer = lambda ask: grant("https://mcp.example")
        self.send("/mcp/", body={"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "rm", "arguments": {}}})
        self.assertEqual(self.redeemer.asks[-1]["tool"], "rm")
        self.send("/mcp/", body={"jsonrpc": "2.0", "method": "tools/list"})
        self.assertNotIn("tool", self.redeemer.asks[-1])

    def test_works_over_plain_http_only_when_told(self):
        self.redeemer.answer = lambda ask: grant(f"http://127.0.0.1:{self.plain.port}")
        self.assertEqual(self.send("/plain/v1/x", body=CHAT)[0], 200)
        self.assertIn(("host", f"127.0.0.1:{self.plain.port}"),
                      [(k.lower(), v) for k, v in self.plain.last()["headers"]])

    def test_streams_events_as_they_come(self):
        import http.client
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2 * HELD_S)
        begin = clock()
        connection.request("POST", "/openai/v1/stream", json.dumps(CHAT),
                           {"authorization": "Bearer " + token(), "content-type": "application/json"})
        answer = connection.getresponse()
        self.assertEqual(answer.read1(100), b"data: one\n\n")
        self.assertLess(clock() - begin, HELD_S / 2)  # the second is held back until now
        self.provider.release.set()
        self.assertEqual(answer.read(), b"data: two\n\n")
        connection.close()

    def test_carries_large_bodies(self):
        body = json.dumps({"padding": "x" * 40_000_000, "model": "late"}).encode()
        for path in ("/openai/v1/upload", "/unbuffered/v1/upload"):
            self.assertEqual(self.send(path, body=body)[0], 200)
            self.assertEqual(self.redeemer.asks[-1]["model"], "late")
            self.assertEqual(self.provider.last()["sha256"], hashlib.sha256(body).hexdigest())

    def test_carries_chunked_bodies(self):
        pieces = [b'{"mod', b'el":"gpt', b'-4o"', b',"x":"' + b"y" * 100_000 + b'"}']
        result = self.send("/openai/v1/chat/completions", body=iter(pieces), encode_chunked=True,
                           headers={"transfer-encoding": "chunked"})
        self.assertEqual(result[0], 200)
        self.assertEqual(self.redeemer.asks[-1]["model"], "gpt-4o")
        self.assertEqual(self.provider.last()["sha256"], hashlib.sha256(b"".join(pieces)).hexdigest())

    def test_leaves_other_bodies_alone(self):
        body = b"--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b--\r\n"
        self.send("/openai/v1/audio", body=body, headers={"content-type": "multipart/form-data; boundary=b"})
        self.assertNotIn("model", self.redeemer.asks[-1])
        self.assertEqual(self.provider.last()["size"], len(body))

    def curl(self, path, *options):
        command = ["curl", "-sS", "--http2-prior-knowledge", "--max-time", str(HANGS_S), "-w", "\n%{http_code}",
                   "-H", "authorization: Bearer " + token(), *options, f"http://127.0.0.1:{self.port_h2}{path}"]
        body, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rsplit("\n", 1)
        return int(status), body

    def test_serves_http2_clients(self):
        body = json.dumps({"padding": "x" * 300_000, "model": "h2"})
        path = pathlib.Path(self.folder, "body.json")
        path.write_text(body)
        for _ in range(2):
            self.assertEqual(self.curl("/openai/v1/chat/completions", "-H", "content-type: application/json",
                                       "--data-binary", f"@{path}")[0], 200)
            self.assertEqual(self.redeemer.asks[-1]["model"], "h2")
            self.assertEqual(self.provider.last()["sha256"], hashlib.sha256(body.encode()).hexdigest())
        self.redeemer.answer = lambda ask: deny(403, "policy")
        self.assertEqual(self.curl("/openai/v1/models")[0], 403)
        self.redeemer.answer = lambda ask: grant("https://generativelanguage.googleapis.com")
        self.assertEqual(self.curl("/gemini/v1beta/models?key=" + token())[0], 200)

    def test_carries_websockets(self):
        text = ("GET /upgrade/v1/socket HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                "sec-websocket-protocol: realtime, openai-insecure-api-key." + token() + ", openai-beta.realtime-v1\r\n\r\n")
        answer = self.raw(text + "ping")
        self.assertTrue(answer.startswith(b"HTTP/1.1 101"), answer)
        self.assertTrue(answer.endswith(b"gnip"), answer)
        self.assertEqual(self.header("sec-websocket-protocol"), ["realtime,openai-beta.realtime-v1"])
        self.assertEqual(self.header("authorization"), ["Bearer " + SECRET])

    def test_keeps_the_credential_out_of_mirrors(self):
        self.send("/mirrored/v1/x", body=CHAT)
        self.wait(lambda: self.plain.seen, "the mirror")
        self.assertNotIn(SECRET, str(self.plain.seen))
        self.assertNotIn(token(), str(self.plain.seen))

    def test_passes_a_providers_errors_on(self):
        status, headers, body = self.send("/openai/v1/limited", body=CHAT)
        self.assertEqual((status, headers["retry-after"], body), (429, "7", b'{"error":"slow down"}'))

    def test_writes_what_an_operator_needs(self):
        self.send("/openai/v1/logged", body=CHAT)
        line = lambda: [l for l in self.read("access.log").split("\n") if "/v1/logged" in l]
        self.wait(line, "the access log")
        self.assertIn("[granted - openai-prod gpt-4o-mini - txn-1]", line()[0])


if __name__ == "__main__":
    unittest.main()
