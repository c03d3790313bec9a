#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input gets the right status, a message that names what is wrong, and
changes nothing; the service works afterwards."""

import contextlib
import hashlib
import hmac
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cryptography.hazmat.primitives import serialization  # noqa: E402
from jose import Signer, b64u, new_client_key, new_ec_key, new_rsa_key, seal  # noqa: E402
from lab import HANGS_S, Lab, need, run_cases, wait_until  # noqa: E402
from pace import clock  # noqa: E402

FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json"}
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"
URI = "https://llm.example.test/openai/v1/chat/completions"
# What the outside is told about every token that is not accepted.
DENIED = {"error": "invalid_request", "error_description": "The token presented is not accepted, or does not permit this."}


def records(lab):
    """Everything that administration can see, with the revision of each record.
    The store's own revision also counts the checkpoints of the audit log."""
    found = {path: lab.admin("GET", path).json for path in ("/v1/tenants", "/v1/forwarders")}
    for tenant in [item["name"] for item in found["/v1/tenants"]["items"]]:
        for kind in ("issuers", "credentials", "policies?text=1"):
            path = f"/v1/tenants/{tenant}/{kind}"
            answer = lab.admin("GET", path)
            found[path] = (answer.json, answer.headers.get("etag"))
    return found


def works(lab):
    key = new_client_key()
    answer = lab.redeem(lab.token(key=key), key)
    need(answer.status == 200, f"the service does not work afterwards: {answer}")


@contextlib.contextmanager
def bad_input(extra=None):
    """A lab in which nothing may change, and which must work at the end."""
    with Lab(config=extra) as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        lab.enrol()
        before, pids = records(lab), lab.pids()
        yield lab
        works(lab)
        need(records(lab) == before, f"the store changed: {before} {records(lab)}")
        need(lab.pids() == pids, "a process was replaced")


def check(what, answer, status, *words):
    need(answer.status == status, f"{what}: {answer} and not {status}")
    text = answer.body.decode(errors="replace")
    for word in words:
        need(word in text, f"{what}: {word!r} is not in {answer}")
    need("sk-real" not in text, f"{what}: holds the credential")
    need(answer.status < 400 or answer.headers.get("cache-control") == "no-store", f"{what}: may be cached: {answer.headers}")


# ---- Broker ----

def form_of(lab, **changes):
    form = {"grant_type": EXCHANGE, "subject_token": lab.subject_token(), "subject_token_type": TYPE + "jwt",
            "authorization_details": '[{"type":"credential_use","credential":"openai-prod"}]', **changes}
    return {name: value for name, value in form.items() if value is not None}


def ask_token(lab, form, path="/oauth2/token", **headers):
    body = form if isinstance(form, (str, bytes)) else urllib.parse.urlencode(form)
    return lab.broker("POST", path, body, {**FORM, **headers})


def parameters_of_the_token_request():
    with bad_input() as lab:
        cases = [
            ({"grant_type": None}, "invalid_request", "grant_type must be"),
            ({"grant_type": "password"}, "unsupported_grant_type", "grant_type must be " + EXCHANGE),
            ({"subject_token": None}, "invalid_request", "subject_token is missing"),
            ({"subject_token": ""}, "invalid_request", "subject_token is missing"),
            ({"subject_token_type": None}, "invalid_request", "subject_token_type must be"),
            ({"subject_token_type": TYPE + "saml2"}, "invalid_request", "subject_token_type must be"),
            ({"actor_token": "x"}, "invalid_request", "actor_token and actor_token_type come together"),
            ({"actor_token_type": TYPE + "jwt"}, "invalid_request", "actor_token and actor_token_type come together"),
            ({"actor_token": "x", "actor_token_type": "y"}, "invalid_request", "actor_token_type must be"),
            ({"requested_token_type": TYPE + "refresh_token"}, "invalid_request", "requested_token_type must be"),
            ({"audience": "https://other.test"}, "invalid_target", "audience and resource"),
            ({"resource": "https://other.test"}, "invalid_target", "audience and resource"),
            ({"scope": "openid"}, "invalid_scope", "scope is not used"),
            ({"authorization_details": None}, "invalid_authorization_details", "authorization_details is missing"),
        ]
        for changes, error, words in cases:
            answer = ask_token(lab, form_of(lab, **changes))
            check(changes, answer, 400, words)
            need(answer.json["error"] == error and answer.headers["cache-control"] == "no-store", f"{changes}: {answer}")
        form = urllib.parse.urlencode(form_of(lab))
        for name in ("grant_type", "subject_token", "authorization_details", "client_id"):
            check(f"{name} twice", ask_token(lab, f"{form}&{name}=a&{name}=b"), 400, "invalid_request", f"{name} is there twice")
        for text, status in (("%zz=1", 400), ("=1", 400), ("a=%00", 400), ("a=%ff", 400), ("", 400), ("&".join(f"a{i}=1" for i in range(65)), 400)):
            check(text[:20], ask_token(lab, text), status, "invalid_request")
        check("too long", ask_token(lab, "a=" + "x" * 65536), 413)
        for media in ("application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencodedx", ""):
            check(media, lab.broker("POST", "/oauth2/token", form, {"content-type": media}), 400, "Content-Type must be")
        check("GET", lab.broker("GET", "/oauth2/token"), 405)
        check("no such path", lab.broker("POST", "/oauth2/nothing", form, FORM), 404)


def authorization_details_that_are_malformed():
    def one(**changes):
        return [{"type": "credential_use", "credential": "openai-prod", **changes}]

    with bad_input() as lab:
        deep = "[" * 20 + "]" * 20
        cases = [
            ("", "missing"), ("{", ""), ("[]", "authorization_details is not a list"), ("{}", "authorization_details is not a list"),
            ("null", "authorization_details: "), ('["x"]', "is not an object"), ("[{}]", "type is not credential_use"),
            ('[{"type":1,"credential":"a"}]', "type is not credential_use"), ('[{"type":"other","credential":"a"}]', "type is not"),
            ('[{"type":"credential_use"}]', "credential is not a text"), (deep, "dee"),
            ('[{"type":"credential_use","credential":"a","credential":"b"}]', "two members have the same name"),
            (one(credential=1), "credential is not a text"), (one(credential=""), "credential: not a name"),
            (one(credential="../x"), "credential: not a name"), (one(credential="a" * 65), "credential: not a name"),
            (one(colour="red"), "colour"), (one(methods="POST"), "methods is not a list"), (one(methods=[]), "methods is not a list"),
            (one(methods=[1]), "methods holds something"), (one(methods=["post"]), "methods: not capital"),
            (one(methods=["A"] * 17), "methods has more than"), (one(paths=["v1"]), "paths: not a normal path"),
            (one(paths=["/a/../b"]), "paths: not a normal path"), (one(paths=["/a*b"]), "paths: "), (one(models=["a*b"]), "models: not a pattern"),
            (one(models=[""]), "models: not a pattern"), (one(models=["x" * 300]), "models: not a pattern"), (one(tools={}), "tools is not a list"),
            (one(tools=["a\nb"]), "tools: not a pattern"), (one(max_tokens="9"), "max_tokens is not a whole number"),
            (one(max_tokens=0), "max_tokens"), (one(max_tokens=-1), "max_tokens"), (one(max_tokens=1.5), "max_tokens"),
            (one(max_tokens=2 ** 60), "max_tokens"), (one() * 5, "more than 4 objects"), (json.dumps(one()) + "x", ""),
            ("[" + " " * 9000 + "]", ""),
        ]
        for details, words in cases:
            text = details if isinstance(details, str) else json.dumps(details)
            check(text[:60], ask_token(lab, form_of(lab, authorization_details=text)), 400, '"invalid_authorization_details"', words)


def with_header(signer, claims, header, signature=None):
    """A compact JWS with exactly this header text."""
    message = b64u(header.encode()) + "." + b64u((claims if isinstance(claims, str) else json.dumps(claims)).encode())
    return message + "." + b64u(signer._signature(message.encode()) if signature is None else signature(message.encode()))


def subject_tokens_that_are_not_accepted():
    with bad_input() as lab:
        now = int(time.time())
        good = {"iss": lab.issuer, "sub": "alice", "aud": "vaultd", "iat": now, "exp": now + 600, "groups": ["ml"]}
        stranger = Signer(new_rsa_key(), "RS256", "rsa-1")
        pem = lab.idp.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        jwk = json.dumps({**stranger.public_jwk()})

        def hs256(message):
            return hmac.new(pem, message, hashlib.sha256).digest()

        def claims(**changes):
            return {name: value for name, value in {**good, **changes}.items() if value is not None}

        def header(text):
            return with_header(lab.idp, good, text)

        token = lab.idp.sign(good)
        head, body, signature = token.split(".")
        cases = {
            "by another key": stranger.sign(good), "expired": lab.idp.sign(claims(exp=now - 120, iat=now - 700)), "no exp": lab.idp.sign(claims(exp=None)),
            "exp as text": lab.idp.sign(claims(exp=str(now + 600))), "exp negative": lab.idp.sign(claims(exp=-1)),
            "exp huge": lab.idp.sign(claims(exp=1e300)), "future iat": lab.idp.sign(claims(iat=now + 600)),
            "future nbf": lab.idp.sign(claims(nbf=now + 600)), "another audience": lab.idp.sign(claims(aud="somebody-else")),
            "audience in part": lab.idp.sign(claims(aud="vault")), "no audience": lab.idp.sign(claims(aud=None)),
            "audience as object": lab.idp.sign(claims(aud={"vaultd": 1})), "another issuer": lab.idp.sign(claims(iss="https://evil.example.test")),
            "issuer with a slash": lab.idp.sign(claims(iss=lab.issuer + "/")), "no issuer": lab.idp.sign(claims(iss=None)),
            "issuer as list": lab.idp.sign(claims(iss=[lab.issuer])), "no sub": lab.idp.sign(claims(sub=None)), "empty sub": lab.idp.sign(claims(sub="")),
            "sub as number": lab.idp.sign(claims(sub=1)), "sub too long": lab.idp.sign(claims(sub="x" * 2000)),
            "alg none": with_header(lab.idp, good, '{"alg":"none"}', lambda m: b""),
            "alg None": with_header(lab.idp, good, '{"alg":"None","kid":"rsa-1"}', lambda m: b""),
            "HS256 with the public key": with_header(lab.idp, good, '{"alg":"HS256","kid":"rsa-1"}', hs256),
            "lower case alg": header('{"alg":"rs256","kid":"rsa-1"}'), "no alg": header('{"kid":"rsa-1"}'),
            "alg as number": header('{"alg":256,"kid":"rsa-1"}'), "an algorithm not allowed": Signer(lab.idp.key, "PS256", "rsa-1").sign(good),
            "ES256 header": header('{"alg":"ES256","kid":"rsa-1"}'), "crit": header('{"alg":"RS256","kid":"rsa-1","crit":["exp"],"exp":1}'),
            "empty crit": header('{"alg":"RS256","kid":"rsa-1","crit":[]}'), "b64 false": header('{"alg":"RS256","kid":"rsa-1","crit":["b64"],"b64":false}'),
            "own jwk": with_header(stranger, good, '{"alg":"RS256","jwk":%s}' % jwk),
            "jku": with_header(stranger, good, '{"alg":"RS256","kid":"rsa-1","jku":"https://evil.example.test/keys"}'),
            "x5u": with_header(stranger, good, '{"alg":"RS256","kid":"rsa-1","x5u":"https://evil.example.test/cert"}'),
            "another kid": header('{"alg":"RS256","kid":"../../etc/passwd"}'), "alg twice": header('{"alg":"none","alg":"RS256","kid":"rsa-1"}'),
            "header no object": header('"x"'), "header not JSON": header("{"), "a deep header": header('{"alg":"RS256","kid":"rsa-1","x":%s}' % ("[" * 500 + "]" * 500)),
            "claim twice": with_header(lab.idp, json.dumps(good)[:-1] + ',"sub":"root"}', '{"alg":"RS256","kid":"rsa-1"}'),
            "claims no object": with_header(lab.idp, "[]", '{"alg":"RS256","kid":"rsa-1"}'),
            "claims not UTF-8": head + "." + b64u(b'{"sub":"\xff"}') + "." + signature,
            "NUL in sub": lab.idp.sign(claims(sub="alice\0root")), "no signature": head + "." + body + ".", "two parts": head + "." + body,
            "four parts": token + ".x", "padding": token + "=", "a space": token + " ", "a newline inside": head + ".\n" + body + "." + signature,
            "signature of another": head + "." + body + "." + stranger.sign(good).split(".")[2], "nothing but dots": "..",
            "not base64url": head + "." + body + "." + "+/" * 171, "too long": lab.idp.sign(claims(x="y" * 20000)),
            "our own token": lab.token(key=new_client_key()),
        }
        for what, subject in cases.items():
            answer = ask_token(lab, form_of(lab, subject_token=subject))
            check(what, answer, 400)
            need(answer.json == DENIED, f"{what} can be told from the others: {answer}")
            actor = ask_token(lab, form_of(lab, actor_token=subject, actor_token_type=TYPE + "jwt"))
            need(actor.json == DENIED, f"{what}, as actor: {actor}")

        def denials():
            return [entry for entry in lab.audit() if entry["kind"] == "issue" and entry["outcome"] == "deny"]
        # The same denial again within a second is counted in one entry, which comes when the second is over.
        wait_until("every denial in the log", lambda: sum(entry.get("repeats", 1) for entry in denials()) >= 2 * len(cases))
        need(all(entry["reason"] for entry in denials()), "the log does not say why")


def proofs_that_are_malformed():
    with bad_input() as lab:
        key, thief = new_client_key(), new_client_key()
        where = f"{lab.origin}/oauth2/token"
        nonce = ask_token(lab, form_of(lab), dpop=key.dpop("POST", where)).headers["dpop-nonce"]

        def proof(header=None, signer=key, drop=(), **changes):
            claims = {"jti": b64u(os.urandom(12)), "htm": "POST", "htu": where, "iat": int(time.time()), "nonce": nonce, **changes}
            claims = {name: value for name, value in claims.items() if name not in drop}
            jwk = signer.public_jwk()
            return with_header(signer, claims, json.dumps({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk} if header is None else header))

        jwk = key.public_jwk()
        private = {**jwk, "d": b64u(b"1" * 32)}
        small = Signer(new_ec_key(), "ES256")
        cases = {
            "empty": "", "no JWT": "x", "typ JWT": proof({"alg": "ES256", "typ": "JWT", "jwk": jwk}), "no typ": proof({"alg": "ES256", "jwk": jwk}),
            "no jwk": proof({"alg": "ES256", "typ": "dpop+jwt"}), "jwk as text": proof({"alg": "ES256", "typ": "dpop+jwt", "jwk": json.dumps(jwk)}),
            "a private key": proof({"alg": "ES256", "typ": "dpop+jwt", "jwk": private}),
            "a symmetric key": proof({"alg": "HS256", "typ": "dpop+jwt", "jwk": {"kty": "oct", "k": b64u(b"k" * 32)}}),
            "alg none": proof({"alg": "none", "typ": "dpop+jwt", "jwk": jwk}), "another alg": proof({"alg": "RS256", "typ": "dpop+jwt", "jwk": jwk}),
            "another key in jwk": proof({"alg": "ES256", "typ": "dpop+jwt", "jwk": thief.public_jwk()}),
            "a point that is not on the curve": proof({"alg": "ES256", "typ": "dpop+jwt", "jwk": {**jwk, "y": jwk["x"]}}),
            "a short coordinate": proof({"alg": "ES256", "typ": "dpop+jwt", "jwk": {**jwk, "x": b64u(b"1" * 31)}}),
            "crit": proof({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk, "crit": ["x"], "x": 1}),
            "no jti": proof(drop=["jti"]), "no htm": proof(drop=["htm"]), "no htu": proof(drop=["htu"]), "no iat": proof(drop=["iat"]),
            "jti as number": proof(jti=1), "empty jti": proof(jti=""), "a long jti": proof(jti="x" * 5000), "htm in lower case": proof(htm="post"),
            "another method": proof(htm="GET"), "another host": proof(htu="https://evil.example.test/oauth2/token"),
            "another path": proof(htu=f"{lab.origin}/oauth2/revoke"), "http": proof(htu=where.replace("https", "http")),
            "another port": proof(htu="https://localhost:1/oauth2/token"), "a user in the URI": proof(htu=where.replace("://", "://a@")),
            "htu as list": proof(htu=[where]), "iat as text": proof(iat="now"), "an old iat": proof(iat=int(time.time()) - 3600, drop=["nonce"]),
            "signature cut": proof()[:-10], "four parts": proof() + ".x", "two proofs in one": proof() + ", " + proof(),
            "too long": proof(x="y" * 20000),
        }
        for what, text in cases.items():
            answer = ask_token(lab, form_of(lab), dpop=text)
            need(answer.status in (400, 431) and answer.json.get("error", "invalid_dpop_proof") in ("invalid_dpop_proof", "use_dpop_nonce"), f"{what}: {answer}")
            need(what == "an old iat" or answer.status == 431 or answer.json["error"] == "invalid_dpop_proof", f"{what}: {answer}")
        for what, text in {"no nonce": proof(drop=["nonce"]), "another nonce": proof(nonce="AAAA"), "nonce as number": proof(nonce=1)}.items():
            answer = ask_token(lab, form_of(lab), dpop=text)
            need(answer.status == 400 and answer.json["error"] in ("use_dpop_nonce", "invalid_dpop_proof"), f"{what}: {answer}")
            need(what == "nonce as number" or answer.headers.get("dpop-nonce"), f"{what}: no nonce in {answer.headers}")
        same = proof(signer=small)
        need(ask_token(lab, form_of(lab), dpop=same).status == 200, "a proof for the first time")
        check("a proof for the second time", ask_token(lab, form_of(lab), dpop=same), 400, "invalid_dpop_proof")
        two = raw_tls(lab, request("POST", "/oauth2/token", urllib.parse.urlencode(form_of(lab)).encode(), host="localhost",
                                   extra=f"content-type: {FORM['content-type']}\r\ndpop: {proof()}\r\ndpop: {proof()}\r\n"))
        need(two.startswith(b"HTTP/1.1 400 ") and b"invalid_dpop_proof" in two, two)


def introspection_revocation_and_metadata():
    with bad_input() as lab:
        bearer = {"authorization": f"Bearer {lab.subject_token()}"}
        inactive = b'{"active":false}'
        for token in ("x", "a.b.c", lab.subject_token(), "A" * 8000, "%00"[:1] + "\u00e9"):
            answer = lab.broker("POST", "/oauth2/introspect", urllib.parse.urlencode({"token": token}), {**FORM, **bearer})
            need(answer.status == 200 and answer.body == inactive, f"{token[:20]}: {answer}")
            need(lab.broker("POST", "/oauth2/revoke", urllib.parse.urlencode({"token": token}), FORM).status == 200, f"revoke {token[:20]}")
        for path, more in (("/oauth2/introspect", bearer), ("/oauth2/revoke", {})):
            check(f"{path}: nothing", lab.broker("POST", path, "", {**FORM, **more}), 400, "invalid_request", "token is missing")
            check(f"{path}: empty", lab.broker("POST", path, "token=", {**FORM, **more}), 400, "token is missing")
            check(f"{path}: twice", lab.broker("POST", path, "token=a&token=b", {**FORM, **more}), 400, "token is there twice")
            check(f"{path}: JSON", lab.broker("POST", path, '{"token":"x"}', {**JSON, **more}), 400, "Content-Type must be")
            check(f"{path}: too large", lab.broker("POST", path, "token=" + "x" * 65536, {**FORM, **more}), 413)
            check(f"{path}: PUT", lab.broker("PUT", path, "token=x", {**FORM, **more}), 405)
        for what, value in (("nobody", None), ("Basic", "Basic YTpi"), ("no token", "Bearer"), ("two", "Bearer a b"), ("a stranger", "Bearer x.y.z"),
                            ("comma", "Bearer a, Bearer b")):
            answer = lab.broker("POST", "/oauth2/introspect", "token=x", {**FORM, **({"authorization": value} if value else {})})
            check(what, answer, 401, "invalid_token", "Send a token of a trusted identity provider")
            need(answer.headers["www-authenticate"] == ('Bearer error="invalid_token"' if value else "Bearer"), answer.headers)
        check("a body for metadata", lab.broker("GET", "/.well-known/oauth-authorization-server", b"x", FORM), 413)
        check("POST to metadata", lab.broker("POST", "/.well-known/oauth-authorization-server", b"", FORM), 405)
        for path in ("/t/nobody/.well-known/openid-configuration", "/t/NOBODY/oauth2/jwks", "/t//oauth2/jwks", "/.well-known/oauth-authorization-server/t/..%2f"):
            need(lab.broker("GET", path).status in (400, 404), path)


def unknown_and_disabled_tenants_look_like_a_denial():
    with Lab() as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        lab.enrol()
        lab.vaultctl("tenant", "create", "gone")
        record = lab.put_file("gone.json", json.dumps(lab.issuer_record()))
        lab.vaultctl("--tenant", "gone", "issuer", "add", "corp", "--file", record)
        lab.vaultctl("--tenant", "gone", "policy", "put", lab.put_file("gone.cedar", lab.POLICY))
        lab.vaultctl("--tenant", "gone", "credential", "put", "openai-prod", "-", "--profile", "openai", input="sk-of-gone")
        key = new_client_key()
        answer = lab.exchange(key=key, path="/t/gone/oauth2/token")
        need(answer.status == 200, answer)
        token = answer.json["access_token"]
        need(lab.redeem(token, key).status == 200, "before")
        lab.vaultctl("tenant", "disable", "gone")
        denied = lab.redeem(token, key)
        check("a disabled tenant", denied, 403, "not_permitted")
        answers = [lab.exchange(key=key, path=f"/t/{name}/oauth2/token") for name in ("gone", "nobody", "x" * 64)]
        answers.append(lab.exchange(details=[{"type": "credential_use", "credential": "no-such"}], key=key))
        lab.vaultctl("credential", "disable", "openai-prod")
        answers.append(lab.exchange(key=key))
        for answer in answers:
            need(answer.status == 400 and answer.json == DENIED, answer)
        check("not a name", lab.broker("POST", "/t/%2e%2e%2f/oauth2/token", "x=y", FORM), 400)
        lab.vaultctl("tenant", "enable", "gone")
        need(lab.redeem(token, key).status == 200, "enabled again")
        lab.vaultctl("credential", "enable", "openai-prod")
        works(lab)


# ---- Redeemer ----

def members_of_the_redeem_request():
    with bad_input() as lab:
        good = {"token": "x", "scheme": "bearer", "destination": "api.openai.com", "method": "POST", "path": "/v1/x"}
        limits = {"token": 8192, "scheme": 8, "destination": 255, "method": 16, "path": 4096, "uri": 8192, "proof": 8192, "client_certificate": 43,
                  "model": 256, "tool": 256, "source": 64, "request_id": 64}
        for name, limit in limits.items():
            for value in (1, True, None, [], {}, "x" * (limit + 1)):
                check(f"{name} = {str(value)[:10]}", lab.redeemer("POST", "/v1/redeem", {**good, name: value}), 400, "invalid_request", name)
        for name in good:
            check(f"no {name}", lab.redeemer("POST", "/v1/redeem", {k: v for k, v in good.items() if k != name}), 400, f'\\"{name}\\" is missing')
            check(f"empty {name}", lab.redeemer("POST", "/v1/redeem", {**good, name: ""}), 400, name)
        bad = {"colour": ({**good, "colour": 1}, "colour"), "scheme": ({**good, "scheme": "basic"}, "bearer or dpop"),
               "certificate": ({**good, "client_certificate": "!" * 43}, "client_certificate"), "list": (b"[]", "object"), "text": (b'"x"', "object"),
               "nothing": (b"", ""), "half": (b'{"token":', ""), "twice": (json.dumps(good)[:-1].encode() + b',"token":"y"}', "token"),
               "behind": (json.dumps(good).encode() + b"{}", ""), "not UTF-8": (b'{"token":"\xff"}', ""), "NUL": (b'{"token":"a\\u0000b"}', ""),
               "deep": (b'{"token":' + b"[" * 100 + b"]" * 100 + b"}", "")}
        for what, (body, word) in bad.items():
            check(what, lab.redeemer("POST", "/v1/redeem", body, JSON), 400, "invalid_request", word)
        for path in ("v1", "/a/../b", "/a//b", "/%2e%2e/x", "/a%2fb", "/\u00e9", "/a\\b", "/a b", "/a?b", "/a#b", "/%zz"):
            check(path, lab.redeemer("POST", "/v1/redeem", {**good, "path": path}), 400, "path")
        for method in ("post", "Post", "P OST", "GET\n", "G\u00c9T"):
            check(method, lab.redeemer("POST", "/v1/redeem", {**good, "method": method}), 400, '\\"method\\" must be capital letters')
        for media in ("text/plain", "application/x-www-form-urlencoded", ""):
            need(lab.redeemer("POST", "/v1/redeem", json.dumps(good), {"content-type": media}).status in (400, 415), media)
        check("too large", lab.redeemer("POST", "/v1/redeem", {**good, "x": "y" * 40000}), 413)
        for body in ({}, {"grants": {}}, {"grants": [7]}, {"grants": [{}]}, {"grants": [{"grant": 7}]}, {"grants": [{"grant": "x", "colour": "red"}]},
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
        body = json.dumps({"token": lab.token(key=key), "scheme": "bearer", "destination": "api.openai.com", "method": "POST", "path": "/v1/x"})
        for path, arguments in (("/v1/redeem", ["-X", "POST", "-H", "content-type: application/json", "-d", body]), ("/v1/watch", []),
                                ("/v1/standing", ["-X", "POST", "-H", "content-type: application/json", "-d", '{"grants":[]}'])):
            done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-s", "-m", "10", "--unix-socket",
                                   lab.redeem_socket, f"http://vaultd{path}", *arguments], capture_output=True, text=True, timeout=HANGS_S)
            need('"code":"not_permitted"' in done.stdout and '"status":403' in done.stdout, f"{path}: {done}")


# ---- Admin ----

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
                                   ("PUT", f"{tenant}/policies", {"documents": []}), ("POST", f"{tenant}/credentials/openai-prod/disable", {})):
            cases.append((method, path, {**good, "colour": "red"}, "colour"))
        for method, path, body, name in cases:
            answer = lab.admin(method, path, body)
            what = f"{method} {path} {name} = {str(body.get(name))[:40]}"
            need(answer.status in (400, 413, 422), f"{what}: {answer}")
            need(answer.headers["content-type"] == "application/problem+json" and answer.json["status"] == answer.status, f"{what}: {answer}")
            need(name in answer.json.get("field", "") or name in answer.json["detail"], f"{what}: the member is not named: {answer}")
        for method, path, required in (("POST", "/v1/tenants", "name"), ("PUT", put, "issuer"), ("POST", new, "profile"), ("POST", "/v1/forwarders", "name"),
                                       ("POST", f"{tenant}/revoke", "kind"), ("PUT", f"{tenant}/policies", "documents")):
            answer = lab.admin(method, path, {})
            check(f"{method} {path} without {required}", answer, 400, required)
            for what, body, status, word in (("not JSON", b"{", 400, ""), ("a list", b"[]", 400, "object"), ("twice", b'{"name":"a","name":"b"}', 400, "name"),
                                             ("behind", b"{} {}", 400, ""), ("not UTF-8", b'{"name":"\xff"}', 400, ""), ("NUL", b'{"name":"a\\u0000"}', 400, ""),
                                             ("deep", b'{"name":' + b"[" * 2000 + b"]" * 2000 + b"}", 0, "")):
                answer = lab.admin(method, path, body, JSON)
                need(answer.status == status or not status and answer.status in (400, 413), f"{method} {path} {what}: {answer}")
                need(word in answer.body.decode(), f"{method} {path} {what}: {answer}")
            check(f"{method} {path} as text", lab.admin(method, path, b"{}", {"content-type": "text/plain"}), 415, "Content-Type must be application/json")
            check(f"{method} {path} too large", lab.admin(method, path, b"{" + b" " * (9 << 20) + b"}", JSON), 413)


def queries_and_names_of_the_admin_api():
    with bad_input() as lab:
        for path, field in (("/v1/tenants?limit=0", "limit"), ("/v1/tenants?limit=x", "limit"), ("/v1/tenants?limit=1001", "limit"),
                            ("/v1/tenants?limit=1&limit=2", "limit"), ("/v1/tenants?colour=1", "colour"), ("/v1/tenants?after=" + "x" * 500, "after"),
                            ("/v1/audit?count=-1", "count"), ("/v1/audit?first=99999999999999999999", "first"), ("/v1/audit?tenant=A", "tenant"),
                            ("/v1/tenants/A", "tenant"), ("/v1/tenants/default/credentials/A", "name")):
            check(path[:40], lab.admin("GET", path), 400, f'"field":"{field}"')
        for path, word in (("/v1/tenants/nobody", "nobody"), ("/v1/tenants/nobody/credentials", "vaultctl tenant list"),
                           ("/v1/tenants/default/credentials/nobody", "nobody"), ("/v1/forwarders/nobody", "nobody"), ("/v1/nothing", "")):
            check(path, lab.admin("GET", path), 404, word)
        for value in ("x", '"x"', '"0"', 'W/"1"', '"1", "2"', "*", ""):
            check(f"If-Match: {value}", lab.admin("DELETE", "/v1/tenants/default/credentials/openai-prod", headers={"if-match": value}), 400, "If-Match")
        check("another revision", lab.admin("DELETE", "/v1/tenants/default/credentials/openai-prod", headers={"if-match": '"999"'}), 412)
        answer = lab.admin("PUT", "/v1/tenants", {"name": "x"})
        need(answer.status == 405 and set(answer.headers["allow"].replace(" ", "").split(",")) >= {"GET", "POST"}, answer)


def policies_with_mistakes():
    with bad_input() as lab:
        cases = [("permit(principal, action, resource)", 1, "main"), ("permit(principal, action,\n  resource)\nwhen { 1 + };", 3, ""),
                 ('permit(principal, action in Action::"fly", resource);', 1, "fly"), ('permit(principal in Team::"x", action, resource);', 1, "Team"),
                 ("permit(principal, action, resource) when { context.colour == 1 };", 1, "colour"), ('permit(principal, action, resource) when { "a };', 1, ""),
                 ('@id("a")\npermit(principal, action, resource);\n@id("a")\npermit(principal, action, resource);', 3, "a"),
                 ("allow(principal, action, resource);", 1, "allow"), ("permit(principal, action, resource) when { " + "(" * 2000 + "1" + ")" * 2000 + " };", 1, "")]
        for text, line, word in cases:
            answer = lab.admin("PUT", "/v1/tenants/default/policies", {"documents": [{"name": "main", "text": text}]})
            check(text[:50], answer, 400)
            fault = answer.json["faults"][0]
            need(fault["document"] == "main" and fault["line"] == line and fault["column"] >= 1 and fault["detail"], f"{text[:50]}: {answer}")
            need(word in json.dumps(answer.json), f"{text[:50]}: {word} is not in {answer}")
            done = lab.vaultctl("policy", "put", lab.put_file("main.cedar", text), check=False)
            need(done.returncode == 1 and f":{line}:{fault['column']}" in done.stderr, f"{text[:50]}: {done}")
        check("too large", lab.admin("PUT", "/v1/tenants/default/policies", {"documents": [{"name": "main", "text": "/" * 200000}]}), 413)


# ---- vaultctl ----

def arguments_of_vaultctl():
    with bad_input() as lab:
        cases = [
            (["bogus"], 2, "there is no command", "--help"), (["credential"], 2, "", "--help"), (["credential", "putt"], 2, "credential putt", "--help"),
            (["tenant", "create"], 2, "NAME is missing", "vaultctl tenant create --help"), (["tenant", "create", "a", "b"], 2, "", "--help"),
            (["tenant", "create", "UP"], 1, "name", ""), (["--colour", "status"], 2, "--colour", ""), (["status", "--colour"], 2, "--colour", "--help"),
            (["credential", "put", "a"], 2, "", ""), (["credential", "put", "a", "sk-in-sight", "--profile", "openai"], 2, "where everybody can see it", "--file"),
            (["credential", "put", "a", "-"], 2, "--profile is missing", "--help"),
            (["credential", "put", "a", "-", "--profile", "nope"], 1, "nope", ""), (["credential", "put", "a", "--value", "sk-1"], 2, "--value", "--help"),
            (["credential", "put", "a", "--file", "/nonexistent", "--profile", "openai"], 4, "/nonexistent", ""),
            (["credential", "show", "nobody"], 4, "nobody", ""), (["credential", "delete", "nobody", "--yes"], 4, "nobody", ""),
            (["credential", "put", "openai-prod", "-", "--profile", "openai"], 5, "openai-prod", "rotate"),
            (["--tenant", "nobody", "credential", "list"], 4, "nobody", "vaultctl tenant list"), (["--tenant", "A", "credential", "list"], 1, "tenant", ""),
            (["policy", "put", "/nonexistent"], 4, "/nonexistent", ""), (["issuer", "add", "x", "--file", "/nonexistent"], 2, "/nonexistent", ""),
            (["issuer", "add", "x", "--file", lab.put_file("bad.json", "{")], 2, "bad.json", ""),
            (["issuer", "add", "x", "--file", lab.put_file("other.json", '{"colour":1}')], 1, "colour", ""),
            (["forwarder", "enrol", "x"], 2, "--uid", "--help"), (["forwarder", "enrol", "x", "--uid", "abc"], 2, "--uid", "--help"),
            (["forwarder", "enrol", "x", "--user", "no-such-user"], 4, "no-such-user", ""), (["revoke"], 2, "", "--help"),
            (["revoke", "--principal", ""], 1, "value", ""), (["audit", "tail", "--count", "x"], 2, "--count", "--help"), (["init"], 5, "initialised already", ""),
            (["token", "get"], 2, "--bearer", ""), (["--server", "unix:/nonexistent", "status"], 6, "/nonexistent", ""),
            (["--server", "ftp://x", "status"], 2, "ftp://x", ""),
        ]
        for arguments, status, word, hint in cases:
            done = lab.vaultctl(*arguments, check=False, input="sk-secret-value")
            what = f"vaultctl {' '.join(arguments)}"
            need(done.returncode == status or word == "/nonexistent" and done.returncode in (2, 4, 6), f"{what} exited {done.returncode} and not {status}: {done.stderr}")
            need(done.stderr.startswith("vaultctl: ") or "usage:" in done.stderr, f"{what}: {done.stderr}")
            need(word in done.stderr and hint in done.stderr, f"{what}: {word!r} {hint!r} is not in {done.stderr!r}")
            need("sk-" not in done.stderr + done.stdout or "sk-1" in " ".join(arguments), f"{what} shows the value")
        for value in ("", "x" * 40000):
            done = lab.vaultctl("credential", "put", "a", "-", "--profile", "openai", check=False, input=value)
            need(done.returncode in (1, 2) and done.stderr.startswith("vaultctl: "), f"a value of {len(value)} bytes: {done}")
        done = lab.vaultctl("--json", "tenant", "create", "UP", check=False)
        need(done.returncode == 1 and json.loads(done.stderr)["error"]["problem"]["status"] == 400, done)
        for arguments in (["bogus", "--json"], ["--json", "credential", "show"], ["credential", "show", "x", "--colour", "--json"]):
            done = lab.vaultctl(*arguments, check=False)
            need(done.returncode == 2 and json.loads(done.stderr)["error"]["exit_status"] == 2, f"{arguments}: {done}")
        for name in ("", ".", "..", "a/b"):
            for arguments in (["credential", "put", name, "-", "--profile", "openai"], ["credential", "show", name], ["tenant", "show", name]):
                done = lab.vaultctl(*arguments, check=False, input="sk-x")
                need(done.returncode == 1 and "a name is not empty" in done.stderr, f"{arguments}: {done}")
        for arguments in (["status"], ["--json", "status"], ["status", "--help"], ["completion", "bash"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([f"{lab.prefix}/bin/vaultctl", "--server", f"unix:{lab.admin_socket}", *arguments], stdout=full, stderr=subprocess.PIPE,
                                      text=True, timeout=HANGS_S)
            need(done.returncode == 1 and "standard output can not be written" in done.stderr, f"{arguments}: {done}")
        for arguments, status, word in ((["alice"], 0, ""), (["eyJhbGciOiJFUzI1NiJ9.e30.AA"], 1, "its jti"), (["--principal", "alice"], 1, "ISSUER|SUBJECT"),
                                        (["--principal", "|alice"], 1, "ISSUER|SUBJECT"), (["--principal", f"{lab.issuer}|"], 1, "ISSUER|SUBJECT"),
                                        (["--credential", "opnai-prod"], 4, "credential list"), (["--credential", "../x"], 4, "credential list")):
            done = lab.vaultctl("revoke", *arguments, check=False)
            need(done.returncode == status and word in done.stderr, f"revoke {arguments}: {done}")
        done = lab.vaultctl("--server", "unix:/nonexistent", "rotate", "credential", "openai-prod", check=False)
        need(done.returncode == 6 and "terminal" not in done.stderr, done)  # asks for no value


def values_that_no_request_can_carry():
    with bad_input() as lab:
        profiles = {"openai": [], "generic-query": ["--parameter", "query=key", "--host", "api.test"],
                    "generic-basic": ["--parameter", "user=me", "--host", "api.test"]}
        cases = [("sk\nx-evil: 1", ()), ("sk\0x", ()), ("sk\tx", ()), ("sk\x7f", ()), ("sk\u2013x", ("generic-basic",)), (" sk", ("generic-basic",)),
                 ("sk ", ("generic-basic",)), ("x" * 8193, ())]
        for value, good in cases:
            for profile, more in profiles.items():
                done = lab.vaultctl("credential", "put", "odd", "-", "--profile", profile, *more, check=False, input=value)
                need(done.returncode == (0 if profile in good else 1), f"{value[:20]!r} for {profile}: {done}")
                need(profile in good or "no request can carry it" in done.stderr or "8192" in done.stderr, f"{value[:20]!r}: {done}")
                if profile in good:
                    lab.vaultctl("credential", "delete", "odd", "--yes")
        done = lab.vaultctl("credential", "put", "odd", "-", "--profile", "generic-basic", "--parameter", "user=a:b", "--host", "api.test", check=False, input="x")
        need(done.returncode == 1 and "a user name holds no colon" in done.stderr, done)
        for step in (["credential", "rotate", "openai-prod", "-"], ["credential", "rotate", "openai-prod", "-", "--stage"]):
            done = lab.vaultctl(*step, check=False, input="sk\r\nx")
            need(done.returncode == 1 and "no request can carry it" in done.stderr, done)
        intake = lab.admin("GET", "/v1/intake-key").json
        long = lab.admin("POST", "/v1/tenants/default/credentials/long", {"profile": "openai", "jwe": seal(intake, b"x" * 8193)})
        check("a long value", long, 400, "longer than 8192 bytes")


# ---- HTTP ----

def request(method, path, body=b"", host="x", extra="", version="HTTP/1.1"):
    length = f"content-length: {len(body)}\r\n" if body else ""
    return f"{method} {path} {version}\r\nhost: {host}\r\n{length}{extra}\r\n".encode() + body


def read_all(connection):
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except (TimeoutError, OSError, ssl.SSLError):
        pass
    return received


def exchange_raw(connection, data):
    connection.settimeout(10)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            connection.sendall(data)
        return read_all(connection)
    finally:
        connection.close()


def open_tls(lab):
    context = ssl.create_default_context(cafile=lab.ca)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", lab.broker_port), HANGS_S), server_hostname="localhost")


def open_unix(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(path)
    return connection


def raw_tls(lab, data):
    return exchange_raw(open_tls(lab), data)


def listeners(lab):
    return {"broker": lambda: open_tls(lab), "redeemer": lambda: open_unix(lab.redeem_socket), "admin": lambda: open_unix(lab.admin_socket)}


SECOND = b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n"
SMUGGLING = {
    "length and coding": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\ncontent-length: 5\r\n\r\n",
    "two equal lengths": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n",
    "a list of lengths": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0, 0\r\n\r\n",
    "a signed length": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: +0\r\n\r\n",
    "a negative length": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    "a hexadecimal length": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0x0\r\n\r\n",
    "a length beyond": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
    "an empty length": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: \r\n\r\n",
    "chunked twice": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two codings": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "gzip": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding almost chunked": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding with a tab": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length : 0\r\n\r\n",
    "a folded line": b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx: a\r\n b\r\n\r\n",
    "a folded first line": b"GET /v1/health HTTP/1.1\r\n host: x\r\n\r\n",
    "a bare LF": b"GET /v1/health HTTP/1.1\nhost: x\n\n", "a bare CR": b"GET /v1/health HTTP/1.1\r\nhost: x\rx: y\r\n\r\n",
    "NUL in a value": b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx: a\x00b\r\n\r\n", "NUL in a name": b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx\x00: a\r\n\r\n",
    "no host": b"GET /v1/health HTTP/1.1\r\n\r\n", "two hosts": b"GET /v1/health HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
    "a bad host": b"GET /v1/health HTTP/1.1\r\nhost: a b\r\n\r\n", "an empty name": b"GET /v1/health HTTP/1.1\r\nhost: x\r\n: a\r\n\r\n",
    "no version": b"GET /v1/health\r\nhost: x\r\n\r\n", "HTTP/1.0": b"GET /v1/health HTTP/1.0\r\nhost: x\r\n\r\n",
    "HTTP/2.0": b"GET /v1/health HTTP/2.0\r\nhost: x\r\n\r\n", "HTTP/1.10": b"GET /v1/health HTTP/1.10\r\nhost: x\r\n\r\n",
    "two spaces": b"GET  /v1/health HTTP/1.1\r\nhost: x\r\n\r\n", "a tab": b"GET\t/v1/health HTTP/1.1\r\nhost: x\r\n\r\n",
    "absolute form": b"GET http://x/v1/health HTTP/1.1\r\nhost: x\r\n\r\n", "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    "lower case method": b"get /v1/health HTTP/1.1\r\nhost: x\r\n\r\n", "an unknown method": b"BREW /v1/health HTTP/1.1\r\nhost: x\r\n\r\n",
    "a raw byte": b"GET /v1/h\xe9alth HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a long line": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", "a long head": b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 17000 + b"\r\n\r\n",
    "many fields": b"GET /v1/health HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 65 + b"\r\n", "an expectation": b"POST /v1/x HTTP/1.1\r\nhost: x\r\nexpect: magic\r\ncontent-length: 1\r\n\r\nx",
    "a bad chunk size": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a signed chunk size": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
    "a huge chunk size": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "a chunk that is too long": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "a chunk with LF": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "a trailer that frames": b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 5\r\n\r\n",
    "garbage": bytes(range(256)) * 8, "TLS in TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32,
}
STATUS = {"a long line": (b"414",), "a long head": (b"431",), "many fields": (b"431",), "an expectation": (b"417",), "gzip": (b"400", b"501"), "HTTP/1.0": (b"505",), "no version": (b"400", b"505"),
          "HTTP/2.0": (b"505",), "CONNECT": (b"400", b"501"), "an unknown method": (b"501",), "lower case method": (b"501",),
          "a huge chunk size": (b"400", b"413"), "a coding almost chunked": (b"400", b"501"), "two codings": (b"400", b"501"), "chunked twice": (b"400", b"501"),
          "HTTP/2 preface": (b"400", b"501", b"505"), "HTTP/1.10": (b"400", b"505"), "garbage": (b"400", b"414", b"431"), "a length beyond": (b"400", b"413")}


def framing_that_two_readers_could_see_differently():
    with bad_input() as lab:
        for role, connect in listeners(lab).items():
            for what, data in SMUGGLING.items():
                answer = exchange_raw(connect(), data + SECOND)
                lines = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
                allowed = STATUS.get(what, (b"400",))
                need(len(lines) == 1 and lines[0].split(b" ")[1] in allowed, f"{role}: {what}: {lines or answer[:200]} and not {allowed}")
                need(b"connection: close" in answer.lower(), f"{role}: {what}: the connection stays open: {answer[:300]}")
                need(b"alive" not in answer, f"{role}: {what}: the second request was answered")
            need(b'"alive"' in exchange_raw(connect(), request("GET", "/v1/health", extra="connection: close\r\n")), f"{role} afterwards")


def bodies_that_are_too_large():
    with bad_input() as lab:
        for role, path in (("broker", "/oauth2/token"), ("redeemer", "/v1/redeem"), ("admin", "/v1/tenants")):
            connect = listeners(lab)[role]
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n".encode()
            announced = exchange_raw(connect(), head + b"content-length: 100000000\r\n\r\n")
            need(announced.startswith(b"HTTP/1.1 413 "), f"{role}: an announced body: {announced[:100]}")
            expected = exchange_raw(connect(), head + b"content-length: 100000000\r\nexpect: 100-continue\r\n\r\n")
            need(expected.startswith(b"HTTP/1.1 413 "), f"{role}: with 100-continue: {expected[:100]}")
            chunks = b"transfer-encoding: chunked\r\n\r\n" + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 12
            chunked = exchange_raw(connect(), head + chunks)
            need(chunked.startswith(b"HTTP/1.1 413 ") or chunked == b"", f"{role}: in chunks: {chunked[:100]}")
            tiny = exchange_raw(connect(), head + b"transfer-encoding: chunked\r\n\r\n" + b"1;x=" + b"y" * 100000 + b"\r\nx\r\n")
            need(tiny.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")) or tiny == b"", f"{role}: framing: {tiny[:100]}")


FAST = {"broker": {"request_deadline_ms": 1000, "idle_ms": 1500, "max_connections": 8}, "redeemer": {"request_deadline_ms": 1000, "idle_ms": 1500, "max_connections": 8},
        "admin": {"request_deadline_ms": 1000, "idle_ms": 1500, "max_connections": 8}}


def slow_requests_end():
    with bad_input(FAST) as lab:
        for role, connect in listeners(lab).items():
            for what, first, drip in (("a head", b"GET /v1/health HTTP/1.1\r\nhost: x\r\n", b"x: y\r\n"),
                                      ("a body", b"POST /v1/redeem HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n", b" "),
                                      ("nothing", b"", b""), ("one byte", b"G", b"")):
                connection, begin = connect(), clock()
                connection.settimeout(0.1)
                ended = False
                if first:
                    connection.sendall(first)
                while clock() - begin < 6 and not ended:
                    try:
                        ended = connection.recv(4096) == b""
                    except TimeoutError:
                        with contextlib.suppress(OSError):
                            connection.sendall(drip)
                    except OSError:
                        ended = True
                connection.close()
                took = clock() - begin
                need(ended and took < 4, f"{role}: {what} was held for {took:.1f} s")
        plain = socket.create_connection(("127.0.0.1", lab.broker_port), HANGS_S)  # no TLS handshake at all
        plain.settimeout(HANGS_S)
        begin = clock()
        need(read_all(plain) == b"" and clock() - begin < 5, "a handshake that never comes is waited for")
        plain.close()


def too_many_connections():
    with bad_input(FAST) as lab:
        for role, connect in listeners(lab).items():
            held = []
            try:
                for _ in range(30):
                    with contextlib.suppress(OSError):
                        held.append(connect())
                time.sleep(0.2)
            finally:
                for connection in held:
                    connection.close()

            def answers():
                try:
                    return b'"alive"' in exchange_raw(connect(), request("GET", "/v1/health", extra="connection: close\r\n"))
                except OSError:
                    return False
            wait_until(f"{role} after too many connections", answers, 10)
        idle = [open_unix(lab.redeem_socket) for _ in range(7)]  # idle ones make room
        for connection in idle:
            connection.sendall(request("GET", "/v1/health"))
            need(b"alive" in connection.recv(4096), "an answer")
        need(all(lab.redeemer("GET", "/v1/health").status == 200 for _ in range(10)), "idle connections make no room")
        for connection in idle:
            connection.close()


def a_configuration_with_mistakes_does_not_start():
    with Lab() as lab:
        good = lab.config()
        path = f"{lab.folder}/bad.conf"

        def start(text):
            with open(path, "w") as out:
                out.write(text)
            done = subprocess.run([f"{lab.prefix}/sbin/vaultd", "--config", path], capture_output=True, text=True, timeout=HANGS_S)
            return done.returncode, done.stderr

        for where, why, advice in (("/nonexistent", "No such file or directory", "copy deploy/vaultd.conf there"),
                                   (lab.folder, "Is a directory", "give the path of a file")):
            done = subprocess.run([f"{lab.prefix}/sbin/vaultd", "--config", where], capture_output=True, text=True, timeout=HANGS_S)
            need(done.returncode == 1 and f"{where} can not be read: {why}; {advice}" in done.stderr, done)
        text = json.dumps(good, indent=2)
        line = text.split("\n").index('  "broker": {') + 2
        status, message = start(text.replace('"broker": {', '"broker": {\n    "werkers": 2,', 1))
        need(status == 1 and f"bad.conf, line {line}: broker.werkers: there is no such key" in message, f"{status}, line {line}: {message}")
        for change, word in (({"issuer": "http://x"}, "issuer: must be the https URL"), ({"log_level": "loud"}, "log_level: must be"),
                             ({"tokens": {"lifetime_s": 0}}, "tokens.lifetime_s"), ({"store": ["x"]}, "store: must be a text")):
            status, message = start(json.dumps({**good, **change}, indent=1))
            need(status == 1 and word in message and "bad.conf, line " in message, f"{change}: {status} {message}")
        for section, key in (("broker", "tls_certificate"), ("broker", "tls_key"), ("broker", "issuer_ca")):
            status, message = start(json.dumps({**good, section: {**good[section], key: "/nonexistent.pem"}}))
            need(status == 1 and f"{section}.{key}: /nonexistent.pem can not be read by " in message and "No such file" in message, message)
        other, other_key = lab.make_certificate("other", "localhost")
        nothing = lab.put_file("nothing.pem", "")
        for key, file, why in (("tls_key", other_key, "does not belong to the certificate"), ("tls_key", other, "holds no unencrypted private key in PEM"),
                               ("tls_certificate", nothing, "holds no certificate in PEM"), ("tls_certificate", other_key, "holds no certificate in PEM"),
                               ("issuer_ca", nothing, "holds no certificate in PEM"), ("issuer_ca", lab.folder, "can not be read by")):
            text = json.dumps({**good, "broker": {**good["broker"], key: file}})
            status, message = start(text)
            need(status == 1 and f"broker.{key}: {file} {why}" in message, f"{key} {file}: {message}")
            checked = subprocess.run([f"{lab.prefix}/sbin/vaultd", "--config", path, "--check"], capture_output=True, text=True, timeout=HANGS_S)
            need(checked.returncode == 1 and checked.stderr == message, f"--check: {checked} and not {message}")
        need(not os.path.exists(lab.store_folder), "a store was made by a configuration that was refused")
        os.mkdir(f"{lab.folder}/profiles")
        lab.put_file("profiles/odd.json", '{"name":"other"}')
        for profiles in ("/nonexistent", f"{lab.folder}/profiles"):
            status, message = start(json.dumps({**good, "profiles": profiles, "log_level": "notice"}))
            need(status == 1 and f"can not start: {profiles}" in message and "exited with status 1" in message, f"{profiles}: {status} {message}")
            need("was ended by signal" not in message, f"{profiles}: {message}")
        precious = lab.put_file("precious", "kept")
        for path_of_socket in (precious, lab.folder):
            status, message = start(json.dumps({**good, "admin": {"socket": path_of_socket}}))
            need(status == 1 and f"can not listen on {path_of_socket}: what is there is no socket" in message, message)
        before = os.stat(precious)
        for section, key in ((None, "store"), ("audit", "directory"), ("shipping", "positions")):
            change = {key: precious} if not section else {section: {key: precious, **({"file": f"{lab.folder}/shipped"} if section == "shipping" else {})}}
            name = f"{section}.{key}" if section else key
            status, message = start(json.dumps({**good, **change}))
            need(status == 1 and f"{name}: {precious} is a file and no folder: give the path of a folder" in message, f"{name}: {message}")
            checked = subprocess.run([f"{lab.prefix}/sbin/vaultd", "--config", path, "--check"], capture_output=True, text=True, timeout=HANGS_S)
            need(checked.returncode == 1 and checked.stderr == message, f"--check: {checked} and not {message}")
        after = os.stat(precious)
        need((before.st_uid, before.st_gid, before.st_mode) == (after.st_uid, after.st_gid, after.st_mode), "it changed its owner")
        with open(precious) as kept:
            need(kept.read() == "kept", "a file was taken for a stale socket")


if __name__ == "__main__":
    run_cases(parameters_of_the_token_request, authorization_details_that_are_malformed, subject_tokens_that_are_not_accepted, proofs_that_are_malformed,
              introspection_revocation_and_metadata, unknown_and_disabled_tenants_look_like_a_denial, members_of_the_redeem_request,
              strangers_may_not_redeem, bodies_of_the_admin_api, queries_and_names_of_the_admin_api, policies_with_mistakes, arguments_of_vaultctl,
              values_that_no_request_can_carry,
              framing_that_two_readers_could_see_differently, bodies_that_are_too_large, slow_requests_end, too_many_connections,
              a_configuration_with_mistakes_does_not_start)
