#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""schemas/openapi.yaml against running servers: each path and method that it
describes answers as it says, and nothing is served that it does not describe."""

import json
import os
import re
import sys
import urllib.parse

import jsonschema
import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key, seal  # noqa: E402
from lab import TREE, Lab, UnixConnection, need, run_cases, wait_until  # noqa: E402

METHODS = ("get", "post", "put", "patch", "delete")
FORM = "application/x-www-form-urlencoded"


class Document:
    def __init__(self):
        with open(f"{TREE}/schemas/openapi.yaml") as text:
            self.root = yaml.safe_load(text)
        self.resolver = jsonschema.RefResolver("", self.root)
        self.operations = {(method.upper(), path): item[method] for path, item in self.root["paths"].items() for method in METHODS
                           if method in item}

    def resolve(self, part):
        return self.resolver.resolve(part["$ref"])[1] if "$ref" in part else part

    def faults(self, schema, value):
        return [f"{'/'.join(map(str, error.path))}: {error.message[:200]}"
                for error in jsonschema.Draft202012Validator(schema, resolver=self.resolver).iter_errors(value)]

    def check_answer(self, method, path, answer):
        what = f"{method} {path} answered {answer}"
        responses = self.operations[method, path]["responses"]
        documented = responses.get(str(answer.status), responses.get("default"))
        need(documented, f"{what}, which is not described")
        content = self.resolve(documented).get("content")
        if content is None:
            need(not answer.body, f"{what}: a body that is not described")
            return
        media = answer.headers.get("content-type", "").split(";")[0]
        need(media in content, f"{what}: the media type {media} is not described")
        body = answer.json if media.endswith("json") else answer.body.decode()
        need(not self.faults(content[media]["schema"], body), f"{what}: {self.faults(content[media]['schema'], body)}")

    def check_request(self, method, path, body):
        content = self.resolve(self.operations[method, path]["requestBody"])["content"]["application/json"]["schema"]
        need(not self.faults(content, body), f"{method} {path}: {self.faults(content, body)} but it was accepted")


def document_is_openapi_3_1():
    document = Document()
    need(re.fullmatch(r"3\.1\.\d", document.root["openapi"]) and document.root["info"]["version"], "head")
    names = [operation.get("operationId") for operation in document.operations.values()]
    need(len(set(names) - {None}) == len([name for name in names if name]), "an operationId is there twice")
    for (method, path), operation in document.operations.items():
        what = f"{method} {path}"
        need(operation["tags"] and set(operation["tags"]) <= {"broker", "redeemer", "admin"}, f"{what}: tags")
        need(operation.get("summary"), f"{what}: summary")
        item = document.root["paths"][path]
        parameters = [document.resolve(part)["name"] for part in item.get("parameters", []) + operation.get("parameters", [])]
        need(all(name in parameters for name in re.findall(r"\{(\w+)\}", path)), f"{what}: a parameter of the path is not described")
    for name, schema in document.root["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
    used = set(re.findall(r"#/components/([\w/]+)", json.dumps(document.root)))
    defined = {f"{kind}/{name}" for kind, parts in document.root["components"].items() if kind != "securitySchemes" for name in parts}
    need(used == defined, f"used and not there: {used - defined}; there and not used: {defined - used}")


def routes(role, path, prefix=""):
    with open(f"{TREE}/{path}") as text:
        source = text.read()
    for method, tenant, rest in re.findall(r"[({]HTTP_(\w+), (TENANT)?\s*(?:\"([^\"]*)\")?, *op_", source):
        yield role, method, ("/v1/tenants/{tenant}" if tenant else "") + rest


def document_has_every_route_and_no_other():
    served = {*routes("broker", "vaultd/broker/routes.c"), *routes("redeemer", "vaultd/redeemer/main.c"),
              *routes("admin", "vaultd/admin/routes.c")}
    described = {(role, method, path) for (method, path), operation in Document().operations.items() for role in operation["tags"]}
    need(len(served) > 50, f"the tables were not found: {served}")
    need(served == described, f"not described: {served - described}; not served: {described - served}")


class Caller:
    """Calls of one lab, each held against the document."""

    def __init__(self, lab):
        self.lab, self.document, self.called = lab, Document(), set()

    def __call__(self, role, method, path, status, body=None, headers=None, query="", certificate=None, **names):
        concrete = path.format(**names) + query
        more = {"certificate": certificate} if role == "broker" else {}
        text = urllib.parse.urlencode(body) if headers and headers.get("content-type") == FORM else body
        answer = getattr(self.lab, role)(method, concrete, text, headers, **more)
        need(answer.status == status, f"{role}: {method} {concrete} answered {answer} and not {status}")
        self.document.check_answer(method, path, answer)
        if status < 300 and isinstance(text, dict):
            self.document.check_request(method, path, text)
        self.called.add((role, method, path))
        return answer


def call_vault(call):
    for role in ("broker", "redeemer", "admin"):
        call(role, "GET", "/v1/health", 200)
        call(role, "GET", "/v1/ready", 503)
    call("admin", "GET", "/v1/status", 200)
    call("admin", "GET", "/v1/tenants", 503)
    init = {"reply_key": {"kty": "EC", "crv": "P-256", "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
                          "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}, "shares": 3, "threshold": 2}
    call("admin", "POST", "/v1/init", 201, init)
    call("admin", "POST", "/v1/init", 409, init)
    call("admin", "GET", "/v1/recovery-key", 409)
    need(not call("admin", "GET", "/v1/device/boot", 200).json["bound"], "an HSM knows nothing of the boot")
    call("admin", "POST", "/v1/device/attestations", 404, {"nonce": "good-nonce"})
    call("admin", "POST", "/v1/device/attestations", 400, {"nonce": "short"})
    approval = {"name": "next", "pcrs": {"4": "00" * 32}, "signature": "A" * 86}
    call("admin", "POST", "/v1/device/boot/approvals", 404, approval)
    call("admin", "POST", "/v1/device/boot/approvals", 400, {**approval, "pcrs": {"16": "00" * 32}})
    begun = call("admin", "POST", "/v1/backups", 201, {}).json
    call("admin", "POST", "/v1/backups", 409, {})
    while call("admin", "GET", "/v1/backups/{name}", 200, name=begun["backup"]).json["records"]:
        pass
    call("admin", "GET", "/v1/backups/{name}", 404, name=begun["backup"])
    call("admin", "GET", "/v1/devices", 200)
    call("admin", "POST", "/v1/devices", 404, {"name": "spare"})
    call("admin", "POST", "/v1/devices", 409, {"name": "main"})
    call("admin", "POST", "/v1/devices", 400, {"name": 1})
    call("admin", "DELETE", "/v1/devices/{name}", 409, name="main")
    call("admin", "DELETE", "/v1/devices/{name}", 404, name="spare")
    call("admin", "POST", "/v1/init", 400, {"force": True})
    for role in ("broker", "redeemer", "admin"):
        call(role, "GET", "/v1/ready", 200)
    call("admin", "POST", "/v1/seal", 200, {})
    call("admin", "GET", "/v1/status", 200)
    call("admin", "GET", "/v1/recovery-key", 200)
    call("admin", "POST", "/v1/recover", 200, {"accept_rollback": True})
    call("admin", "POST", "/v1/recover", 409, {"accept_rollback": True})
    call("admin", "POST", "/v1/seal", 200, {})
    call("admin", "POST", "/v1/unseal", 200, {})
    call("admin", "GET", "/v1/status", 200)


def call_records(call):
    lab, tenant = call.lab, "/v1/tenants/{tenant}"
    call("admin", "POST", "/v1/tenants", 201, {"name": "acme", "description": "a test"})
    call("admin", "POST", "/v1/tenants", 409, {"name": "acme"})
    call("admin", "POST", "/v1/tenants", 400, {"name": "ACME"})
    call("admin", "GET", "/v1/tenants", 200, query="?limit=1")
    call("admin", "GET", "/v1/tenants", 400, query="?limit=0")
    call("admin", "GET", tenant, 200, tenant="acme")
    call("admin", "GET", tenant, 404, tenant="nobody")
    call("admin", "PATCH", tenant, 200, {"description": "another"}, tenant="acme")
    call("admin", "PATCH", tenant, 412, {"disabled": True}, {"if-match": '"1"'}, tenant="acme")
    issuer = tenant + "/issuers/{name}"
    call("admin", "PUT", issuer, 201, lab.issuer_record(), tenant="default", name="corp")
    call("admin", "PUT", issuer, 200, lab.issuer_record(), tenant="default", name="corp")
    call("admin", "PUT", issuer, 200 + 1, lab.issuer_record(), tenant="acme", name="corp")
    call("admin", "PUT", issuer, 400, {**lab.issuer_record(), "kind": "robot"}, tenant="default", name="corp")
    call("admin", "GET", issuer, 200, tenant="default", name="corp")
    call("admin", "POST", issuer + "/check", 200, {}, tenant="default", name="corp")
    call("admin", "POST", issuer + "/check", 404, {}, tenant="default", name="nobody")
    call("admin", "GET", tenant + "/issuers", 200, tenant="default")
    call("admin", "DELETE", issuer, 200, tenant="acme", name="corp")
    call("admin", "DELETE", issuer, 404, tenant="acme", name="corp")
    policies = tenant + "/policies"
    call("admin", "GET", policies, 200, tenant="default")
    call("admin", "PUT", policies, 200, {"documents": [{"name": "main", "text": lab.POLICY}]}, tenant="default")
    call("admin", "PUT", policies, 400, {"documents": [{"name": "main", "text": "permit(principal, action, resource)"}]}, tenant="default")
    call("admin", "PUT", policies, 409, {"documents": [{"name": "main", "text": lab.POLICY}], "expected_version": 9}, tenant="default")
    call("admin", "GET", policies, 200, query="?text=1", tenant="default")
    forwarder = {"name": "nginx", "uid": os.getuid()}
    call("admin", "POST", "/v1/forwarders", 201, forwarder)
    call("admin", "POST", "/v1/forwarders", 409, forwarder)
    call("admin", "POST", "/v1/forwarders", 400, {"name": "both", "uid": 1, "certificate_sha256": "0" * 64})
    call("admin", "POST", "/v1/forwarders", 201, {"name": "remote", "certificate_sha256": "ab" * 32, "tenants": ["default"]})
    call("admin", "GET", "/v1/forwarders", 200)
    call("admin", "GET", "/v1/forwarders/{name}", 200, name="remote")
    call("admin", "DELETE", "/v1/forwarders/{name}", 200, name="remote")
    call("admin", "GET", "/v1/forwarders/{name}", 404, name="remote")


def call_credentials(call):
    tenant = "/v1/tenants/{tenant}"
    credential = tenant + "/credentials/{name}"
    intake = call("admin", "GET", "/v1/intake-key", 200).json
    new = {"profile": "openai", "description": "a key", "jwe": seal(intake, b"sk-1")}
    at = {"tenant": "default", "name": "openai-prod"}
    call("admin", "POST", credential, 201, new, **at)
    call("admin", "POST", credential, 409, {**new, "jwe": seal(intake, b"sk-1")}, **at)
    call("admin", "POST", credential, 400, {"profile": "openai"}, tenant="default", name="x")
    call("admin", "POST", credential, 400, {"profile": "openai", "jwe": "a.b.c.d.e"}, tenant="default", name="x")
    call("admin", "GET", credential, 200, **at)
    call("admin", "GET", credential, 404, tenant="default", name="x")
    call("admin", "GET", tenant + "/credentials", 200, tenant="default")
    call("admin", "POST", credential + "/rotate", 200, {"jwe": seal(intake, b"sk-2"), "grace_s": 60}, **at)
    call("admin", "GET", credential, 200, **at)
    call("admin", "POST", credential + "/rotate", 404, {"jwe": seal(intake, b"sk-2")}, tenant="default", name="x")
    call("admin", "POST", credential + "/disable", 200, {}, **at)
    call("admin", "GET", credential, 200, **at)
    call("admin", "POST", credential + "/enable", 200, {}, **at)
    call("admin", "POST", tenant + "/credentials/{name}", 201, {**new, "jwe": seal(intake, b"sk-3")}, tenant="default", name="gone")
    call("admin", "DELETE", credential, 200, tenant="default", name="gone")
    call("admin", "DELETE", credential, 404, tenant="default", name="gone")


def call_keys(call):
    tenant = "/v1/tenants/{tenant}"
    at = {"tenant": "default"}
    call("admin", "GET", "/v1/keys", 200)
    call("admin", "GET", tenant + "/keys", 200, **at)
    call("admin", "GET", tenant + "/keys", 404, tenant="nobody")
    call("admin", "GET", "/v1/rotate/{kind}", 200, kind="signing")
    call("admin", "GET", "/v1/rotate/{kind}", 404, kind="colour")
    call("admin", "POST", "/v1/rotate/{kind}", 200, {}, kind="intake")
    call("admin", "POST", "/v1/rotate/{kind}", 400, {"speed": 1}, kind="intake")
    call("admin", "GET", tenant + "/rotate", 200, **at)
    call("admin", "POST", tenant + "/rotate", 200, {"records_per_s": 1000}, **at)
    call("admin", "DELETE", "/v1/keys/{kind}/{key}", 404, kind="signing", key="none", number="1")
    call("admin", "DELETE", tenant + "/keys/{key}", 404, key="4000", **at)
    call("admin", "POST", tenant + "/credentials/{name}/rollback", 404, {}, name="x", **at)
    call_staging(call, tenant + "/credentials/{name}", {"name": "staged", **at})


def call_rotation(call, rotation, at):
    plan = {"recipe": "aws-iam", "parameters": {"user": "ci"}}
    call("admin", "GET", rotation, 404, **at)
    call("admin", "DELETE", rotation, 404, **at)
    call("admin", "POST", rotation, 404, {}, **at)
    call("admin", "PUT", rotation, 400, {"recipe": "nobody"}, **at)
    call("admin", "PUT", rotation, 400, {**plan, "manager": "boss"}, **at)
    call("admin", "PUT", rotation, 400, {**plan, "parameters": {}}, **at)
    call("admin", "PUT", rotation, 404, plan, tenant="default", name="nobody")
    call("admin", "PUT", rotation, 201, plan, **at)
    call("admin", "PUT", rotation, 200, {**plan, "days": 30}, **at)
    call("admin", "GET", rotation, 200, **at)
    call("admin", "GET", "/v1/tenants/{tenant}/rotations", 200, tenant="default")
    call("admin", "POST", rotation, 200, {}, **at)
    call("admin", "DELETE", rotation, 200, **at)


def call_staging(call, credential, at):
    intake = call("admin", "GET", "/v1/intake-key", 200).json
    value = {"jwe": seal(intake, b"sk-staged")}
    call("admin", "POST", credential, 201, {"profile": "openai", **value}, **at)
    call("admin", "POST", credential + "/abandon", 409, {}, **at)
    call("admin", "POST", credential + "/stage", 400, {"grace_s": 1, **value}, **at)
    call("admin", "POST", credential + "/stage", 200, value, **at)
    call("admin", "POST", credential + "/stage", 409, value, **at)
    call("admin", "POST", credential + "/promote", 409, {"grace_s": 60}, **at)
    call("admin", "POST", credential + "/verify", 400, {}, **at)
    call("admin", "POST", credential + "/verify", 200, {"tested": True}, **at)
    call("admin", "POST", credential + "/promote", 200, {"grace_s": 60}, **at)
    call("admin", "POST", credential + "/stage", 200, value, **at)
    call("admin", "POST", credential + "/abandon", 200, {}, **at)
    call_rotation(call, credential + "/rotation", at)


def exchange_form(lab, **more):
    return {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": lab.subject_token("ci-1", ["ci"]),
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "authorization_details": json.dumps([{"type": "credential_use", "credential": "openai-prod"}]), **more}


def call_broker(call):
    lab, form = call.lab, {"content-type": FORM}
    bearer = {"authorization": f"Bearer {lab.subject_token('ci-1', ['ci'])}"}
    question = {"subject": {"type": "user", "id": f"{lab.issuer}|ci-1"}, "action": {"name": "issue"},
                "resource": {"type": "credential", "id": "openai-prod"}}
    token = None
    for prefix, names, good in (("", {}, 200), ("/t/{tenant}", {"tenant": "default"}, 200), ("/t/{tenant}", {"tenant": "nobody"}, 0)):
        answer = call("broker", "POST", prefix + "/oauth2/token", good or 400, exchange_form(lab), form, **names)
        token = answer.json.get("access_token") or token
        call("broker", "POST", prefix + "/oauth2/token", 400, {"grant_type": "password"}, form, **names)
        call("broker", "POST", prefix + "/oauth2/token", 400, exchange_form(lab), {**form, "dpop": "x"}, **names)
        call("broker", "POST", prefix + "/oauth2/introspect", good or 401, {"token": token}, {**form, **bearer}, **names)
        call("broker", "POST", prefix + "/oauth2/introspect", good or 401, {"token": "x"}, {**form, **bearer}, **names)
        call("broker", "POST", prefix + "/oauth2/introspect", 401, {"token": token}, form, **names)
        call("broker", "POST", prefix + "/oauth2/revoke", 200, {"token": "x"}, form, **names)
        call("broker", "POST", prefix + "/access/v1/evaluation", good or 401, question, bearer, **names)
        call("broker", "POST", prefix + "/access/v1/evaluation", 401, question, **names)
        call("broker", "POST", prefix + "/access/v1/evaluations", good or 401, {**question, "evaluations": [{}, {"action": {"name": "redeem"}}]},
             bearer, **names)
        call("broker", "POST", prefix + "/access/v1/evaluations", good or 401, question, bearer, **names)
        for path in ("/.well-known/oauth-authorization-server" + prefix, prefix + "/.well-known/openid-configuration",
                     "/.well-known/authzen-configuration" + prefix, prefix + "/oauth2/jwks"):
            call("broker", "GET", path, good or 404, **names)
    call("broker", "POST", "/access/v1/evaluation", 400, {**question, "colour": 1}, bearer)
    call("broker", "POST", "/oauth2/revoke", 400, {"x": "y"}, form)
    return token


def call_redeemer(call, token):
    lab, key = call.lab, new_client_key()
    body = {"token": token, "scheme": "bearer", "destination": "api.openai.com", "method": "POST", "path": "/v1/chat/completions",
            "model": "gpt-4o", "source": "127.0.0.1", "request_id": "r-1"}
    redeemed = call("redeemer", "POST", "/v1/redeem", 200, body)
    question = {"grants": [{"grant": redeemed.json["grant"], "request_id": "r-1"}, {"grant": "x"}]}
    ended = call("redeemer", "POST", "/v1/standing", 200, question).json
    need([item["index"] for item in ended["ended"]] == [1] and ended["standing"] == redeemed.json["standing"], ended)
    call("redeemer", "POST", "/v1/standing", 400, {**question, "colour": "red"})
    call("redeemer", "POST", "/v1/standing", 400, {"grants": question["grants"] * 65})
    call("redeemer", "POST", "/v1/redeem", 403, {**body, "destination": "api.anthropic.com"})
    call("redeemer", "POST", "/v1/redeem", 401, {**body, "token": "x"})
    call("redeemer", "POST", "/v1/redeem", 401, {**body, "scheme": "dpop", "proof": "x"})
    call("redeemer", "POST", "/v1/redeem", 400, {**body, "colour": "red"})
    bound = lab.token(key=key)
    uri = "https://llm.example.test/v1/chat/completions"
    call("redeemer", "POST", "/v1/redeem", 200, {**body, "token": bound, "scheme": "dpop", "uri": uri,
                                                 "proof": key.dpop("POST", uri, access_token=bound)})


def read_watch(call):
    """The stream never ends by itself: its beginning is read."""
    connection = UnixConnection(call.lab.redeem_socket)
    try:
        connection.request("GET", "/v1/watch")
        response = connection.getresponse()
        need(response.status == 200, response.status)
        responses = call.document.operations["GET", "/v1/watch"]["responses"]
        media = response.getheader("content-type")
        text = response.readline() + response.readline()
        need(not call.document.faults(responses["200"]["content"][media]["schema"], text.decode()), text)
        call.called.add(("redeemer", "GET", "/v1/watch"))
    finally:
        connection.close()


def every_described_call_answers_as_described():
    with Lab() as lab:
        lab.start()
        call = Caller(lab)
        call_vault(call)
        call_records(call)
        call_credentials(call)
        token = call_broker(call)
        call_keys(call)
        call_redeemer(call, token)
        read_watch(call)
        call("admin", "POST", "/v1/tenants/{tenant}/revoke", 200, {"kind": "principal", "value": f"{lab.issuer}|alice"}, tenant="default")
        call("admin", "POST", "/v1/tenants/{tenant}/revoke", 400, {"kind": "colour", "value": "red"}, tenant="default")
        audit = call("admin", "GET", "/v1/audit", 200, query="?count=1000").json
        call("admin", "GET", "/v1/audit", 200, query=f"?first={audit['next']}&tenant=default")
        call("admin", "GET", "/v1/audit", 400, query="?count=1001")
        call("admin", "POST", "/v1/audit/prune", 400, {"entries": 255})
        call("admin", "POST", "/v1/audit/prune", 409, {"entries": 256})
        call("admin", "POST", "/v1/audit/prune", 409, {"entries": 1 << 20, "archived": True})
        wait_until("a checkpoint", lambda: lab.admin("GET", "/v1/audit/1/proof").status == 200, 15)
        call("admin", "GET", "/v1/audit/{number}/proof", 200, number="1")
        for number in ("0", "one", "999999999"):
            call("admin", "GET", "/v1/audit/{number}/proof", 404, number=number)
        with open(f"{TREE}/schemas/audit-entry.schema.json") as text:
            entry_schema = json.load(text)
        need(all(not call.document.faults(entry_schema, entry) for entry in audit["entries"]), "an audit entry")
        all_calls = {(role, method, path) for (method, path), operation in call.document.operations.items() for role in operation["tags"]}
        need(call.called == all_calls, f"not called: {sorted(all_calls - call.called)}")


def refusals_of_the_codec_are_described_too():
    """Whatever is sent, the answer is one that the document allows."""
    with Lab() as lab:
        lab.start()
        lab.init_with_issuer()
        document = Document()
        for (method, path), operation in document.operations.items():
            concrete = path.format(tenant="default", name="openai-prod", kind="signing", key="none", number="1")
            for role in operation["tags"]:
                for body, headers in ((b"{", {"content-type": "application/json"}), (b"[]", {"content-type": "application/json"}),
                                      (b"x" * 200, {"content-type": "text/plain"}), (b"y" * 70000, {"content-type": FORM})):
                    if path == "/v1/watch" or (path == "/v1/init"):
                        continue
                    try:
                        answer = getattr(lab, role)(method, concrete, body, headers)
                    except (BrokenPipeError, ConnectionResetError):
                        continue  # refused while we still sent
                    need(400 <= answer.status < 500, f"{role}: {method} {path}: {answer}")
                    document.check_answer(method, path, answer)


if __name__ == "__main__":
    run_cases(document_is_openapi_3_1, document_has_every_route_and_no_other, every_described_call_answers_as_described,
              refusals_of_the_codec_are_described_too)
