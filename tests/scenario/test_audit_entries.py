#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the entries of the audit log say: every event and all of it, no secret, no names of persons where they
have pseudonyms; and what they tell about who uses what."""

import json
import os
import signal
import subprocess
import sys
import time

import jsonschema

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from auditlog import published  # noqa: E402
from jose import Signer, new_client_key, new_rsa_key  # noqa: E402
from lab import HANGS_S, TREE, Lab, need, run_cases, wait_until  # noqa: E402
from load import serve  # noqa: E402

# What each entry must say at least, by operation and outcome.
WHO = {"principal", "client", "source", "correlation", "tenant"}
REQUEST = WHO | {"forwarder", "host", "method", "path", "model"}
ADMIN = {"administrator", "source"}
MUST_SAY = {
    ("vault.init", "allow"): ADMIN, ("vault.start", "allow"): {"subject"}, ("vault.stop", "allow"): {"subject"},
    ("vault.reload", "allow"): set(), ("vault.seal", "allow"): ADMIN, ("vault.unseal", "allow"): set(),
    ("role.restart", "error"): {"subject"},
    ("issuer.put", "allow"): ADMIN | {"tenant", "subject"}, ("policy.activate", "allow"): ADMIN | {"tenant", "subject", "policy_set"},
    ("credential.put", "allow"): ADMIN | {"tenant", "credential", "credential_version"}, ("forwarder.enrol", "allow"): ADMIN | {"subject"},
    ("token.issue", "allow"): WHO | {"credential", "groups", "policies", "policy_set", "token_id"},
    ("token.issue", "deny"): {"source", "correlation", "tenant", "reason"},
    ("token.redeem", "allow"): REQUEST | {"credential", "credential_version", "policies", "policy_set", "token_id"},
    ("token.redeem", "deny"): {"source", "reason"},
    ("token.revoke", "allow"): WHO | {"token_id"}, ("rotate.signing", "allow"): ADMIN | {"subject"},
    ("rotate.signing.promote", "allow"): {"subject"},
    ("rotate.tenant", "allow"): ADMIN | {"tenant"}, ("rotate.tenant.destroy", "allow"): {"subject", "tenant"},
    ("token.introspect", "allow"): {"tenant", "source", "principal", "token_id", "correlation"},
}


def every_event_is_in_the_log_and_whole():
    with Lab("softhsm", config={"rotation": {"publication_s": 1}}) as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        need(lab.redeem("ey.a.b").status == 403, "a stranger")  # who must be named
        need([entry.get("source") for entry in lab.audit() if entry["kind"] == "redeem"] == [f"unix uid {os.getuid()}"], lab.audit())
        lab.enrol()
        lab.token(lab.subject_token(groups=("ml", "ci")))
        key, form = new_client_key(), {"content-type": "application/x-www-form-urlencoded"}
        secrets = ["sk-real-secret-0001"]
        subject = lab.subject_token()
        token, bearer = lab.token(subject, key=key), lab.token(lab.subject_token(groups=("ml", "ci")))
        secrets += [part for text in (subject, token, bearer) for part in (text.split(".")[1], text.split(".")[2])]
        need(lab.redeem(token, key).status == 200, "redeem")
        for refused in (lab.redeem(bearer, host="evil.example"), lab.redeem("ey.a.b"), lab.exchange(lab.subject_token("m", ["x"])),
                        lab.exchange("garbage")):
            need(refused.status in (400, 401, 403), refused)
        # A caller may put its token anywhere.
        for more in ({"path": f"/v1/{bearer}/x"}, {"path": f"/v1/{bearer}", "host": "evil.example"}):
            need(lab.redeem(bearer, request_id="token-in-it", **more).status in (200, 403), more)
        placed = [entry for entry in lab.audit() if entry.get("correlation") == "token-in-it"]
        need([entry["path"] for entry in placed][:2] == ["/v1/(token)/x", "/v1/(token)"], placed)
        need(all(entry["credential"] == "openai-prod" for entry in placed), placed)
        narrow = lab.token(lab.subject_token(groups=("ml", "ci")),
                           [{"type": "credential_use", "credential": "openai-prod", "paths": ["/v1/embeddings"]}])
        need(lab.redeem(narrow, request_id="beyond").status == 403, "beyond the token")
        need([e["credential"] for e in lab.audit() if e.get("correlation") == "beyond"] == ["openai-prod"], "which credential was denied")
        asked = lab.broker("POST", "/oauth2/introspect", f"token={token}", {**form, "authorization": f"Bearer {lab.subject_token()}"})
        need(asked.status == 200, asked)
        need(lab.broker("POST", "/oauth2/revoke", f"token={bearer}", form).status == 200, "revoke")
        lab.vaultctl("rotate", "signing")
        lab.vaultctl("rotate", "tenant")
        lab.process.send_signal(signal.SIGHUP)
        os.kill(lab.pids()["broker"], signal.SIGKILL)
        wait_until("another broker", lambda: "broker" in lab.pids() and "role.restart" in {e["operation"] for e in lab.audit()})
        lab.vaultctl("seal")
        lab.vaultctl("unseal")
        wait_until("the next signing key", lambda: "rotate.signing.promote" in {entry["operation"] for entry in lab.audit()})
        lab.stop()
        lab.start()
        wait_until("an unsealed vault", lambda: lab.vaultctl("status", "--check", check=False).returncode == 0)
        entries = lab.audit()
        with open(f"{TREE}/schemas/audit-entry.schema.json") as text:
            schema = json.load(text)
        for entry in entries:
            jsonschema.validate(entry, schema)
        for entry in entries:  # of an enrolled forwarder's
            need(entry["kind"] != "redeem" or "forwarder" not in entry or {"correlation", "host", "method", "path"} <= set(entry), entry)
        for (operation, outcome), members in MUST_SAY.items():
            found = [entry for entry in entries if (entry["operation"], entry["outcome"]) == (operation, outcome)]
            need(found, f"{operation} {outcome} is not in the log")
            for entry in found:
                need(members <= set(entry), f"{operation} {outcome} lacks {members - set(entry)}: {entry}")
        decided = [entry["policy_set"] for entry in entries if entry["operation"] in ("policy.activate", "token.issue", "token.redeem")
                   and "policy_set" in entry]
        need(len(decided) > 3 and len(set(decided)) == 1, "the set that decided is not the one that was put in force")
        need([entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1)), "a gap")
        text = json.dumps(entries)
        for secret in secrets:
            need(secret not in text, f"the log holds {secret[:12]}…")
        published(lab, len(entries))
        sealed = lab.vaultctl("--json", "audit", "search", "--log", lab.audit_folder, "--operation", "vault.seal", "--administrator",
                              entries[1]["administrator"])
        need(len(sealed.stdout.splitlines()) == 1, f"by administrator: {sealed.stdout}")
        need(not lab.vaultctl("audit", "search", "--log", lab.audit_folder, "--administrator", "uid 4711 (nobody)").stdout, "of nobody")
        the_tenant_narrows(lab)
        listing = lab.vaultctl("audit", "tail", "--count", "500").stdout
        for line in ("vault.start        every role is ready", "vault.stop         asked to stop",
                     "role.restart       broker 0 was ended by signal 9"):
            need(line in listing, f"{line}: {listing}")


def the_tenant_narrows(lab):
    """--tenant and VAULTCTL_TENANT alike, as for every other command."""
    def found(verb, *options, tenant=None):
        log = ("--log", lab.audit_folder) if verb == "search" else ("--count", "500")
        done = lab.vaultctl("--json", "audit", verb, *log, *options, env={"VAULTCTL_TENANT": tenant} if tenant else None)
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr
    for verb in ("search", "tail"):
        every, said = found(verb)
        ours, _ = found(verb, tenant="default")
        need(ours and all(entry.get("tenant") == "default" for entry in ours) and len(ours) < len(every),
             f"{verb}: {len(ours)} of {len(every)}")
        need([entry["sequence"] for entry in ours] == [entry["sequence"] for entry in found(verb, "--tenant", "default")[0]],
             f"{verb}: as the option")
        need(any(entry["operation"] == "vault.start" for entry in found(verb, "--all-tenants", tenant="default")[0]),
             f"{verb}: of every tenant")
        none, said = found(verb, tenant="nobody")
        need(not none and "the tenant nobody (VAULTCTL_TENANT); --all-tenants" in said, f"{verb}: {said}")
        need(found(verb, "--tenant", "nobody") == ([], ""), f"{verb}: who names a tenant knows")
        need(found(verb, "--tenant", "default", tenant="nobody")[0], f"{verb}: the option counts")
    need(lab.vaultctl("audit", "export", "--log", lab.audit_folder, "--tenant", "default", check=False).returncode == 2,
         "an export of one tenant")


def persons_have_pseudonyms():
    with Lab("softhsm") as lab:
        key_file = lab.put_file("pseudonyms", "k" * 40 + "\n")
        lab.extra["audit"] = {"pseudonym_key": lab.put_file("short", "too short\n")}
        lab.write_config()
        lab.start(wait=False)
        need(lab.process.wait(HANGS_S) != 0 and "must hold one line" in lab.log(), "a key that is too short was taken")
        lab.process = None
        lab.extra["audit"] = {"pseudonym_key": key_file}
        lab.write_config()
        serve(lab)
        key = new_client_key()
        for subject in ("alice", "bob", "alice"):
            lab.token(lab.subject_token(subject), key=key)
        lab.vaultctl("revoke", "--principal", f"{lab.issuer}|alice")
        count = len(lab.audit())
        published(lab, count)
        text = json.dumps(lab.audit())
        for name in ("|alice", "|bob", "127.0.0.1"):
            need(name not in text, f"{name} stands in the log")
        search = ("--json", "audit", "search", "--log", lab.audit_folder, "--no-index", "--principal", f"{lab.issuer}|alice")
        if lab.users:  # an administrator with a name of its own
            get = ["curl", "-sf", "--unix-socket", lab.admin_socket, "-X", "PUT", "http://localhost/v1/tenants/default/disable"]
            subprocess.run(["setpriv", "--reuid=vault-rotator", "--regid=vaultd", "--clear-groups", *get], capture_output=True,
                           timeout=HANGS_S, check=False)
            denied = lab.audit()[-1]
            need("vault-rotator" not in json.dumps(denied) and denied["administrator"].startswith("uid ~")
                 and denied["source"] == f"unix {denied['administrator']}", denied)
        found = lab.vaultctl(*search, "--pseudonym-key", key_file).stdout.splitlines()
        need(len(found) == 3, found)  # of serve, and twice here
        need(not lab.vaultctl(*search).stdout, "found without the key")
        lab.vaultctl("audit", "verify", lab.audit_folder)


def what_nobody_uses_is_listed():
    with Lab("softhsm") as lab:
        serve(lab)
        # Ids of policies are any texts.
        lab.vaultctl("policy", "put", lab.put_file("main.cedar", Lab.POLICY.replace("team-uses-openai", "the team's 100% openai") + (
            '@id("the team") permit(principal in Group::"nobody-yet", action in Action::"use", resource in Provider::"openai");')))
        lab.put_credential("dusty", "sk-dusty", "openai")
        lab.put_file("second.json", json.dumps({**lab.issuer_record(), "name": "second", "issuer": "https://second.example"}))
        lab.vaultctl("issuer", "add", "second", "--file", f"{lab.folder}/second.json")
        key = new_client_key()
        for subject, groups in (("alice", ["ml"]), ("bob", ["ml", "guests"])):
            token = lab.token(lab.subject_token(subject, groups), key=key)
            need(lab.redeem(token, key).status == 200, subject)
        need(lab.exchange(lab.subject_token("mallory", ["nobody"]), key=key).status != 200, "mallory")
        # An issuer whose people are only ever denied is used by nobody: at issue, and with a token that was not one of ours.
        signer = Signer(new_rsa_key(), "RS256", "third-1")
        lab.put_file("third.json", json.dumps({**lab.issuer_record(signer), "name": "third", "issuer": "https://third.example"}))
        lab.vaultctl("issuer", "add", "third", "--file", f"{lab.folder}/third.json")
        now = int(time.time())
        stranger = signer.sign({"iss": "https://third.example", "sub": "mallory", "aud": "vaultd", "iat": now, "exp": now + 600})
        need(lab.exchange(stranger, key=key).status == 400, "denied")
        denied = lab.audit()[-1]
        need(denied["outcome"] == "deny" and denied["principal"] == "https://third.example|mallory"
             and denied["credential"] == "openai-prod", denied)
        count = len(lab.audit())
        published(lab, count)
        time.sleep(1.1)  # what was created is older than zero days by then
        log = ("--log", lab.audit_folder, "--index", f"{lab.folder}/index")
        told = lab.vaultctl_json("audit", "unused", "--days", "0", *log)
        need({"credential", "issuer"} <= {row["kind"] for row in told["unused"]}, told)  # nothing was used after now
        told = lab.vaultctl_json("audit", "unused", "--days", "1", *log)
        names = {(row["kind"], row["name"]) for row in told["unused"]}
        need(("issuer", "second") in names and ("issuer", "corp") not in names, told)
        need(("issuer", "third") in names, f"a denial was counted as a use of its issuer: {told}")
        need({name for kind, name in names if kind == "permit"} == {"the team"} and not told["policies_left_out"], told)
        need(("credential", "dusty") not in names and ("credential", "openai-prod") not in names, f"made today: {told}")
        need("Everything" not in lab.vaultctl("audit", "unused", "--days", "1", *log).stdout, "for people")
        seen = {row["identity"].split("|")[1]: row for row in lab.vaultctl_json("audit", "inventory", *log)["identities"]}
        need({"alice", "bob", "mallory"} <= set(seen), seen)
        need(seen["bob"]["groups"] == ["ml", "guests"] and "openai-prod" in seen["bob"]["may_reach"], seen["bob"])
        need(list(seen["bob"]["credentials"]) == ["openai-prod"] and seen["bob"]["allowed"] == 2, seen["bob"])
        need(seen["mallory"]["may_reach"] == [] and seen["mallory"]["denied"] == 1 and "credentials" not in seen["mallory"],
             seen["mallory"])
        need("mallory" in lab.vaultctl("audit", "inventory", *log).stdout, "for people")
        denied = [row for row in lab.vaultctl_json("audit", "inventory", *log)["identities"]
                  if row["identity"] == "https://third.example|mallory"]
        need(len(denied) == 1 and denied[0]["denied"] == 1 and denied[0].get("allowed", 0) == 0 and denied[0]["last"]
             and "credentials" not in denied[0], denied)


if __name__ == "__main__":
    run_cases(every_event_is_in_the_log_and_whole, persons_have_pseudonyms, what_nobody_uses_is_listed)
