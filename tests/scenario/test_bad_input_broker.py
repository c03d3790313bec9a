#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input to the broker: requests for tokens, subject tokens and proofs that are not accepted. It gets the
right status and a message that names what is wrong, or tells nothing where it must not; nothing changes."""

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cryptography.hazmat.primitives import serialization  # noqa: E402
from jose import Signer, b64u, new_client_key, new_ec_key, new_rsa_key  # noqa: E402
from lab import Lab, need, run_cases, wait_until  # noqa: E402
from rawhttp import raw_tls, request  # noqa: E402
from refusals import FORM, JSON, bad_input, check, works  # noqa: E402

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"
# What the outside is told about every token that is not accepted.
DENIED = {"error": "invalid_request", "error_description": "The token presented is not accepted, or does not permit this."}


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
        for text, status in (("%zz=1", 400), ("=1", 400), ("a=%00", 400), ("a=%ff", 400), ("", 400),
                             ("&".join(f"a{i}=1" for i in range(65)), 400)):
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
            (one(paths=["/a/../b"]), "paths: not a normal path"), (one(paths=["/a*b"]), "paths: "),
            (one(models=["a*b"]), "models: not a pattern"),
            (one(models=[""]), "models: not a pattern"), (one(models=["x" * 300]), "models: not a pattern"),
            (one(tools={}), "tools is not a list"),
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
            "by another key": stranger.sign(good), "expired": lab.idp.sign(claims(exp=now - 120, iat=now - 700)),
            "no exp": lab.idp.sign(claims(exp=None)),
            "exp as text": lab.idp.sign(claims(exp=str(now + 600))), "exp negative": lab.idp.sign(claims(exp=-1)),
            "exp huge": lab.idp.sign(claims(exp=1e300)), "future iat": lab.idp.sign(claims(iat=now + 600)),
            "future nbf": lab.idp.sign(claims(nbf=now + 600)), "another audience": lab.idp.sign(claims(aud="somebody-else")),
            "audience in part": lab.idp.sign(claims(aud="vault")), "no audience": lab.idp.sign(claims(aud=None)),
            "audience as object": lab.idp.sign(claims(aud={"vaultd": 1})),
            "another issuer": lab.idp.sign(claims(iss="https://evil.example.test")),
            "issuer with a slash": lab.idp.sign(claims(iss=lab.issuer + "/")), "no issuer": lab.idp.sign(claims(iss=None)),
            "issuer as list": lab.idp.sign(claims(iss=[lab.issuer])), "no sub": lab.idp.sign(claims(sub=None)),
            "empty sub": lab.idp.sign(claims(sub="")),
            "sub as number": lab.idp.sign(claims(sub=1)), "sub too long": lab.idp.sign(claims(sub="x" * 2000)),
            "alg none": with_header(lab.idp, good, '{"alg":"none"}', lambda m: b""),
            "alg None": with_header(lab.idp, good, '{"alg":"None","kid":"rsa-1"}', lambda m: b""),
            "HS256 with the public key": with_header(lab.idp, good, '{"alg":"HS256","kid":"rsa-1"}', hs256),
            "lower case alg": header('{"alg":"rs256","kid":"rsa-1"}'), "no alg": header('{"kid":"rsa-1"}'),
            "alg as number": header('{"alg":256,"kid":"rsa-1"}'),
            "an algorithm not allowed": Signer(lab.idp.key, "PS256", "rsa-1").sign(good),
            "ES256 header": header('{"alg":"ES256","kid":"rsa-1"}'), "crit": header('{"alg":"RS256","kid":"rsa-1","crit":["exp"],"exp":1}'),
            "empty crit": header('{"alg":"RS256","kid":"rsa-1","crit":[]}'),
            "b64 false": header('{"alg":"RS256","kid":"rsa-1","crit":["b64"],"b64":false}'),
            "own jwk": with_header(stranger, good, '{"alg":"RS256","jwk":%s}' % jwk),
            "jku": with_header(stranger, good, '{"alg":"RS256","kid":"rsa-1","jku":"https://evil.example.test/keys"}'),
            "x5u": with_header(stranger, good, '{"alg":"RS256","kid":"rsa-1","x5u":"https://evil.example.test/cert"}'),
            "another kid": header('{"alg":"RS256","kid":"../../etc/passwd"}'),
            "alg twice": header('{"alg":"none","alg":"RS256","kid":"rsa-1"}'),
            "header no object": header('"x"'), "header not JSON": header("{"),
            "a deep header": header('{"alg":"RS256","kid":"rsa-1","x":%s}' % ("[" * 500 + "]" * 500)),
            "claim twice": with_header(lab.idp, json.dumps(good)[:-1] + ',"sub":"root"}', '{"alg":"RS256","kid":"rsa-1"}'),
            "claims no object": with_header(lab.idp, "[]", '{"alg":"RS256","kid":"rsa-1"}'),
            "claims not UTF-8": head + "." + b64u(b'{"sub":"\xff"}') + "." + signature,
            "NUL in sub": lab.idp.sign(claims(sub="alice\0root")), "no signature": head + "." + body + ".", "two parts": head + "." + body,
            "four parts": token + ".x", "padding": token + "=", "a space": token + " ",
            "a newline inside": head + ".\n" + body + "." + signature,
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
            "empty": "", "no JWT": "x", "typ JWT": proof({"alg": "ES256", "typ": "JWT", "jwk": jwk}),
            "no typ": proof({"alg": "ES256", "jwk": jwk}), "no jwk": proof({"alg": "ES256", "typ": "dpop+jwt"}),
            "jwk as text": proof({"alg": "ES256", "typ": "dpop+jwt", "jwk": json.dumps(jwk)}),
            "a private key": proof({"alg": "ES256", "typ": "dpop+jwt", "jwk": private}),
            "a symmetric key": proof({"alg": "HS256", "typ": "dpop+jwt", "jwk": {"kty": "oct", "k": b64u(b"k" * 32)}}),
            "alg none": proof({"alg": "none", "typ": "dpop+jwt", "jwk": jwk}),
            "another alg": proof({"alg": "RS256", "typ": "dpop+jwt", "jwk": jwk}),
            "another key in jwk": proof({"alg": "ES256", "typ": "dpop+jwt", "jwk": thief.public_jwk()}),
            "a point that is not on the curve": proof({"alg": "ES256", "typ": "dpop+jwt", "jwk": {**jwk, "y": jwk["x"]}}),
            "a short coordinate": proof({"alg": "ES256", "typ": "dpop+jwt", "jwk": {**jwk, "x": b64u(b"1" * 31)}}),
            "crit": proof({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk, "crit": ["x"], "x": 1}),
            "no jti": proof(drop=["jti"]), "no htm": proof(drop=["htm"]), "no htu": proof(drop=["htu"]), "no iat": proof(drop=["iat"]),
            "jti as number": proof(jti=1), "empty jti": proof(jti=""), "a long jti": proof(jti="x" * 5000),
            "htm in lower case": proof(htm="post"),
            "another method": proof(htm="GET"), "another host": proof(htu="https://evil.example.test/oauth2/token"),
            "another path": proof(htu=f"{lab.origin}/oauth2/revoke"), "http": proof(htu=where.replace("https", "http")),
            "another port": proof(htu="https://localhost:1/oauth2/token"), "a user in the URI": proof(htu=where.replace("://", "://a@")),
            "htu as list": proof(htu=[where]), "iat as text": proof(iat="now"),
            "an old iat": proof(iat=int(time.time()) - 3600, drop=["nonce"]),
            "signature cut": proof()[:-10], "four parts": proof() + ".x", "two proofs in one": proof() + ", " + proof(),
            "too long": proof(x="y" * 20000),
        }
        for what, text in cases.items():
            answer = ask_token(lab, form_of(lab), dpop=text)
            need(answer.status in (400, 431) and answer.json.get("error", "invalid_dpop_proof") in ("invalid_dpop_proof", "use_dpop_nonce"),
                 f"{what}: {answer}")
            need(what == "an old iat" or answer.status == 431 or answer.json["error"] == "invalid_dpop_proof", f"{what}: {answer}")
        for what, text in {"no nonce": proof(drop=["nonce"]), "another nonce": proof(nonce="AAAA"),
                           "nonce as number": proof(nonce=1)}.items():
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
        for what, value in (("nobody", None), ("Basic", "Basic YTpi"), ("no token", "Bearer"), ("two", "Bearer a b"),
                            ("a stranger", "Bearer x.y.z"), ("comma", "Bearer a, Bearer b")):
            answer = lab.broker("POST", "/oauth2/introspect", "token=x", {**FORM, **({"authorization": value} if value else {})})
            check(what, answer, 401, "invalid_token", "Send a token of a trusted identity provider")
            need(answer.headers["www-authenticate"] == ('Bearer error="invalid_token"' if value else "Bearer"), answer.headers)
        check("a body for metadata", lab.broker("GET", "/.well-known/oauth-authorization-server", b"x", FORM), 413)
        check("POST to metadata", lab.broker("POST", "/.well-known/oauth-authorization-server", b"", FORM), 405)
        for path in ("/t/nobody/.well-known/openid-configuration", "/t/NOBODY/oauth2/jwks", "/t//oauth2/jwks",
                     "/.well-known/oauth-authorization-server/t/..%2f"):
            need(lab.broker("GET", path).status in (400, 404), path)


def unknown_and_disabled_tenants_look_like_a_denial():
    with Lab() as lab:
        lab.serve()
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


if __name__ == "__main__":
    run_cases(parameters_of_the_token_request, authorization_details_that_are_malformed,
              subject_tokens_that_are_not_accepted, proofs_that_are_malformed, introspection_revocation_and_metadata,
              unknown_and_disabled_tenants_look_like_a_denial)
