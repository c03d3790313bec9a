#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input to the Admin API: the right status, a problem that names the member, query or line that is wrong, and
nothing changes."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import seal  # noqa: E402
from lab import need, run_cases  # noqa: E402
from refusals import JSON, bad_input, check  # noqa: E402


def bodies_of_the_admin_api():
    with bad_input() as lab:
        tenant = "/v1/tenants/default"
        intake = lab.admin("GET", "/v1/intake-key").json
        issuer, credential = lab.issuer_record(), {"profile": "openai", "jwe": seal(intake, b"sk-x")}
        cases = []

        def wrong(method, path, good, name, *values):
            cases.extend((method, path, {**good, name: value}, name) for value in values)

        not_text = (1, True, [], {}, None)
        wrong("POST", "/v1/tenants", {"name": "x"}, "name", *not_text, "", "A", "a" * 65, "a/b", "-a", "é")
        wrong("POST", "/v1/tenants", {"name": "x"}, "description", *not_text, "d" * 256, "a\nb")
        wrong("PATCH", tenant, {}, "disabled", "yes", 1, [], {})
        put = f"{tenant}/issuers/other"
        issuer["name"] = "other"
        wrong("PUT", put, issuer, "issuer", *not_text, "", "x" * 600)
        wrong("PUT", put, issuer, "audiences", "vaultd", [], [1], [""], {}, ["a"] * 9)
        wrong("PUT", put, issuer, "algorithms", "RS256", [], ["none"], ["HS256"], ["rs256"], [1], {})
        wrong("PUT", put, issuer, "kind", *not_text, "robot", "")
        wrong("PUT", put, issuer, "groups", "x", [1], [{}], [{"claim": "groups"}], [{"claim": "groups", "value": "x"}], {})
        wrong("PUT", put, issuer, "requirements", "x", [1], [{}], [{"claim": "a", "value": 1}])
        wrong("PUT", put, issuer, "jwks", 1, [], {}, {"keys": [{"kty": "oct", "k": "AAAA"}]}, {"keys": "x"})
        wrong("PUT", put, issuer, "max_age_s", -1, "1", 2 ** 40, 1.5)
        wrong("PUT", put, issuer, "disabled", "no", 0)
        wrong("PUT", put, issuer, "subject_claim", 1, [])
        wrong("PUT", put, {k: v for k, v in issuer.items() if k != "jwks"}, "discovery_url", *not_text, "http://x.test", "")
        new = f"{tenant}/credentials/new"
        wrong("POST", new, credential, "profile", *not_text, "", "nope", "../x")
        wrong("POST", new, credential, "hosts", "x", ["api.openai.com:443"], [1], [""], ["a b"], ["x" * 300], ["a.test"] * 9)
        wrong("POST", new, credential, "parameters", "x", 1, [], {"a": 1}, {"unknown": "x"})
        wrong("POST", new, credential, "description", *not_text, "d" * 256)
        wrong("POST", new, credential, "jwe", *not_text, "", "a.b.c", "....", credential["jwe"] + "x", "x" * 30000)
        wrong("POST", f"{tenant}/credentials/openai-prod/rotate", {"jwe": credential["jwe"]}, "grace_s", "1", -1, 2 ** 40, 1.5)
        wrong("POST", "/v1/forwarders", {"name": "f"}, "uid", "0", -1, 2 ** 32, 1.5, [])
        wrong("POST", "/v1/forwarders", {"name": "f"}, "certificate_sha256", 1, "ab", "z" * 64, "a" * 63)
        wrong("POST", "/v1/forwarders", {"name": "f", "uid": 1}, "tenants", "default", [1], [""], ["A"], ["a"] * 33)
        wrong("POST", f"{tenant}/revoke", {"kind": "token", "value": "x"}, "kind", *not_text, "colour", "")
        wrong("POST", f"{tenant}/revoke", {"kind": "principal"}, "value", *not_text, "", "x" * 600)
        wrong("PUT", f"{tenant}/policies", {}, "documents", "x", [1], [{}], [{"name": "a"}], {}, [{"name": "a", "text": 1}])
        cases.append(("PUT", f"{tenant}/policies", {"documents": [{"name": "A", "text": ""}]}, "name"))
        wrong("PUT", f"{tenant}/policies", {"documents": []}, "expected_version", "1", -1, 1.5)
        for method, path, good in (("POST", "/v1/tenants", {"name": "x"}), ("PATCH", tenant, {"disabled": True}), ("PUT", put, issuer),
                                   ("POST", new, credential), ("POST", "/v1/forwarders", {"name": "f", "uid": 1}), ("POST", "/v1/seal", {}),
                                   ("POST", f"{tenant}/revoke", {"kind": "principal", "value": "x"}),
                                   ("PUT", f"{tenant}/policies", {"documents": []}),
                                   ("POST", f"{tenant}/credentials/openai-prod/disable", {})):
            cases.append((method, path, {**good, "colour": "red"}, "colour"))
        for method, path, body, name in cases:
            answer = lab.admin(method, path, body)
            what = f"{method} {path} {name} = {str(body.get(name))[:40]}"
            need(answer.status in (400, 413, 422), f"{what}: {answer}")
            need(answer.headers["content-type"] == "application/problem+json" and answer.json["status"] == answer.status,
                 f"{what}: {answer}")
            need(name in answer.json.get("field", "") or name in answer.json["detail"], f"{what}: the member is not named: {answer}")
        for method, path, required in (("POST", "/v1/tenants", "name"), ("PUT", put, "issuer"), ("POST", new, "profile"),
                                       ("POST", "/v1/forwarders", "name"),
                                       ("POST", f"{tenant}/revoke", "kind"), ("PUT", f"{tenant}/policies", "documents")):
            answer = lab.admin(method, path, {})
            check(f"{method} {path} without {required}", answer, 400, required)
            for what, body, status, word in (("not JSON", b"{", 400, ""), ("a list", b"[]", 400, "object"),
                                             ("twice", b'{"name":"a","name":"b"}', 400, "name"),
                                             ("behind", b"{} {}", 400, ""), ("not UTF-8", b'{"name":"\xff"}', 400, ""),
                                             ("NUL", b'{"name":"a\\u0000"}', 400, ""),
                                             ("deep", b'{"name":' + b"[" * 2000 + b"]" * 2000 + b"}", 0, "")):
                answer = lab.admin(method, path, body, JSON)
                need(answer.status == status or not status and answer.status in (400, 413), f"{method} {path} {what}: {answer}")
                need(word in answer.body.decode(), f"{method} {path} {what}: {answer}")
            check(f"{method} {path} as text", lab.admin(method, path, b"{}", {"content-type": "text/plain"}), 415,
                  "Content-Type must be application/json")
            check(f"{method} {path} too large", lab.admin(method, path, b"{" + b" " * (9 << 20) + b"}", JSON), 413)


def queries_and_names_of_the_admin_api():
    with bad_input() as lab:
        for path, field in (("/v1/tenants?limit=0", "limit"), ("/v1/tenants?limit=x", "limit"), ("/v1/tenants?limit=1001", "limit"),
                            ("/v1/tenants?limit=1&limit=2", "limit"), ("/v1/tenants?colour=1", "colour"),
                            ("/v1/tenants?after=" + "x" * 500, "after"),
                            ("/v1/audit?count=-1", "count"), ("/v1/audit?first=99999999999999999999", "first"),
                            ("/v1/audit?tenant=A", "tenant"), ("/v1/tenants/A", "tenant"), ("/v1/tenants/default/credentials/A", "name")):
            check(path[:40], lab.admin("GET", path), 400, f'"field":"{field}"')
        for path, word in (("/v1/tenants/nobody", "nobody"), ("/v1/tenants/nobody/credentials", "vaultctl tenant list"),
                           ("/v1/tenants/default/credentials/nobody", "nobody"), ("/v1/forwarders/nobody", "nobody"), ("/v1/nothing", "")):
            check(path, lab.admin("GET", path), 404, word)
        for value in ("x", '"x"', '"0"', 'W/"1"', '"1", "2"', "*", ""):
            check(f"If-Match: {value}", lab.admin("DELETE", "/v1/tenants/default/credentials/openai-prod", headers={"if-match": value}),
                  400, "If-Match")
        check("another revision", lab.admin("DELETE", "/v1/tenants/default/credentials/openai-prod", headers={"if-match": '"999"'}), 412)
        answer = lab.admin("PUT", "/v1/tenants", {"name": "x"})
        need(answer.status == 405 and set(answer.headers["allow"].replace(" ", "").split(",")) >= {"GET", "POST"}, answer)


def policies_with_mistakes():
    with bad_input() as lab:
        cases = [("permit(principal, action, resource)", 1, "main"), ("permit(principal, action,\n  resource)\nwhen { 1 + };", 3, ""),
                 ('permit(principal, action in Action::"fly", resource);', 1, "fly"),
                 ('permit(principal in Team::"x", action, resource);', 1, "Team"),
                 ("permit(principal, action, resource) when { context.colour == 1 };", 1, "colour"),
                 ('permit(principal, action, resource) when { "a };', 1, ""),
                 ('@id("a")\npermit(principal, action, resource);\n@id("a")\npermit(principal, action, resource);', 3, "a"),
                 ("allow(principal, action, resource);", 1, "allow"),
                 ("permit(principal, action, resource) when { " + "(" * 2000 + "1" + ")" * 2000 + " };", 1, "")]
        for text, line, word in cases:
            answer = lab.admin("PUT", "/v1/tenants/default/policies", {"documents": [{"name": "main", "text": text}]})
            check(text[:50], answer, 400)
            fault = answer.json["faults"][0]
            need(fault["document"] == "main" and fault["line"] == line and fault["column"] >= 1 and fault["detail"],
                 f"{text[:50]}: {answer}")
            need(word in json.dumps(answer.json), f"{text[:50]}: {word} is not in {answer}")
            done = lab.vaultctl("policy", "put", lab.put_file("main.cedar", text), check=False)
            need(done.returncode == 1 and f":{line}:{fault['column']}" in done.stderr, f"{text[:50]}: {done}")
        check("too large", lab.admin("PUT", "/v1/tenants/default/policies", {"documents": [{"name": "main", "text": "/" * 200000}]}), 413)


if __name__ == "__main__":
    run_cases(bodies_of_the_admin_api, queries_and_names_of_the_admin_api, policies_with_mistakes)
