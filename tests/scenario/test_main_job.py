#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The main job, on both devices: put a credential, get a bound token, redeem it."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import Signer, new_client_key, new_ec_key, new_ed25519_key, new_rsa_key  # noqa: E402
from lab import HANGS_S, Lab, need, run_cases  # noqa: E402

SECRET = "sk-real-secret-0001"


def main_job(device):
    with Lab(device) as lab:
        lab.serve()
        key = new_client_key()
        answer = lab.exchange(key=key)
        need(answer.status == 200, answer)
        need(answer.json["token_type"] == "DPoP" and answer.json["issued_token_type"].endswith(":access_token"), answer)
        need(answer.headers["cache-control"] == "no-store", answer.headers)
        token = answer.json["access_token"]
        redeemed = lab.redeem(token, key)
        need(redeemed.status == 200, redeemed)
        need(redeemed.json["inject"] == [{"in": "header", "name": "authorization", "value": f"Bearer {SECRET}",
                                          "secret_from": len("Bearer "), "secret_to": len(f"Bearer {SECRET}")}], redeemed)
        need(redeemed.json["cache_s"] == 0, "an answer for a DPoP-bound token must not be reused")
        kinds = [(entry["kind"], entry["outcome"]) for entry in lab.audit()]
        need(("issue", "allow") in kinds and ("redeem", "allow") in kinds, kinds)
        need(lab.stop() == 0, "vaultd did not stop as asked")
        lab.start()  # unseals itself with the same device
        redeemed = lab.redeem(token, key)
        need(redeemed.status == 200, f"after a restart: {redeemed}")


def softhsm_does_the_main_job():
    main_job("softhsm")


def swtpm_does_the_main_job():
    main_job("swtpm")


def tokens_are_refused_when_stolen_revoked_or_misused():
    with Lab() as lab:
        lab.serve()
        key, thief = new_client_key(), new_client_key()
        details = [{"type": "credential_use", "credential": "openai-prod", "models": ["gpt-4o*"], "methods": ["POST"],
                    "paths": ["/v1/chat/completions"]}]
        token = lab.token(None, details, key)
        good = lab.redeem(token, key)
        need(good.status == 200, good)
        cases = {
            "as bearer": (401, lab.redeem(token)),
            "by another key": (401, lab.redeem(token, thief)),
            "without proof": (401, lab.redeem(token, scheme="dpop")),
            "another model": (403, lab.redeem(token, key, model="o1-preview")),
            "no model": (403, lab.redeem(token, key, model=None)),
            "another host": (403, lab.redeem(token, key, host="api.anthropic.com")),
            "another path": (403, lab.redeem(token, key, path="/v1/files")),
            "another method": (403, lab.redeem(token, key, method="DELETE")),
            "proof for another URI": (401, lab.redeem(token, key, proof=key.dpop("POST", "https://other.test/x", access_token=token))),
            "proof for another method": (401, lab.redeem(token, key, proof=key.dpop("GET", "https://llm.example.test/openai/v1/chat/completions", access_token=token))),
            "proof without ath": (401, lab.redeem(token, key, proof=key.dpop("POST", "https://llm.example.test/openai/v1/chat/completions"))),
            "old proof": (401, lab.redeem(token, key, proof=key.dpop("POST", "https://llm.example.test/openai/v1/chat/completions", access_token=token, iat=int(time.time()) - 300))),
            "one bit changed": (401, lab.redeem(token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1], key)),
        }
        for name, (status, answer) in cases.items():
            need(answer.status == status, f"{name}: {answer}")
            need("sk-" not in answer.body.decode(), f"{name}: holds the credential")
        proof = key.dpop("POST", "https://llm.example.test/openai/v1/chat/completions", access_token=token)
        need(lab.redeem(token, key, proof=proof).status == 200, "a proof for the first time")
        need(lab.redeem(token, key, proof=proof).status == 401, "a proof for the second time")
        answer = lab.broker("POST", "/oauth2/revoke", f"token={token}", {"content-type": "application/x-www-form-urlencoded"})
        need(answer.status == 200, answer)
        need(lab.redeem(token, key).status == 401, "a revoked token")
        denied = [entry for entry in lab.audit() if entry["kind"] == "redeem" and entry["outcome"] == "deny"]
        need(len(denied) >= len(cases), f"{len(denied)} denials are in the log for {len(cases)} attempts")
        need(all("sk-" not in json.dumps(entry) and token not in json.dumps(entry) for entry in lab.audit()), "a secret is in the log")


def rules_end_tokens_of_a_principal_and_a_credential():
    with Lab() as lab:
        lab.serve()
        for flag, value in (("--principal", f"{lab.issuer}|alice"), ("--credential", "openai-prod")):
            key = new_client_key()
            token = lab.token(key=key)
            need(lab.redeem(token, key).status == 200, "before")
            lab.vaultctl("revoke", flag, value)
            need(lab.redeem(token, key).status == 401, f"after revoke {flag}")
            token = lab.token(key=key)  # at once
            need(lab.redeem(token, key).status == 200, f"a new token after revoke {flag}")
            time.sleep(1.1)  # of two rules in one second the second may end what follows it


def bearer_only_where_the_policy_says_so():
    with Lab() as lab:
        lab.serve()
        answer = lab.exchange(lab.subject_token("alice", ["ml"]))
        need(answer.status == 400 and answer.json["error"] == "invalid_request", answer)
        token = lab.token(lab.subject_token("pipeline-7", ["ci"]))
        redeemed = lab.redeem(token)
        need(redeemed.status == 200 and redeemed.json["cache_s"] > 0, redeemed)


def certificates_bind_tokens_too():
    import base64
    import hashlib
    import ssl
    with Lab() as lab:
        lab.serve()
        certificate = lab.make_certificate("client", "agent-7")
        token = lab.token(certificate=certificate)
        with open(certificate[0]) as pem:
            der = ssl.PEM_cert_to_DER_cert(pem.read())
        thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
        need(lab.redeem(token, client_certificate=thumbprint).status == 200, "with its certificate")
        need(lab.redeem(token).status == 401, "without a certificate")
        need(lab.redeem(token, client_certificate="A" * 43).status == 401, "with another certificate")


def agents_act_only_where_both_may():
    policy = ('permit(principal in Group::"ml", action in Action::"use", resource);\n'
              'permit(principal is Agent, action in Action::"use", resource) when { context has model && context.model like "gpt-4o*" };\n'
              'permit(principal is Agent, action == Action::"issue", resource);\n'
              'permit(principal is Agent, action == Action::"callModel", resource);\n')
    with Lab() as lab:
        lab.start()
        lab.init_with_issuer(policy)
        agents = Signer(new_ec_key(), "ES256", "agents-1")
        record = {**lab.issuer_record(agents), "name": "agents", "issuer": "https://agents.example.test", "kind": "agent"}
        lab.vaultctl("issuer", "add", "agents", "--file", lab.put_file("agents.json", json.dumps(record)))
        lab.put_credential(value=SECRET)
        lab.enrol()
        key, now = new_client_key(), int(time.time())
        actor = agents.sign({"iss": "https://agents.example.test", "sub": "coder", "aud": "vaultd", "iat": now, "exp": now + 300})
        token = lab.token(None, None, key, actor_token=actor, actor_token_type="urn:ietf:params:oauth:token-type:jwt")
        need(lab.redeem(token, key, model="gpt-4o").status == 200, "both may")
        need(lab.redeem(token, key, model="o1").status == 403, "the agent may not")
        entry = [e for e in lab.audit() if e["kind"] == "redeem"][-1]
        need(entry["actor"] == "https://agents.example.test|coder" and entry["principal"].endswith("|alice"), entry)
        nobody = lab.exchange(lab.subject_token("bob", ["sales"]), None, key, actor_token=actor,
                              actor_token_type="urn:ietf:params:oauth:token-type:jwt")
        need(nobody.status == 400, f"the person may not: {nobody}")


def every_algorithm_of_an_issuer_works():
    with Lab() as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential(value=SECRET)
        from cryptography.hazmat.primitives.asymmetric import ec
        signers = [Signer(new_rsa_key(), "RS256", "a"), Signer(new_rsa_key(), "PS256", "b"), Signer(new_ec_key(), "ES256", "c"),
                   Signer(new_ec_key(ec.SECP384R1()), "ES384", "d"), Signer(new_ed25519_key(), "EdDSA", "e")]
        record = {**lab.issuer_record(), "algorithms": ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
                  "jwks": {"keys": [signer.public_jwk() for signer in signers]}, "name": "many", "issuer": "https://many.example.test"}
        lab.vaultctl("issuer", "add", "many", "--file", lab.put_file("many.json", json.dumps(record)))
        now = int(time.time())
        claims = {"iss": "https://many.example.test", "sub": "alice", "aud": "vaultd", "iat": now, "exp": now + 300, "groups": ["ml"]}
        key = new_client_key()
        for signer in signers:
            answer = lab.exchange(signer.sign(claims), key=key)
            need(answer.status == 200, f"{signer.alg}: {answer}")
        wrong = Signer(signers[0].key, "RS256", "c")
        need(lab.exchange(wrong.sign(claims), key=key).status == 400, "RS256 with the kid of an EC key")


def a_credential_rotates_between_two_calls():
    with Lab() as lab:
        lab.serve()
        key = new_client_key()
        token = lab.token(key=key)
        need("sk-real-secret-0001" in lab.redeem(token, key).body.decode(), "version 1")
        lab.vaultctl("credential", "rotate", "openai-prod", "-", input="sk-real-secret-0002")
        need("sk-real-secret-0002" in lab.redeem(token, key).body.decode(), "version 2")
        lab.vaultctl("credential", "disable", "openai-prod")
        need(lab.redeem(token, key).status == 403, "disabled")
        lab.vaultctl("credential", "enable", "openai-prod")
        need(lab.redeem(token, key).status == 200, "enabled again")
        lab.vaultctl("credential", "delete", "openai-prod", "--yes")
        need(lab.redeem(token, key).status == 403, "deleted")


def a_program_with_a_bound_token_gets_every_signal():
    program = ("import signal, sys, time\n"
               "def told(number, frame):\n    sys.exit(number)\n"
               "for name in sys.argv[1].split():\n    signal.signal(getattr(signal, name), told)\n"
               # Short ones: a signal just before a sleep begins is seen when that has ended.
               "print('ready', flush=True)\nfor _ in range(400): time.sleep(0.05)\nsys.exit(99)\n")
    names = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    with Lab() as lab:
        lab.serve()
        who = lab.put_file("id.jwt", lab.subject_token())
        for name in names:
            child = subprocess.Popen(
                [f"{lab.prefix}/bin/vaultctl", "exec", "--bind", "--credential", "openai-prod", "--profile", "openai", "--forwarder", "http://127.0.0.1:1",
                 "--profiles-dir", f"{lab.prefix}/share/vaultd/profiles", "--subject-token-file", who, "--broker", lab.origin, "--ca", lab.ca,
                 "--", sys.executable, "-c", program, " ".join(names)], stdout=subprocess.PIPE)
            need(child.stdout.readline() == b"ready\n", "the program did not start")
            child.send_signal(getattr(signal, name))
            need(child.wait(HANGS_S) == getattr(signal, name), f"{name}: {child.returncode}")
            child.stdout.close()


def a_program_gets_a_token_and_no_descriptor_of_ours():
    with Lab() as lab:
        lab.serve()
        who = lab.put_file("id.jwt", lab.subject_token("pipeline-7", ["ci"]))
        lab.vaultctl("exec", "--credential", "openai-prod", "--profile", "openai", "--forwarder", "http://127.0.0.1:1", "--profiles-dir",
                     f"{lab.prefix}/share/vaultd/profiles", "--subject-token-file", who, "--", "sh", "-c",
                     f"ls -l /proc/$$/fd > {lab.folder}/fds; printenv OPENAI_API_KEY > {lab.folder}/token")
        with open(f"{lab.folder}/fds") as listing, open(f"{lab.folder}/token") as token:
            open_ones = listing.read()
            need("socket:" not in open_ones and " 3 ->" not in open_ones, f"the program holds {open_ones}")
            need(lab.redeem(token.read().strip()).status == 200, "its token")
        refused = lab.vaultctl("token", "get", "--credential", "nope", "--bearer", "--subject-token-file", who, check=False)
        need(refused.returncode == 3 and "audit log" in refused.stderr, refused)
        need(lab.vaultctl("help", "token", "get").stdout == lab.vaultctl("token", "get", "--help").stdout, "help COMMAND")


def a_program_may_leave_a_core_and_vaultctl_none():
    own = resource.getrlimit(resource.RLIMIT_CORE)
    limits = (min(4096, own[1]) if own[1] >= 0 else 4096, own[1])
    with Lab() as lab:
        lab.serve()
        who = lab.put_file("id.jwt", lab.subject_token("pipeline-7", ["ci"]))
        for more in ((), ("--bind",)):
            program = "import resource; print(*resource.getrlimit(resource.RLIMIT_CORE))"
            shown = subprocess.run(
                [f"{lab.prefix}/bin/vaultctl", "exec", *more, "--credential", "openai-prod", "--profile", "openai", "--forwarder", "http://127.0.0.1:1",
                 "--profiles-dir", f"{lab.prefix}/share/vaultd/profiles", "--subject-token-file", who, "--broker", lab.origin, "--ca", lab.ca,
                 "--", sys.executable, "-c", program], capture_output=True, text=True, timeout=HANGS_S, check=False,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, limits))
            need(shown.stdout.split() == [str(limit) for limit in limits], f"{more}: {limits} became {shown}")
        # What can leave a core belongs to its user in /proc; what can not, to root.
        with socket.socket(socket.AF_UNIX) as silent, tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            silent.bind(f"{folder}/socket")
            os.chmod(f"{folder}/socket", 0o777)
            silent.listen()
            asks = subprocess.Popen([f"{lab.prefix}/bin/vaultctl", "status"], env={**os.environ, "VAULTCTL_SERVER": f"unix:{folder}/socket"},
                                    user=None if os.getuid() else 65534)
            try:
                silent.settimeout(10)
                connection = silent.accept()[0]
                need(os.stat(f"/proc/{asks.pid}/mem").st_uid == 0, "vaultctl can be dumped")
                connection.close()
            finally:
                asks.kill()
                asks.wait()


def tenants_do_not_see_each_other():
    with Lab() as lab:
        lab.serve()
        lab.vaultctl("tenant", "create", "other")
        lab.vaultctl("--tenant", "other", "issuer", "add", "corp", "--file", lab.put_file("o.json", json.dumps(lab.issuer_record())))
        lab.vaultctl("--tenant", "other", "policy", "put", lab.put_file("o.cedar", lab.POLICY))
        key = new_client_key()
        answer = lab.exchange(key=key, path="/t/other/oauth2/token")
        need(answer.status == 400, f"the other tenant has no such credential: {answer}")
        lab.vaultctl("--tenant", "other", "credential", "put", "openai-prod", "-", "--profile", "openai", input="sk-of-the-other")
        answer = lab.exchange(key=key, path="/t/other/oauth2/token")
        need(answer.status == 200, answer)
        need("sk-of-the-other" in lab.redeem(answer.json["access_token"], key).body.decode(), "its own credential")
        unknown = lab.exchange(key=key, path="/t/nobody/oauth2/token")
        need(unknown.status == 400, f"an unknown tenant: {unknown}")


if __name__ == "__main__":
    run_cases(softhsm_does_the_main_job, swtpm_does_the_main_job, tokens_are_refused_when_stolen_revoked_or_misused,
              rules_end_tokens_of_a_principal_and_a_credential, bearer_only_where_the_policy_says_so, certificates_bind_tokens_too,
              agents_act_only_where_both_may, every_algorithm_of_an_issuer_works, a_credential_rotates_between_two_calls,
              a_program_with_a_bound_token_gets_every_signal, a_program_gets_a_token_and_no_descriptor_of_ours,
              a_program_may_leave_a_core_and_vaultctl_none, tenants_do_not_see_each_other)
