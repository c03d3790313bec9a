#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is reached over the network: forwarders by mutual TLS, administrators by
TLS and an OIDC token, several workers of one role."""

import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import Signer, new_client_key, new_ec_key  # noqa: E402
from lab import HANGS_S, Answer, Lab, lab_with_listener, need, run, run_cases  # noqa: E402
from ports import free_port  # noqa: E402
from staff import Staff  # noqa: E402

REDEEM = {"destination": "api.openai.com", "method": "POST", "path": "/v1/chat/completions", "uri": "https://llm.test/v1", "model": "gpt-4o"}


def ask(lab, port, method, path, body=None, headers=None, certificate=None):
    context = ssl.create_default_context(cafile=lab.ca)
    if certificate:
        context.load_cert_chain(*certificate)
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=HANGS_S)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None,
                           {"content-type": "application/json", **(headers or {})})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def a_remote_forwarder_redeems_with_its_certificate():
    port = free_port()
    with lab_with_listener("redeemer", port) as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential(value="sk-remote")
        edge, stranger = lab.make_certificate("edge", "edge-1"), lab.make_certificate("stranger", "edge-1")
        lab.vaultctl("forwarder", "enrol", "edge-1", "--certificate", edge[0])
        key = new_client_key()
        token = lab.token(key=key)

        def body():
            return {"token": token, "scheme": "dpop", "proof": key.dpop("POST", REDEEM["uri"], access_token=token), **REDEEM}

        answer = ask(lab, port, "POST", "/v1/redeem", body(), certificate=edge)
        need(answer.status == 200 and "sk-remote" in answer.body.decode(), answer)
        answer = ask(lab, port, "POST", "/v1/redeem", body(), certificate=stranger)
        need(answer.status == 403 and "sk-remote" not in answer.body.decode(), f"a certificate of the same name: {answer}")
        try:
            answer = ask(lab, port, "POST", "/v1/redeem", body())
            raise AssertionError(f"without a certificate: {answer}")
        except (ssl.SSLError, ConnectionError, http.client.HTTPException):
            pass
        need(lab.redeem(token, key).status == 403, "the unix socket serves nobody who is not enrolled")
        lab.vaultctl("forwarder", "remove", "edge-1")
        need(ask(lab, port, "POST", "/v1/redeem", body(), certificate=edge).status == 403, "a forwarder that was removed")
        old = f"{lab.folder}/old.pem"
        run("openssl", "x509", "-req", "-in", f"{lab.folder}/edge.csr", "-CA", lab.ca, "-CAkey", f"{lab.folder}/ca.key", "-days", "-1", "-out", old)
        refused = lab.vaultctl("forwarder", "enrol", "old", "--certificate", old, check=False)
        need(refused.returncode == 2 and "has expired" in refused.stderr, refused)
        thumbprint = run("openssl", "x509", "-in", old, "-noout", "-fingerprint", "-sha256").strip().split("=")[1].replace(":", "").lower()
        lab.vaultctl("forwarder", "enrol", "old", "--thumbprint", thumbprint)
        try:
            answer = ask(lab, port, "POST", "/v1/redeem", body(), certificate=(old, f"{lab.folder}/edge.key"))
            raise AssertionError(f"with a certificate that has expired: {answer}")
        except (ssl.SSLError, ConnectionError, http.client.HTTPException):
            pass


def an_administrator_signs_in_with_oidc():
    port = free_port()
    with lab_with_listener("admin", port, oidc_tenant="operators") as lab:
        lab.start()
        lab.init_with_issuer()
        bearer = Staff(lab, '@id("readers") permit(principal in Group::"readers", action in [Action::"readCredential", Action::"readStatus"], resource);\n').olga
        need(ask(lab, port, "GET", "/v1/status", headers=bearer(["readers"])).status == 200, "a reader reads the status")
        need(ask(lab, port, "GET", "/v1/tenants/default/credentials", headers=bearer(["readers"])).status == 200, "and credentials")
        denied = ask(lab, port, "POST", "/v1/seal", {}, headers=bearer(["readers"]))
        need(denied.status == 403, f"but does not seal: {denied}")
        entry = [entry for entry in lab.audit() if entry["outcome"] == "deny"][-1]
        need((entry["operation"], entry["subject"], entry["kind"]) == ("vault.seal", "seal", "admin") and "|" in entry["administrator"], entry)
        denied = ask(lab, port, "POST", "/v1/tenants/default/credentials/openai-prod/rollback", {}, headers=bearer(["sales"]))
        entry = lab.audit()[-1]
        wanted = {"operation": "credential.rollback", "subject": "rotateCredential", "tenant": "default", "credential": "openai-prod", "outcome": "deny"}
        need(denied.status == 403 and wanted.items() <= entry.items(), (denied, entry))
        need(ask(lab, port, "GET", "/v1/status", headers=bearer(["sales"])).status == 403, "another group")
        need(ask(lab, port, "GET", "/v1/status").status == 401, "nobody")
        need(ask(lab, port, "GET", "/v1/status", headers=bearer(["readers"], Signer(new_ec_key(), "ES256", "staff-1"))).status == 401,
             "signed by somebody else")
        need(ask(lab, port, "GET", "/v1/status", headers=bearer(["readers"], exp=int(time.time()) - 300)).status == 401, "expired")
        denials = [entry for entry in lab.audit() if entry["kind"] == "admin" and entry["outcome"] == "deny"]
        need(any("olga" in entry.get("administrator", "") for entry in denials), "denials of remote administrators are in the log")


def rss(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def megabytes_are_read_only_for_an_administrator():
    port = free_port()
    with lab_with_listener("admin", port, oidc_tenant="operators") as lab:
        lab.start()
        lab.init_with_issuer()
        staff = Staff(lab, '@id("ops") permit(principal in Group::"ops", action in [Action::"writePolicy", Action::"readPolicy"], resource);\n')
        bearer = staff.olga(["ops"])["authorization"]
        policies = "/v1/tenants/default/policies"
        text = "".join(f'@id("p{i}") permit(principal in Group::"g{i}", action, resource);\n' for i in range(400))
        need(len(text) > 16 << 10, len(text))
        before, context = rss(lab.pids()["admin"]), ssl.create_default_context(cafile=lab.ca)
        open_ones = []
        for authorization in ("", "authorization: Bearer x.y.z\r\n", f"authorization: {bearer[:-6]}AAAAAA\r\n"):
            for _ in range(12):
                client = context.wrap_socket(socket.create_connection(("localhost", port), 10), server_hostname="localhost")
                client.sendall(f"PUT {policies} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 8000000\r\n"
                               f"{authorization}\r\n".encode())
                try:
                    client.sendall(b" " * 1000000)
                    need(client.recv(4096).startswith(b"HTTP/1.1 401 "), "read for nobody")
                except (ConnectionError, ssl.SSLError):
                    pass  # closed while we still sent
                open_ones.append(client)
        need(rss(lab.pids()["admin"]) - before < 8 << 20, f"{before} became {rss(lab.pids()['admin'])}")
        for client in open_ones:
            client.close()
        answer = ask(lab, port, "PUT", policies, {"documents": [{"name": "main", "text": text}]}, headers={"authorization": bearer})
        need(answer.status == 200, f"an administrator's: {answer}")
        denials = [entry for entry in lab.audit() if entry["operation"] == "admin.connect" and entry["outcome"] == "deny"]
        need(denials, "the refusals are recorded")
        if lab.users:
            stranger = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
                        "s.sendall(b'PUT /v1/tenants/default/policies HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 8000000\\r\\n"
                        "expect: 100-continue\\r\\n\\r\\n'); print(s.recv(4096).decode())")
            done = subprocess.run([sys.executable, "-c", stranger, lab.admin_socket], user="nobody", capture_output=True, text=True, timeout=HANGS_S)
            need(done.stdout.startswith("HTTP/1.1 403 "), done)


def several_workers_share_the_work():
    with Lab(config={"broker": {"workers": 2}, "redeemer": {"workers": 2}}) as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        lab.enrol()
        key = new_client_key()
        for _ in range(10):
            token = lab.token(key=key)
            need(lab.redeem(token, key).status == 200, "redeem")
        proof = key.dpop("POST", "https://llm.example.test/openai/v1/chat/completions", access_token=token)
        statuses = [lab.redeem(token, key, proof=proof).status for _ in range(6)]
        need(statuses.count(200) == 1, f"a proof is good once whichever worker sees it: {statuses}")
        lab.vaultctl("revoke", "--principal", f"{lab.issuer}|alice")
        need(all(lab.redeem(token, key).status == 401 for _ in range(6)), "revoked at every worker")


def an_administrators_token_goes_to_administration_alone():
    from http.server import BaseHTTPRequestHandler, HTTPServer
    import threading
    with Lab() as lab:
        port, seen = free_port(), []

        class Recorder(BaseHTTPRequestHandler):
            def do_POST(self):
                seen.append((self.path, self.headers.get("authorization")))
                self.rfile.read(int(self.headers.get("content-length", 0)))
                body = b'{"status":401,"title":"Unauthorized"}'
                self.send_response(401)
                self.send_header("content-type", "application/problem+json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *args):
                pass

        server = HTTPServer(("127.0.0.1", port), Recorder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*lab.make_certificate("recorder", "localhost"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            anywhere = ("--server", f"https://localhost:{port}", "--broker", f"https://localhost:{port}")
            admin = {"VAULTCTL_ADMIN_TOKEN": "admins.own.token"}
            token = lab.put_file("token", "a.b.c")
            for verb in (("token", "get", "--bearer", "--credential", "x", "--subject-token-file", token), ("revoke", "--token-file", token)):
                lab.vaultctl(*anywhere, *verb, check=False, env=admin)
            need(len(seen) == 2 and all(header is None for _, header in seen), f"a broker sees {seen}")
            refused = lab.vaultctl(*anywhere, "status", check=False, env=admin)
            need(seen[-1] == ("/v1/status", "Bearer admins.own.token"), seen)
            need(refused.returncode == 3 and "in VAULTCTL_ADMIN_TOKEN" in refused.stderr, refused)
            lab.vaultctl(*anywhere, "status", check=False, env={"VAULTCTL_ADMIN_TOKEN": ""})
            need(seen[-1] == ("/v1/status", None), seen)
            odd = lab.vaultctl(*anywhere, "status", check=False, env={"VAULTCTL_ADMIN_TOKEN": "token\r\nx-more: 1"})
            need(odd.returncode == 2 and "that no token has" in odd.stderr and len(seen) == 4, odd)
        finally:
            server.shutdown()
            server.server_close()


@contextlib.contextmanager
def provider(lab, port, document_at):
    """An HTTPS server on localhost; `document_at` makes what is at a path."""
    class Provider(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(document_at(self.path)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", port), Provider)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*lab.make_certificate(f"idp{port}", "localhost"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def an_issuer_is_found_by_discovery():
    with Lab() as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        port, fetched = free_port(), []
        issuer = f"https://localhost:{port}"
        signers = [Signer(new_ec_key(), "ES256", "k1")]

        def document_at(path):
            fetched.append(path)
            return ({"issuer": issuer, "jwks_uri": f"{issuer}/keys"} if "openid" in path
                    else {"keys": [signer.public_jwk() for signer in signers]})

        with provider(lab, port, document_at):
            added = lab.vaultctl("issuer", "add", "found", "--issuer", issuer, "--audience", "vaultd", "--group", "groups=*")
            need(fetched and not added.stderr, f"its keys were fetched at once: {added} {fetched}")
            need(lab.vaultctl_json("issuer", "check", "found") == {"name": "found", "usable": True}, "check")
            need(lab.vaultctl_json("issuer", "check", "corp") == {"name": "corp", "usable": True}, "a key set of its own")
            need(lab.vaultctl("issuer", "check", "nobody", check=False).returncode == 4, "nobody")
            for name, more in (("fetched", {"discovery_url": f"{issuer}/.well-known/openid-configuration"}),
                               ("given", {"jwks": {"keys": [signers[0].public_jwk()]}}), ("empty", {"jwks": {"keys": []}})):
                record = {"name": name, "issuer": f"https://{name}.test" if "jwks" in more else issuer, "audiences": ["vaultd"], "kind": "user",
                          "algorithms": ["ES256" if name == "empty" else "RS256"], **more}
                if name == "fetched":
                    record["algorithms"], record["name"] = ["RS256"], "found"
                odd = lab.vaultctl("issuer", "add", record["name"], "--file", lab.put_file("odd.json", json.dumps(record)))
                need("none of them fits the issuer's algorithms" in odd.stderr, f"{name}: {odd}")
                odd = lab.vaultctl("--json", "issuer", "check", record["name"], check=False)
                need(odd.returncode == 6 and not json.loads(odd.stdout)["usable"], f"{name}: {odd}")
            lab.vaultctl("issuer", "add", "found", "--issuer", issuer, "--audience", "vaultd", "--group", "groups=*")
            key, now = new_client_key(), int(time.time())
            claims = {"iss": issuer, "sub": "alice", "aud": "vaultd", "iat": now, "exp": now + 300, "groups": ["ml"]}
            need(lab.exchange(signers[0].sign(claims), key=key).status == 200, "with a key that was fetched")
            before = len(fetched)
            need(lab.exchange(signers[0].sign(claims), key=key).status == 200 and len(fetched) == before, "from the cache")
            unknown = Signer(new_ec_key(), "ES256", "k9")
            need(lab.exchange(unknown.sign(claims), key=key).status == 400, "an unknown key")
            for _ in range(5):
                lab.exchange(unknown.sign(claims), key=key)
            need(len(fetched) - before <= 2, f"an unknown kid leads to {len(fetched) - before} fetches")


def keys_may_be_on_another_host():
    """As Google has them: not by what a document says, but where an administrator says so."""
    with Lab() as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        ports = free_port(), free_port()
        issuer, keys = (f"https://localhost:{port}" for port in ports)
        signer, fetched = Signer(new_ec_key(), "ES256", "k1"), []

        def keys_at(path):
            fetched.append(path)
            return {"keys": [signer.public_jwk()]}

        with provider(lab, ports[0], lambda path: {"issuer": issuer, "jwks_uri": f"{keys}/v3/certs"}), provider(lab, ports[1], keys_at):
            add = ("issuer", "add", "elsewhere", "--issuer", issuer, "--audience", "vaultd", "--group", "groups=*")
            added = lab.vaultctl(*add)
            need(f"configure it as discovery_url: {keys}/v3/certs" in added.stderr and not fetched, added)
            key, now = new_client_key(), int(time.time())
            token = signer.sign({"iss": issuer, "sub": "alice", "aud": "vaultd", "iat": now, "exp": now + 300, "groups": ["ml"]})
            need(lab.exchange(token, key=key).status == 503 and not fetched, "a document does not send us there")
            added = lab.vaultctl(*add, "--discovery", f"{keys}/v3/certs")
            need(not added.stderr and fetched, added)
            need(lab.exchange(token, key=key).status == 200, "with a key from the other host")


def an_issuer_that_does_not_answer_is_told():
    with Lab() as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        issuer = f"https://localhost:{free_port()}"  # nobody listens there
        add = ("issuer", "add", "found", "--issuer", issuer, "--audience", "vaultd", "--group", "groups=*")
        need(not lab.vaultctl(*add, "--no-check").stderr, "not asked to check")
        added = lab.vaultctl(*add)
        need("it is stored, but its keys can not be used: " in added.stderr and "onnect" in added.stderr, added)
        need("trusts tokens" in added.stdout and lab.vaultctl("issuer", "show", "found"), added)
        need("onnect" in lab.vaultctl_json(*add)["problem"], "for programs")
        checked = lab.vaultctl("issuer", "check", "found", check=False)
        need(checked.returncode == 6 and "the keys of found can not be used: " in checked.stderr, checked)
        wrong = lab.vaultctl("issuer", "add", "plain", "--issuer", "http://idp.test", "--audience", "vaultd", check=False)
        need(wrong.returncode == 2 and "--issuer http://idp.test is no https URL" in wrong.stderr, wrong)
        key, now = new_client_key(), int(time.time())
        token = Signer(new_ec_key(), "ES256", "k1").sign({"iss": issuer, "sub": "alice", "aud": "vaultd", "iat": now, "exp": now + 300})
        for _ in range(2):
            answer = lab.exchange(token, key=key)
            need(answer.status == 503 and answer.json["error"] == "temporarily_unavailable" and "retry-after" in answer.headers, answer)
        asked = lab.broker("POST", "/oauth2/introspect", "token=x", {"content-type": "application/x-www-form-urlencoded",
                                                                     "authorization": f"Bearer {token}"})
        need(asked.status == 503, asked)
        recorded = [entry for entry in lab.audit() if entry["kind"] == "issue"]
        need(recorded and all("can not be fetched: " in entry["reason"] and entry["outcome"] == "error" for entry in recorded), recorded)
        lines = [line for line in lab.log().split("\n") if f"the keys of the issuer {issuer} can not be fetched from" in line]
        lines = [line for line in lines if line.startswith("broker: ")]
        need(len(lines) == 1 and "onnect" in lines[0], f"the log says why, once: {lines}")


if __name__ == "__main__":
    run_cases(a_remote_forwarder_redeems_with_its_certificate, an_administrator_signs_in_with_oidc, an_administrators_token_goes_to_administration_alone, megabytes_are_read_only_for_an_administrator,
              several_workers_share_the_work,
              an_issuer_is_found_by_discovery, keys_may_be_on_another_host, an_issuer_that_does_not_answer_is_told)
