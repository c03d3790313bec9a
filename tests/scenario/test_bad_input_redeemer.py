#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input to the redeemer, and strangers who ask it: the right status, a message that names what is wrong, and
nothing changes."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from lab import HANGS_S, need, run_cases  # noqa: E402
from refusals import JSON, bad_input, check  # noqa: E402


def members_of_the_redeem_request():
    with bad_input() as lab:
        good = {"token": "x", "scheme": "bearer", "destination": "api.openai.com", "method": "POST", "path": "/v1/x"}
        limits = {"token": 8192, "scheme": 8, "destination": 255, "method": 16, "path": 4096, "uri": 8192, "proof": 8192,
                  "client_certificate": 43, "model": 256, "tool": 256, "source": 64, "request_id": 64}
        for name, limit in limits.items():
            for value in (1, True, None, [], {}, "x" * (limit + 1)):
                check(f"{name} = {str(value)[:10]}", lab.redeemer("POST", "/v1/redeem", {**good, name: value}), 400, "invalid_request",
                      name)
        for name in good:
            check(f"no {name}", lab.redeemer("POST", "/v1/redeem", {k: v for k, v in good.items() if k != name}), 400,
                  f'\\"{name}\\" is missing')
            check(f"empty {name}", lab.redeemer("POST", "/v1/redeem", {**good, name: ""}), 400, name)
        bad = {"colour": ({**good, "colour": 1}, "colour"), "scheme": ({**good, "scheme": "basic"}, "bearer or dpop"),
               "certificate": ({**good, "client_certificate": "!" * 43}, "client_certificate"), "list": (b"[]", "object"),
               "text": (b'"x"', "object"),
               "nothing": (b"", ""), "half": (b'{"token":', ""), "twice": (json.dumps(good)[:-1].encode() + b',"token":"y"}', "token"),
               "behind": (json.dumps(good).encode() + b"{}", ""), "not UTF-8": (b'{"token":"\xff"}', ""),
               "NUL": (b'{"token":"a\\u0000b"}', ""), "deep": (b'{"token":' + b"[" * 100 + b"]" * 100 + b"}", "")}
        for what, (body, word) in bad.items():
            check(what, lab.redeemer("POST", "/v1/redeem", body, JSON), 400, "invalid_request", word)
        for path in ("v1", "/a/../b", "/a//b", "/%2e%2e/x", "/a%2fb", "/\u00e9", "/a\\b", "/a b", "/a?b", "/a#b", "/%zz"):
            check(path, lab.redeemer("POST", "/v1/redeem", {**good, "path": path}), 400, "path")
        for method in ("post", "Post", "P OST", "GET\n", "G\u00c9T"):
            check(method, lab.redeemer("POST", "/v1/redeem", {**good, "method": method}), 400, '\\"method\\" must be capital letters')
        for media in ("text/plain", "application/x-www-form-urlencoded", ""):
            need(lab.redeemer("POST", "/v1/redeem", json.dumps(good), {"content-type": media}).status in (400, 415), media)
        check("too large", lab.redeemer("POST", "/v1/redeem", {**good, "x": "y" * 40000}), 413)
        for body in ({}, {"grants": {}}, {"grants": [7]}, {"grants": [{}]}, {"grants": [{"grant": 7}]},
                     {"grants": [{"grant": "x", "colour": "red"}]},
                     {"grants": [{"grant": "x", "request_id": 7}]}, {"grants": [], "colour": "red"}, {"grants": [{"grant": "x"}] * 129}):
            check(str(body)[:60], lab.redeemer("POST", "/v1/standing", body), 400, "grants")
        check("too large", lab.redeemer("POST", "/v1/standing", {"grants": [{"grant": "y" * 70000}]}), 413)
        need(lab.redeemer("POST", "/v1/standing", {"grants": [{"grant": "AQ"}]}).json["ended"][0]["index"] == 0, "what is no grant stands")
        check("GET", lab.redeemer("GET", "/v1/redeem"), 405)
        check("nowhere", lab.redeemer("GET", "/v1/nothing"), 404)
        check("a body for watch", lab.redeemer("GET", "/v1/watch", b"x"), 413)
        check("not a token", lab.redeemer("POST", "/v1/redeem", good), 401, "invalid_token", "Get a new one")


def strangers_may_not_redeem():
    if os.getuid() != 0:
        return
    with bad_input() as lab:
        key = new_client_key()
        body = json.dumps({"token": lab.token(key=key), "scheme": "bearer", "destination": "api.openai.com", "method": "POST",
                           "path": "/v1/x"})
        for path, arguments in (("/v1/redeem", ["-X", "POST", "-H", "content-type: application/json", "-d", body]), ("/v1/watch", []),
                                ("/v1/standing", ["-X", "POST", "-H", "content-type: application/json", "-d", '{"grants":[]}'])):
            done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-s", "-m", "10",
                                   "--unix-socket", lab.redeem_socket, f"http://vaultd{path}", *arguments],
                                  capture_output=True, text=True, timeout=HANGS_S)
            need('"code":"not_permitted"' in done.stdout and '"status":403' in done.stdout, f"{path}: {done}")


if __name__ == "__main__":
    run_cases(members_of_the_redeem_request, strangers_may_not_redeem)
