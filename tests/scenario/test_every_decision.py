#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is refused before anybody decides is in the audit log, too: what is malformed, and what comes while nobody can decide."""
import json
import os
import re
import signal
import sys

import jsonschema

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/lib")
from lab import Lab, TREE, need, new_client_key, run_cases, stands_for, wait_until  # noqa: E402

SECRET = "never-in-the-log"
JSON = {"content-type": "application/json"}


def entry_of(lab, answer):
    number = int(answer.headers["vault-audit-entry"])
    return next(entry for entry in lab.audit() if entry["sequence"] == number)


def all_valid(lab):
    with open(f"{TREE}/schemas/audit-entry.schema.json") as text:
        schema = json.load(text)
    for entry in lab.audit():
        jsonschema.validate(entry, schema)
    need(SECRET not in json.dumps(lab.audit()), "the log holds what a body held")


def malformed_redeems_are_recorded_and_counted():
    good = {"token": f"ey.{SECRET}", "scheme": "bearer", "destination": "api.openai.com", "method": "POST", "path": "/v1/x"}
    rules = (
        ("not JSON", {"content-type": "text/plain"}, json.dumps(good)),
        ("a member is missing", JSON, json.dumps({"token": SECRET})),
        ("an unknown member", JSON, json.dumps({**good, SECRET: "x"})),
        ("a member has the wrong type", JSON, json.dumps({**good, "model": [SECRET]})),
        ("a member is empty or too long", JSON, json.dumps({**good, "token": SECRET * 1000})),
        ("an unknown scheme", JSON, json.dumps({**good, "scheme": SECRET[:8]})),
        ("not a method", JSON, json.dumps({**good, "method": "post"})),
        ("the path is not normal", JSON, json.dumps({**good, "path": f"/../{SECRET}"})),
        ("not a request id", JSON, json.dumps({**good, "request_id": "a b"})),
    )
    with Lab("softhsm") as lab:
        lab.serve()
        for rule, headers, body in rules:
            answer = lab.redeemer("POST", "/v1/redeem", body, headers)
            need(answer.status == 400 and answer.json["error"]["code"] == "invalid_request", (rule, answer))
            entry = entry_of(lab, answer)
            wanted = {"kind": "redeem", "outcome": "deny", "operation": "token.redeem", "forwarder": "nginx",
                      "reason": f"malformed request: {rule}", "source": f"unix uid {os.getuid()}"}
            need(wanted.items() <= entry.items(), (rule, entry))
        answer = lab.redeemer("POST", "/v1/redeem", json.dumps({**good, "token": "x" * 40000}), JSON)
        too_large = "malformed request: the body is too large"
        entry = entry_of(lab, answer)
        need(answer.status == 413 and entry["reason"] == too_large and entry["forwarder"] == "nginx", (answer, entry))
        # Its other questions, too.
        unknown = {"grants": [{"grant": "not-one", "request_id": "cut-1"}]}
        need(lab.redeemer("POST", "/v1/standing", unknown).status == 200, "standing")
        wait_until("what was cut", lambda: [e.get("reason") for e in lab.audit() if e["operation"] == "request.end"] == ["the grant is not known"])
        answer = lab.redeemer("POST", "/v1/standing", {"grants": "x" * 70000})
        need(answer.status == 413 and entry_of(lab, answer)["operation"] == "forwarder.standing", answer)
        answer = lab.redeemer("POST", "/v1/standing", {"grants": SECRET})
        wanted = {"operation": "forwarder.standing", "outcome": "deny", "reason": "malformed request: not a list of grants"}
        need(answer.status == 400 and wanted.items() <= entry_of(lab, answer).items(), answer)
        lab.vaultctl("forwarder", "remove", "nginx")
        stranger = "no forwarder is enrolled with this uid or certificate"
        for operation, answer in (("forwarder.standing", lab.redeemer("POST", "/v1/standing", unknown)),
                                  ("forwarder.watch", lab.redeemer("GET", "/v1/watch")), ("token.redeem", lab.redeemer("POST", "/v1/redeem", good))):
            wanted = {"operation": operation, "outcome": "deny", "reason": stranger, "source": f"unix uid {os.getuid()}"}
            need(answer.status == 403 and wanted.items() <= entry_of(lab, answer).items(), (operation, answer))
        lab.enrol()
        # One source can not fill the disk with them.
        for _ in range(300):
            need(lab.redeemer("POST", "/v1/redeem", "{", JSON).status == 400, "a brace")
        told = {f"malformed request: {rule}" for rule, _, _ in rules} | {too_large}
        broken = lambda: [e for e in lab.audit() if e["operation"] == "token.redeem" and e.get("reason", "").startswith("malformed request: ") and  # noqa: E731
                          e["reason"] not in told]
        wait_until("all of them", lambda: stands_for(broken()) == 300)
        need(len(broken()) < 60, f"{len(broken())} entries for 300 of the same")
        all_valid(lab)


def what_nobody_can_decide_is_recorded():
    with Lab("softhsm") as lab:
        lab.start()  # and who is enrolled nobody knows before there is a store
        for operation, answer in (("forwarder.watch", lab.redeemer("GET", "/v1/watch")), ("token.redeem", lab.redeemer("POST", "/v1/redeem", {}))):
            entry = entry_of(lab, answer)
            need(answer.status == 503 and entry["outcome"] == "error" and entry["operation"] == operation, (answer, entry))
    with Lab("softhsm") as lab:
        lab.serve()
        key = new_client_key()
        bound, bearer = lab.token(lab.subject_token(), key=key), lab.token(lab.subject_token(groups=("ml", "ci")))
        lab.vaultctl("seal")
        why = "the vault is sealed or not ready"
        answer = lab.redeem(bound, key, request_id="while-sealed", source="192.0.2.7")
        need(answer.status == 503, answer)
        entry = entry_of(lab, answer)
        wanted = {"kind": "redeem", "outcome": "error", "operation": "token.redeem", "tenant": "default", "principal": f"{lab.issuer}|alice",
                  "credential": "openai-prod", "host": "api.openai.com", "method": "POST", "path": "/v1/chat/completions",
                  "model": "gpt-4o-mini", "forwarder": "nginx", "source": "192.0.2.7", "correlation": "while-sealed", "reason": why}
        need(wanted.items() <= entry.items() and {"client", "token_id", "policy_set", "policies"} <= set(entry), entry)
        for _ in range(200):
            need(lab.redeem(bearer).status == 503, "sealed")
        tried = lambda: [e for e in lab.audit() if e["kind"] == "redeem" and e["outcome"] == "error" and e["source"] == "127.0.0.1"]  # noqa: E731
        wait_until("all of them", lambda: stands_for(tried()) == 200)
        need(len(tried()) < 60 and any(e.get("repeats", 0) > 1 for e in tried()), f"{len(tried())} entries for 200 of the same")
        lab.vaultctl("unseal")
        need(lab.redeem(bearer).status == 200, "unsealed")
        # Nor does anybody while the keeper is away.
        missed = []

        def miss_the_keeper():
            wait_until("a keeper", lambda: lab.redeem(bearer).status == 200)
            os.kill(lab.pids()["keeper"], signal.SIGKILL)
            name = f"keeper-away-{len(missed)}"
            missed.append(name)
            return lab.redeem(bearer, request_id=name).status == 503
        wait_until("a redeem without a keeper", miss_the_keeper, 60)
        found = [(e["outcome"], e.get("reason")) for e in lab.audit() if e.get("correlation") == missed[-1]]
        need(found and found[-1][0] == "error" and found[-1][1] in (why, "that process is not running", "that process ended before it answered: it may have been done"), found)
        all_valid(lab)


def requests_at_the_broker_bear_an_id():
    form = {"content-type": "application/x-www-form-urlencoded"}
    with Lab("softhsm") as lab:
        lab.serve()
        bearer = lab.token(lab.subject_token(groups=("ml", "ci")))
        caller = {"authorization": f"Bearer {lab.subject_token(groups=('ml', 'ci'))}"}
        question = {"subject": {"type": "user", "id": "alice"}, "action": {"name": "redeem"},
                    "resource": {"type": "credential", "id": "openai-prod"}, "context": {"method": "POST", "path": "/v1/chat/completions"}}
        asks = (
            ("token.introspect", "allow", "/oauth2/introspect", f"token={bearer}", {**form, **caller}),
            ("token.introspect", "deny", "/oauth2/introspect", f"token={SECRET}", {**form, **caller}),
            ("token.introspect", "deny", "/oauth2/introspect", f"token={SECRET}", form),
            ("token.introspect", "deny", "/oauth2/introspect", f"{SECRET}=1", {**form, **caller}),
            ("policy.evaluate", "allow", "/access/v1/evaluation", json.dumps(question), {**JSON, **caller}),
            ("policy.evaluate", "deny", "/access/v1/evaluation", json.dumps({**question, SECRET: 1}), {**JSON, **caller}),
            ("token.revoke", "allow", "/oauth2/revoke", f"token={bearer}", form),
            ("token.revoke", "deny", "/oauth2/revoke", f"token={SECRET}", form),
            ("token.revoke", "deny", "/oauth2/revoke", f"{SECRET}=1", form),
            ("token.revoke", "deny", "/t/nobody/oauth2/revoke", f"token={SECRET}", form),
            ("token.issue", "deny", "/oauth2/token", f"{SECRET}=1&{SECRET}=2", form),
        )
        for number, (operation, outcome, path, body, headers) in enumerate(asks):
            name = f"mine-{number}"
            answer = lab.broker("POST", path, body, {**headers, "x-request-id": name})
            need(answer.headers["x-request-id"] == name, (path, answer))
            found = [e for e in lab.audit() if e.get("correlation") == name]
            need([(e["operation"], e["outcome"]) for e in found] == [(operation, outcome)], (path, body, answer, found))
            need({"tenant", "source"} <= set(found[0]) and (outcome == "allow" or found[0]["reason"]), found)
            made = lab.broker("POST", path, body, headers).headers["x-request-id"]
            need(len(made) == 22 and (outcome == "deny" or path == "/oauth2/revoke" or made in {e.get("correlation") for e in lab.audit()}), made)
        answer = lab.broker("POST", "/oauth2/introspect", f"token={'x' * 70000}", {**form, "x-request-id": "large"})
        need(answer.status == 413 and entry_of(lab, answer)["correlation"] == "large", answer)

        def show():
            return lab.vaultctl("audit", "show", "mine-6", "--log", lab.audit_folder, "--no-index", check=False)
        wait_until("a checkpoint of it", lambda: show().returncode == 0)
        need("revoke" in show().stdout and "alice" in show().stdout, show().stdout)
        found = lab.vaultctl("--json", "audit", "search", "--log", lab.audit_folder, "--no-index", "--correlation", "mine-0").stdout
        need(json.loads(found)["operation"] == "token.introspect", found)
        # And while the vault is sealed.
        lab.vaultctl("seal")
        for operation, path, body in (("token.revoke", "/oauth2/revoke", f"token={bearer}"), ("token.introspect", "/oauth2/introspect", f"token={bearer}")):
            name = f"sealed-{operation}"
            lab.broker("POST", path, body, {**form, **caller, "x-request-id": name})
            need([e["operation"] for e in lab.audit() if e.get("correlation") == name] == [operation], name)
        answer = lab.exchange(lab.subject_token(groups=("ml", "ci")))
        found = [e for e in lab.audit() if e.get("correlation") == answer.headers["x-request-id"]]
        wanted = {"operation": "token.issue", "outcome": "error", "principal": f"{lab.issuer}|alice", "credential": "openai-prod",
                  "reason": "the vault is sealed or not ready"}
        need(answer.status == 503 and wanted.items() <= found[0].items() and {"groups", "policies", "policy_set"} <= set(found[0]), (answer, found))
        all_valid(lab)


TENANT = "/v1/tenants/default"
# method, path, body, headers, status, operation, what its entry says
CHANGES = (
    ("POST", "/v1/tenants", {"name": "default"}, {}, 409, "tenant.create", {}),
    ("POST", "/v1/tenants", {"name": "Not A Name"}, {}, 400, "tenant.create", {"reason": "malformed request: name"}),
    ("PATCH", "/v1/tenants/nobody", {"disabled": True}, {}, 404, "tenant.change", {"tenant": "nobody"}),
    ("PATCH", TENANT, {"disabled": True}, {"if-match": '"999"'}, 412, "tenant.change", {"tenant": "default"}),
    ("PATCH", TENANT, "x", {"content-type": "text/plain"}, 415, "tenant.change", {"reason": "malformed request: Content-Type"}),
    ("PUT", f"{TENANT}/issuers/corp", {"issuer": SECRET}, {}, 400, "issuer.put", {"subject": "corp"}),
    ("DELETE", f"{TENANT}/issuers/nobody", None, {}, 404, "issuer.remove", {"subject": "nobody"}),
    ("PUT", f"{TENANT}/policies", {"documents": [{"name": "main", "text": f"permit({SECRET}"}]}, {}, 400, "policy.activate", {}),
    ("PUT", f"{TENANT}/policies", {"documents": [{"name": "main", "text": "permit(principal, action, resource);"}], "expected_version": 99}, {},
     409, "policy.activate", {"tenant": "default"}),
    ("POST", f"{TENANT}/credentials/openai-prod", {"profile": "openai", "jwe": "x"}, {}, 409, "credential.put", {"credential": "openai-prod"}),
    ("POST", f"{TENANT}/credentials/fresh", {SECRET: 1}, {}, 400, "credential.put", {"credential": "fresh", "reason": "malformed request"}),
    ("POST", f"{TENANT}/credentials/fresh", {"profile": SECRET, "jwe": SECRET}, {}, 400, "credential.put", {"credential": "fresh"}),
    ("POST", f"{TENANT}/credentials/fresh", {"jwe": "x" * 70000}, {}, 413, "credential.put", {"credential": "fresh"}),
    ("POST", f"{TENANT}/credentials/absent/rotate", {"jwe": "x"}, {}, 404, "credential.rotate", {"credential": "absent"}),
    ("POST", f"{TENANT}/credentials/openai-prod/rotate", {"jwe": "x"}, {"if-match": '"1"'}, 412, "credential.rotate", {"credential": "openai-prod"}),
    ("POST", f"{TENANT}/credentials/openai-prod/enable", {}, {"if-match": '"1"'}, 412, "credential.enable", {"credential": "openai-prod"}),
    ("POST", f"{TENANT}/credentials/openai-prod/rollback", {}, {}, 409, "credential.rollback", {"credential": "openai-prod"}),
    ("POST", f"{TENANT}/credentials/openai-prod/promote", {}, {}, 409, "credential.promote", {"credential": "openai-prod"}),
    ("DELETE", f"{TENANT}/credentials/absent", None, {}, 404, "credential.delete", {"credential": "absent"}),
    ("PUT", f"{TENANT}/credentials/openai-prod/rotation", {"recipe": "nothing"}, {}, 400, "credential.automate", {"credential": "openai-prod"}),
    ("POST", f"{TENANT}/credentials/openai-prod/rotation", {}, {}, 404, "rotate.credential", {"credential": "openai-prod"}),
    ("POST", "/v1/forwarders", {"name": "nginx", "uid": 4711}, {}, 409, "forwarder.enrol", {}),
    ("POST", "/v1/forwarders", {"name": "other", "uid": os.getuid()}, {}, 409, "forwarder.enrol", {}),
    ("DELETE", "/v1/forwarders/absent", None, {}, 404, "forwarder.remove", {"subject": "absent"}),
    ("POST", f"{TENANT}/revoke", {"kind": "credential", "value": "absent"}, {}, 404, "token.revoke", {"tenant": "default"}),
    ("POST", f"{TENANT}/revoke", {"kind": "token", "value": f"ey.{SECRET}"}, {}, 400, "token.revoke", {"reason": "malformed request: value"}),
    ("POST", f"{TENANT}/rotate", {"records_per_s": -1}, {}, 400, "rotate.tenant", {"tenant": "default"}),
    ("POST", "/v1/rotate/nothing", {}, {}, 404, "rotate.key", {"subject": "nothing"}),
    ("DELETE", "/v1/keys/signing/absent", None, {}, 404, "key.destroy", {}),
    ("DELETE", f"{TENANT}/keys/1", None, {}, 409, "key.destroy", {}),
    ("POST", "/v1/devices", {"name": "absent"}, {}, None, "device.add", {}),
    ("DELETE", "/v1/devices/absent", None, {}, None, "device.remove", {"subject": "absent"}),
    ("POST", "/v1/device/boot/approvals", {"name": "x"}, {}, None, "device.authorize_boot", {}),
    ("POST", "/v1/device/attestations", {"nonce": "x"}, {}, None, "device.attest", {}),
    ("POST", "/v1/init", {}, {}, 400, "vault.init", {}),
    ("POST", "/v1/recover", {}, {}, None, "vault.recover", {}),
    ("POST", "/v1/seal", {SECRET: 1}, {}, 400, "vault.seal", {}),
    ("POST", "/v1/backups", {SECRET: 1}, {}, 400, "vault.backup", {}),
    ("POST", "/v1/audit/prune", {"entries": 7}, {}, 400, "audit.prune", {"reason": "malformed request: entries"}),
    ("POST", "/v1/audit/prune", {"entries": 1 << 20}, {}, 409, "audit.prune", {}),
)
READS = ("/v1/tenants/nobody", f"{TENANT}/credentials/absent", "/v1/forwarders/absent", "/v1/backups/77", "/v1/audit/99999/proof", "/v1/nowhere")


def changes_that_are_refused_leave_an_entry():
    with Lab("softhsm") as lab:
        lab.serve()
        me = {"administrator", "source"}

        def refuse(method, path, body, headers, status, operation, says):
            before = len(lab.audit())
            answer = lab.admin(method, path, body, headers)
            need(answer.status == status or (status is None and answer.status >= 400), (method, path, answer))
            wait_until(f"an entry of {method} {path}", lambda: len(lab.audit()) > before)
            added = lab.audit()[before:]
            need([e["operation"] for e in added] == [operation], (method, path, answer, added))
            need(added[0]["outcome"] == ("error" if answer.status >= 500 else "deny") and me | {"reason"} <= set(added[0]), (answer, added))
            need(says.items() <= added[0].items(), (says, added, answer))
        for change in CHANGES:
            refuse(*change)
        before = len(lab.audit())
        for path in READS:
            need(lab.admin("GET", path).status >= 400, path)
        need(lab.admin("POST", f"{TENANT}/issuers/absent/check", {}).status == 404, "a check changes nothing")
        need(len(lab.audit()) == before, lab.audit()[before:])
        lab.vaultctl("seal")
        sealed = "the vault is sealed: run `vaultctl unseal` (sealed by an administrator)"
        for method, path, operation in (("POST", f"{TENANT}/rotate", "rotate.tenant"), ("POST", "/v1/backups", "vault.backup"),
                                        ("POST", f"{TENANT}/credentials/openai-prod/disable", "credential.disable"),
                                        ("DELETE", "/v1/forwarders/nginx", "forwarder.remove"), ("POST", "/v1/rotate/signing", "rotate.signing")):
            refuse(method, path, None if method == "DELETE" else {}, {}, 503, operation, {"reason": sealed})
        lab.vaultctl("unseal")
        # Nothing that can not be recorded is answered as if it was.
        os.kill(lab.pids()["auditor"], signal.SIGSTOP)
        try:
            answer = lab.admin("DELETE", f"{TENANT}/credentials/absent", seconds=30)
            need(answer.status == 503 and "recorded" in answer.json["detail"], answer)
        finally:
            os.kill(lab.pids()["auditor"], signal.SIGCONT)
        all_valid(lab)


def rotations_and_backups_name_what_they_are_about():
    with Lab("softhsm") as lab:
        lab.serve()

        def last(operation):
            return [e for e in lab.audit() if e["operation"] == operation][-1]

        def says(operation, pattern):
            wait_until(operation, lambda: operation in {e["operation"] for e in lab.audit()}, 30)
            found = re.fullmatch(pattern, last(operation).get("subject", ""))
            need(found, last(operation))
            return found.groups()
        lab.vaultctl("rotate", "tenant")
        old, revision, new, device = says("rotate.tenant", r"tenant 1: data key (\d+) \(revision (\d+)\) to (\d+), device (\S+)")
        need(int(new) == int(old) + 1 and int(revision) > 0, last("rotate.tenant"))
        need(says("rotate.tenant.destroy", r"tenant 1: data key (\d+) \(revision \d+\)") == (old,), last("rotate.tenant.destroy"))
        lab.vaultctl("rotate", "system")
        need(says("rotate.system", r"system: data key (\d+) \(revision \d+\) to 2, device (\S+)") == ("1", device), last("rotate.system"))
        says("rotate.system.encrypt", r"system: data key 1 \(revision \d+\), \d+ records to 2")
        says("rotate.system.destroy", r"system: data key 1 \(revision \d+\)")
        lab.vaultctl("rotate", "wrapping")
        key = r"([0-9a-f]{32})"
        before, after = says("rotate.wrapping", rf"device {device}: key {key} \(generation 1, revision \d+\) to {key} \(generation 2\)")
        need(before != after, last("rotate.wrapping"))
        need(says("rotate.wrapping.destroy", key) == (before,), last("rotate.wrapping.destroy"))
        lab.vaultctl("rotate", "signing", "--emergency")
        need(says("rotate.signing", r"emergency: (\S+)")[0] in lab.vaultctl("key", "list").stdout, last("rotate.signing"))
        made = lab.admin("POST", "/v1/backups", {})
        need(made.status == 201, made)
        wanted = f"backup {made.json['backup']}: store revision {made.json['revision']}, {made.json['records']} records"
        need(last("vault.backup")["subject"] == wanted and {"administrator", "source"} <= set(last("vault.backup")), last("vault.backup"))
        need(lab.admin("POST", "/v1/backups", {}).status == 409 and last("vault.backup")["outcome"] == "deny", last("vault.backup"))
        all_valid(lab)


if __name__ == "__main__":
    run_cases(rotations_and_backups_name_what_they_are_about, changes_that_are_refused_leave_an_entry, requests_at_the_broker_bear_an_id, malformed_redeems_are_recorded_and_counted, what_nobody_can_decide_is_recorded)
