#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The audit log as an outsider sees it: written by the real daemon, verified by a
program that shares nothing with it, through crashes and full disks."""

import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import jsonschema

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/lib")
from jose import Signer, new_client_key, new_rsa_key  # noqa: E402
from lab import HANGS_S, TREE, Lab, need, run, run_cases, wait_until  # noqa: E402
from ports import free_port  # noqa: E402

ENTRIES = int(os.environ.get("VAULT_AUDIT_ENTRIES", "100000"))
CHANGES = int(os.environ.get("VAULT_AUDIT_CHANGES", "3000"))
KILLS = int(os.environ.get("VAULT_AUDIT_KILLS", "24"))
PIPELINE = 32
CONNECTIONS = 64


def checkpoint_size(lab):
    try:
        with open(f"{lab.audit_folder}/checkpoint") as text:
            return int(text.read().split("\n")[1])
    except FileNotFoundError:
        return 0


def serve(lab):
    lab.start()
    lab.init_with_issuer()
    lab.put_credential()
    lab.enrol()
    return lab.token(lab.subject_token(groups=("ml", "ci")))


class Load:
    """Redeems over one connection, many at a time; knows which were answered."""

    def __init__(self, lab, token):
        self.lab, self.token, self.sent, self.answered = lab, token, 0, []

    def _request(self, number):
        # Every third one is refused: another host than the credential's.
        host = "api.openai.com" if number % 3 else "elsewhere.example"
        body = json.dumps({"token": self.token, "scheme": "bearer", "destination": host, "method": "POST", "path": "/v1/chat/completions",
                           "uri": "https://llm.example.test/v1/chat/completions", "source": "127.0.0.1", "model": "gpt-4o-mini",
                           "request_id": f"load-{number}"}).encode()
        return (b"POST /v1/redeem HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: "
                + str(len(body)).encode() + b"\r\n\r\n" + body)

    @staticmethod
    def _take_answer(reader):
        line = reader.readline()
        if not line:
            raise ConnectionError("closed")
        size, status = 0, int(line.split()[1])
        while True:
            line = reader.readline()
            if line in (b"\r\n", b""):
                break
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        if len(reader.read(size)) != size:
            raise ConnectionError("cut short")
        return status

    def run(self, count, until=None):
        """Over many connections, so that the vault has much to sync at once. Ends
        early when the vault does, or when `until` is true."""
        links = []
        try:
            for _ in range(min(CONNECTIONS, (count + PIPELINE - 1) // PIPELINE)):
                link = socket.socket(socket.AF_UNIX)
                links.append(link)
                link.settimeout(HANGS_S)
                link.connect(self.lab.redeem_socket)
            readers = [link.makefile("rb") for link in links]
            while count > 0 and not (until and until()):
                batches = []
                for link in links:
                    numbers = range(self.sent, self.sent + min(PIPELINE, count))
                    self.sent += len(numbers)
                    count -= len(numbers)
                    batches.append(numbers)
                    link.sendall(b"".join(self._request(n) for n in numbers))
                for numbers, reader in zip(batches, readers):
                    self._take_answers(numbers, reader)
        except OSError:
            pass
        finally:
            for link in links:
                link.close()

    def _take_answers(self, numbers, reader):
        for number in numbers:
            if self._take_answer(reader) in (200, 403):  # decided; anything else says that it was not
                self.answered.append(number)


def verifier(lab):
    program = f"{lab.folder}/verifier"
    if not os.path.exists(program):
        run(f"{TREE}/tests/verifier/build", program)
    return program


def vkey(lab):
    with open(f"{lab.audit_folder}/vkey") as text:
        return text.read().strip()


def published(lab, count):
    wait_until(f"a checkpoint of {count} entries", lambda: checkpoint_size(lab) >= count, 60)


def correlations(lab):
    found = {}
    for line in lab.vaultctl("audit", "export", "--log", lab.audit_folder).stdout.splitlines():
        entry = json.loads(line)
        found.setdefault(entry.get("correlation"), []).append(entry)
    return found


def a_log_of_the_daemon_is_verified_by_others():
    with Lab("softhsm") as lab:
        load = Load(lab, serve(lab))
        published(lab, 1)
        shutil.copy(f"{lab.audit_folder}/checkpoint", f"{lab.folder}/old")
        began = time.monotonic()
        load.run(ENTRIES)
        took = time.monotonic() - began
        need(len(load.answered) == ENTRIES, f"{len(load.answered)} of {ENTRIES} answered")
        print(f"     {ENTRIES} decisions in {took:.1f} s", flush=True)
        published(lab, ENTRIES)
        check, key = verifier(lab), vkey(lab)
        print("     " + run(check, "verify", lab.audit_folder, key, f"{lab.folder}/old").strip(), flush=True)
        began = time.monotonic()
        told = lab.vaultctl_json("audit", "verify", lab.audit_folder, "--key", key)
        need(told["entries"] >= ENTRIES and not told["key_from_folder"], told)
        print(f"     vaultctl: {told['entries']} entries in {time.monotonic() - began:.2f} s", flush=True)
        lab.vaultctl("audit", "verify", lab.audit_folder, "--from", f"{lab.folder}/old")
        # A proof that travels without the log.
        for number in (1, 256, 257, 65537, ENTRIES):
            proof, entry = f"{lab.folder}/proof", f"{lab.folder}/entry"
            lab.vaultctl("audit", "prove", str(number), "--log", lab.audit_folder, "-o", proof, "--entry", entry)
            run(check, "proof", proof, entry, key)
            need(f"entry {number} " in lab.vaultctl("audit", "check", proof, entry, "--key", key).stdout, number)
            with open(entry, "ab") as out:
                out.write(b" ")
            need(lab.vaultctl("audit", "check", proof, entry, "--key", key, check=False).returncode != 0, "a changed entry was taken")
        # What was decided, found again.
        entries = lab.vaultctl("--json", "audit", "show", "load-3", "--log", lab.audit_folder).stdout.splitlines()
        entries = [json.loads(line) for line in entries]
        need([(entry["operation"], entry["outcome"]) for entry in entries] == [("token.issue", "allow"), ("token.redeem", "deny")], entries)
        need(entries[0]["token_id"] == entries[1]["token_id"] and entries[0]["groups"] == "ml\nci", entries)
        denied = lab.vaultctl("--json", "audit", "search", "--decision", "deny", "--principal", f"{lab.issuer}|alice", "--log",
                              lab.audit_folder).stdout.splitlines()
        need(len(denied) == len(range(0, ENTRIES, 3)), f"{len(denied)} denials found")
        the_index_finds_the_same(lab)
        print("     " + run(check, "mutate", lab.audit_folder, key, str(CHANGES), "1").strip(), flush=True)
        stale_journal_is_gone(lab)
        damage_is_named(lab, key)


def stale_journal_is_gone(lab):
    size = sum(os.path.getsize(f"{lab.audit_folder}/{name}") for name in os.listdir(lab.audit_folder) if name.endswith(".jsonl"))
    need(size < 40 << 20, f"the journal still has {size} bytes")


def damage_is_named(lab, key):
    """A copy of the log with one byte of entry 1000 changed, then with a tile cut."""
    copy = f"{lab.folder}/copy"
    shutil.copytree(lab.audit_folder, copy)
    path = f"{copy}/tile/entries/003"  # entries 769 to 1024
    with open(path, "rb") as file:
        bundle = bytearray(file.read())
    at = bundle.index(b'"sequence":1000,')
    first = bundle[bundle.rindex(b'{"', 0, at):bundle.index(b"}", at) + 1]
    bundle[at + 20] ^= 1
    with open(path, "wb") as file:
        file.write(bundle)
    done = lab.vaultctl("audit", "verify", copy, "--key", key, check=False)
    need(done.returncode != 0 and "entry 1000 " in done.stderr, done.stderr)
    # Who only looks is not shown it either.
    request = json.loads(first)["correlation"]
    for look in (("export", "--first", "990", "--last", "1010"), ("search", "--no-index", "--correlation", request), ("show", "--no-index", request)):
        done = lab.vaultctl("--json", "audit", *look, "--log", copy, check=False)
        need(done.returncode != 0 and "entry 1000 does not give the hash" in done.stderr and '"sequence":1000,' not in done.stdout, f"{look}: {done.stderr}")
    os.truncate(f"{copy}/tile/0/002", 100)
    done = lab.vaultctl("audit", "verify", copy, "--key", key, check=False)
    need(done.returncode != 0 and "tile/0/002" in done.stderr, done.stderr)


def the_index_finds_the_same(lab):
    folder = f"{lab.folder}/index"

    def search(*options):
        return lab.vaultctl("--json", "audit", "search", "--log", lab.audit_folder, *options).stdout
    questions = (("--correlation", "load-70001"), ("--decision", "deny", "--count", "70"), ("--principal", f"{lab.issuer}|nobody"),
                 ("--operation", "vault.init"), ("--credential", "openai-prod", "--decision", "allow", "--count", "50"),
                 ("--since", "2099-01-01"), ("--principal", f"{lab.issuer}|alice", "--until", "2000-01-01"))
    plain = [search("--no-index", *question) for question in questions]
    for _ in range(2):  # made, then used
        need([search("--index", folder, *question) for question in questions] == plain, "the index finds something else")
    names = os.listdir(folder)
    need(len(names) == ENTRIES // 65536, names)
    with open(f"{folder}/{names[0]}", "r+b") as file:  # damaged: made again, nothing is missed
        file.seek(5000)
        file.write(b"\0" * 4000)
    need([search("--index", folder, *question) for question in questions] == plain, "a damaged index hides entries")
    told = lab.vaultctl_json("audit", "index", "--log", lab.audit_folder, "--index", folder)
    need(told == {"files": len(names), "built": 0, "entries": len(names) * 65536}, told)


def every_answer_has_its_record_after_kill():
    with Lab("softhsm") as lab:
        load = Load(lab, serve(lab))
        chance = random.Random(7)
        for _ in range(KILLS):
            wait_until("service", lambda: serves(lab, load), 20)
            end = time.monotonic() + chance.uniform(0.01, 1.5)
            victim = chance.choice(("auditor", "keeper", "everything"))
            killed = victims(lab, victim)
            pid = subprocess.Popen(["sh", "-c", f"sleep {max(0.0, end - time.monotonic()):.3f}; kill -9 {killed}"])
            load.run(1000000, until=lambda: time.monotonic() > end + 0.3)
            pid.wait()
            if victim == "everything":
                lab.process.wait(HANGS_S)
                wait_until("end of every process", lambda: gone(killed), 10)
                lab.process = None
                lab.start()
        wait_until("service", lambda: serves(lab, load), 20)
        all_recorded(lab, load)


def serves(lab, load):
    before = len(load.answered)
    load.run(1)
    return len(load.answered) > before


def victims(lab, which):
    wait_until("that role", lambda: which == "everything" or which in lab.pids(), 10)  # it may be starting again
    pids = lab.pids()
    return " ".join(str(pid) for pid in ([lab.process.pid, *pids.values()] if which == "everything" else [pids[which]]))


def gone(pids):
    """Nobody of them holds a socket any more. Their parent may be dead, so lab.pids does not know them."""
    def holds(pid):
        try:
            return bool(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            return False
    return not any(map(holds, pids.split()))


def all_recorded(lab, load):
    recorded = len(lab.audit())
    published(lab, recorded)
    found = correlations(lab)
    missing = [n for n in load.answered if f"load-{n}" not in found]
    need(not missing, f"{len(missing)} of {len(load.answered)} answers have no record, first {missing[:5]}")
    print(f"     {len(load.answered)} answers, all recorded", flush=True)
    run(verifier(lab), "verify", lab.audit_folder, vkey(lab))
    lab.vaultctl("audit", "verify", lab.audit_folder)


class OneProof:
    """A client whose proofs all have one identity."""

    def __init__(self, key):
        self.key = key

    def dpop(self, *argv, **claims):
        return self.key.dpop(*argv, jti="the-same-again", **claims)


def an_answer_carries_its_receipt():
    with Lab("softhsm") as lab:
        token = serve(lab)
        issued = lab.exchange(lab.subject_token(groups=("ml", "ci")))
        redeemed = lab.redeem(token, request_id="receipt-1")
        need(issued.status == 200 and redeemed.status == 200, f"{issued} {redeemed}")
        published(lab, int(redeemed.headers["vault-audit-entry"]))
        for answer, kind in ((issued, "issue"), (redeemed, "redeem")):
            proof, entry = f"{lab.folder}/proof", f"{lab.folder}/entry"
            number = answer.headers["vault-audit-entry"]
            lab.vaultctl("audit", "prove", number, "--log", lab.audit_folder, "-o", proof, "--entry", entry)
            run(verifier(lab), "proof", proof, entry, vkey(lab))
            with open(entry) as text:
                event = json.load(text)
            need(event["kind"] == kind and event["outcome"] == "allow" and str(event["sequence"]) == number, event)
        need(event["correlation"] == "receipt-1", event)
        # The Admin API has it, too; entry 1 and one that does not exist are the edges.
        for number in (int(redeemed.headers["vault-audit-entry"]), 1):
            receipt = lab.admin("GET", f"/v1/audit/{number}/proof")
            need(receipt.status == 200, receipt)
            for path, text in ((proof, receipt.json["proof"]), (entry, receipt.json["entry"])):
                with open(path, "w", newline="") as out:
                    out.write(text)
            run(verifier(lab), "proof", proof, entry, vkey(lab))
            need(json.loads(receipt.json["entry"])["sequence"] == number, receipt.json["entry"])
        need(lab.admin("GET", "/v1/audit/4000000/proof").status == 404, "an entry that is not there")
        with open(entry, "a") as out:
            out.write(" ")
        refused = subprocess.run([verifier(lab), "proof", proof, entry, vkey(lab)], capture_output=True, timeout=HANGS_S, check=False)
        need(refused.returncode != 0, "an altered entry")
        # So does a denial: a policy's at issue, the redeemer's own, and the keeper's of both.
        key = new_client_key()
        lab.token(key=OneProof(key))
        revoked = lab.token(key=key)
        done = lab.broker("POST", "/oauth2/revoke", f"token={revoked}", {"content-type": "application/x-www-form-urlencoded"})
        need(done.status == 200, done)
        for answer, status, kind in ((lab.exchange(lab.subject_token("mallory", ["nobody"])), 400, "issue"),
                                     (lab.redeem(token, host="evil.example", request_id="receipt-2"), 403, "redeem"),
                                     (lab.exchange(key=OneProof(key)), 400, "issue"),
                                     (lab.redeem(revoked, key), 401, "redeem")):
            need(answer.status == status and answer.headers.get("vault-audit-entry"), answer)
            published(lab, int(answer.headers["vault-audit-entry"]))
            lab.vaultctl("audit", "prove", answer.headers["vault-audit-entry"], "--log", lab.audit_folder, "-o", proof, "--entry", entry)
            run(verifier(lab), "proof", proof, entry, vkey(lab))
            with open(entry) as text:
                event = json.load(text)
            need(event["kind"] == kind and event["outcome"] == "deny", event)


def a_web_server_serves_the_log():
    """deploy/audit-log.nginx.conf in a real nginx; the independent verifier reads over HTTP."""
    with Lab("softhsm") as lab:
        load = Load(lab, serve(lab))
        load.run(700)
        published(lab, 700)
        key = vkey(lab)
        lab.stop()
        f, port = f"{lab.folder}/nginx", free_port()
        os.mkdir(f)
        conf = lab.put_file("nginx.conf", f"""
daemon off; pid {f}/pid; error_log {f}/error.log; {"user root;" if os.getuid() == 0 else ""}
events {{}}
http {{
  access_log off; client_body_temp_path {f}/b; proxy_temp_path {f}/p; fastcgi_temp_path {f}/f; uwsgi_temp_path {f}/u; scgi_temp_path {f}/s;
  server {{ listen 127.0.0.1:{port}; root {lab.audit_folder}; include {TREE}/deploy/audit-log.nginx.conf; }}
}}
""")
        nginx = subprocess.Popen(["/usr/sbin/nginx", "-c", conf, "-p", f], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def get(path):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANGS_S)
                connection.request("GET", path)
                answer = connection.getresponse()
                found = answer.status, answer.getheader("content-type"), answer.getheader("cache-control"), answer.read()
                connection.close()
                return found

            def listens():
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0
            wait_until("nginx", listens)
            need(get("/checkpoint")[:3] == (200, "text/plain; charset=utf-8", "no-cache"), get("/checkpoint"))
            need(get("/tile/0/000")[:3] == (200, "application/octet-stream", "max-age=31536000, immutable"), get("/tile/0/000")[:3])
            need(get("/vkey")[3].decode().strip() == key, "the key")
            journal = [name for name in os.listdir(lab.audit_folder) if name.endswith(".jsonl")]
            for path in ("/", f"/{journal[0]}", "/journal.spare", "/.new", "/tile/", "/tile/0/", "/tile/9/000", "/tile/0/000/../../checkpoint.new"):
                need(get(path)[0] == 404, f"{path} is served")
            told = run(verifier(lab), "verify", f"http://127.0.0.1:{port}", key)
            need(int(told.split()[0]) >= 700, told)
            print("     over HTTP: " + told.strip(), flush=True)
        finally:
            nginx.terminate()
            nginx.wait(HANGS_S)


class Witness:
    """vault-witness as another process with a folder of its own."""

    def __init__(self, lab, key, tls=(), stderr=None):
        self.port = free_port()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.process = subprocess.Popen([f"{lab.prefix}/sbin/vault-witness", "--name", "witness.example", "--state", f"{lab.folder}/witness",
                                         "--listen", f"127.0.0.1:{self.port}", *tls, "--log", key], stdout=subprocess.PIPE, stderr=stderr, text=True)
        self.key = self.process.stdout.readline().strip()
        wait_until("the witness", self._listens)

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def add(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANGS_S)
        connection.request("POST", "/add-checkpoint", body=body.encode())
        answer = connection.getresponse()
        found = answer.status, answer.getheader("content-type"), answer.read().decode()
        connection.close()
        return found

    def stop(self):
        self.process.terminate()
        need(self.process.wait(HANGS_S) == 0, "the witness did not end well")
        self.process.stdout.close()


def ask_witness(lab, witness, folder, check=True):
    return lab.vaultctl("audit", "witness", witness.url, "--witness-key", witness.key, "--log", folder, "-o", f"{lab.folder}/cosigned",
                        check=check)


def a_witness_sees_split_views_and_cuts():
    with Lab("softhsm") as lab:
        load = Load(lab, serve(lab))
        load.run(300)
        published(lab, 300)
        lab.stop()
        early = f"{lab.folder}/early"
        shutil.copytree(lab.audit_folder, early)
        witness = Witness(lab, vkey(lab))
        try:
            ask_witness(lab, witness, lab.audit_folder)
            lab.start()
            load.run(300)
            published(lab, 600)
            ask_witness(lab, witness, lab.audit_folder)  # it grew
            with open(f"{lab.folder}/cosigned") as text:
                need("witness.example" in text.read(), "no cosignature")
            quorum_is_demanded(lab, witness)
            cut = ask_witness(lab, witness, early, check=False)
            need(cut.returncode == 5 and "it was cut" in cut.stderr, cut.stderr)
            witness.url += "/"  # as people write addresses
            ask_witness(lab, witness, lab.audit_folder)
            split_view(lab, witness)
            answers_of_the_protocol(lab, witness)
            witness.stop()
            witness = Witness(lab, vkey(lab))  # it remembers
            cut = ask_witness(lab, witness, early, check=False)
            need(cut.returncode == 5 and "it was cut" in cut.stderr, cut.stderr)
        finally:
            witness.stop()


def a_witness_tells_two_logs_of_one_key_apart():
    """Somebody copies the whole vault, device and all, and goes on with both: each log is whole by itself and signed by the same key."""
    with Lab("softhsm") as lab:
        load = Load(lab, serve(lab))
        load.run(300)
        published(lab, 300)
        lab.stop()
        parts = [(part, f"{lab.folder}/twin.{os.path.basename(part)}") for part in (lab.audit_folder, lab.store_folder, lab.device.folder)]
        for part, twin in parts:
            run("cp", "-a", part, twin)
        key, witness = vkey(lab), Witness(lab, vkey(lab))
        try:
            lab.start()
            load.run(150)
            published(lab, 450)
            ask_witness(lab, witness, lab.audit_folder)
            shown = checkpoint_size(lab)
            lab.stop()
            for part, twin in parts:
                run("rm", "-rf", part)
                run("mv", twin, part)
            lab.start()
            load.run(400)
            published(lab, shown + 1)
            lab.vaultctl("audit", "verify", lab.audit_folder, "--key", key)
            split = ask_witness(lab, witness, lab.audit_folder, check=False)
            need(split.returncode == 5 and "(422)" in split.stderr, f"{split.returncode} {split.stderr}")
            # Whoever kept what the other one was shown sees it, too.
            policy = lab.put_file("policy", f"log {key}\nwitness w {witness.key}\nquorum w\n")
            split = lab.vaultctl("audit", "verify", lab.audit_folder, "--key", key, "--policy", policy, "--cosigned", f"{lab.folder}/cosigned", check=False)
            need(split.returncode != 0 and "it was rewritten" in split.stderr, split.stderr)
        finally:
            witness.stop()


def a_witness_is_locked_up_and_survives_kill():
    with Lab("softhsm") as lab:
        for address in ("127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1:", "127.0.0.1:84x", "localhost:8470", "127.0.0.1"):
            done = subprocess.run([f"{lab.prefix}/sbin/vault-witness", "--name", "w", "--state", f"{lab.folder}/w", "--listen", address, "--log",
                                   "log.example+7e1ba4d9+AXZTmvBTgjGfCqJGXW1iAcYzYqYXHxpWpUUKdVKvgGD4"], capture_output=True, timeout=HANGS_S, text=True, check=False)
            need(done.returncode != 0, f"{address}: {done}")
        load = Load(lab, serve(lab))
        load.run(300)
        published(lab, 300)
        certificate, key = lab.make_certificate("witness", "localhost")
        early, tls = f"{lab.folder}/early", ("--tls-certificate", certificate, "--tls-key", key)
        shutil.copytree(lab.audit_folder, early)
        witness = Witness(lab, vkey(lab), tls)
        with open(f"/proc/{witness.process.pid}/status") as status:
            told = dict(line.split(":\t", 1) for line in status.read().splitlines() if ":\t" in line)
        need(told["Seccomp"].strip() == "2" and told["NoNewPrivs"].strip() == "1", "the witness is not locked up")
        need(os.getuid() == 0 or not os.access(f"/proc/{witness.process.pid}/mem", os.R_OK), "the witness is dumpable")
        for _ in range(3):
            load.run(60)
            published(lab, load.sent)
            ask_witness(lab, witness, lab.audit_folder)
            witness.process.kill()  # what it cosigned is on the disk
            witness.process.wait()
            witness.process.stdout.close()
            known, witness = witness.key, Witness(lab, vkey(lab), tls)
            need(witness.key == known, "another key after a kill")
            cut = ask_witness(lab, witness, early, check=False)
            need(cut.returncode == 5 and "it was cut" in cut.stderr, cut.stderr)
        witness.stop()
        for mode, count in ((0o640, 0), (0o644, 1)):
            secrets = {"the key": f"{lab.folder}/witness/key", "--tls-key": key}
            for path in secrets.values():
                os.chmod(path, mode)
            with open(f"{lab.folder}/warnings", "w+", encoding="utf-8") as warnings:
                Witness(lab, vkey(lab), tls, warnings).stop()
                warnings.seek(0)
                said = warnings.read()
            for name, path in secrets.items():
                need(said.count(f"warning: {name}: {path} has mode 0644: ") == count, said)
            need(said.count("\n") == 2 * count, said)


def quorum_is_demanded(lab, witness):
    policy = lab.put_file("policy", f"log {vkey(lab)}\nwitness w {witness.key}\nquorum w\n")
    verify = ("audit", "verify", lab.audit_folder, "--policy", policy, "--cosigned")
    with open(f"{lab.folder}/cosigned") as text:
        size = int(text.read().split("\n")[1])
    need(lab.vaultctl_json(*verify, f"{lab.folder}/cosigned")["cosigned"] == size, "what they cosigned")
    need(f"first {size} of them are cosigned" in lab.vaultctl(*verify, f"{lab.folder}/cosigned").stdout, "for people")
    alone = lab.vaultctl(*verify, f"{lab.audit_folder}/checkpoint", check=False)
    need(alone.returncode != 0 and "too few witnesses" in alone.stderr, alone.stderr)


def split_view(lab, witness):
    """The witness cosigned a longer log; whoever shows it one of the same key that
    branched off earlier is refused. The branch is staged by telling the witness
    that it saw another root."""
    state = [name for name in os.listdir(f"{lab.folder}/witness") if name != "key"]
    need(len(state) == 1, state)
    path = f"{lab.folder}/witness/{state[0]}"
    with open(path) as text:
        kept = text.read()
    origin, size, root = kept.splitlines()
    other = ("A" if root[0] != "A" else "B") + root[1:]
    with open(path, "w") as text:
        text.write(f"{origin}\n{size}\n{other}\n")
    split = ask_witness(lab, witness, lab.audit_folder, check=False)
    need(split.returncode == 5 and "(422): another log of this name and size" in split.stderr, split.stderr)
    with open(path, "w") as text:
        text.write(f"{origin}\n{int(size) - 1}\n{other}\n")
    split = ask_witness(lab, witness, lab.audit_folder, check=False)
    need(split.returncode == 5 and "(422)" in split.stderr, split.stderr)
    with open(path, "w") as text:
        text.write(kept)
    ask_witness(lab, witness, lab.audit_folder)


def answers_of_the_protocol(lab, witness):
    with open(f"{lab.audit_folder}/checkpoint") as text:
        note = text.read()
    origin, size, rest = note.split("\n", 2)
    larger = f"{origin}\n{int(size) + 1}\n{rest}"
    need(witness.add("nonsense")[0] == 400, "nonsense")
    need(witness.add(f"old 99999999\n\n{note}")[0] == 400, "an old size above the new one")
    status, media, body = witness.add(f"old 1\n\n{note}")
    need(status == 409 and media == "text/x.tlog.size" and body.strip().isdigit(), f"{status} {media} {body}")
    known = body.strip()
    need(witness.add(f"old {known}\n\n{larger}")[0] == 403, "a checkpoint that was changed")
    need(witness.add(f"old 0\n\nx{note}")[0] == 404, "an unknown log")


def a_log_that_was_rolled_back_is_refused():
    """Yesterday's copy of the whole folder fits itself; the keeper knows better."""
    with Lab("softhsm") as lab:
        load = Load(lab, serve(lab))
        load.run(300)
        published(lab, 300)
        lab.stop()
        shutil.copytree(lab.audit_folder, f"{lab.folder}/yesterday")
        lab.start()
        load.run(300)
        published(lab, 600)
        lab.stop()
        shutil.rmtree(lab.audit_folder)
        shutil.move(f"{lab.folder}/yesterday", lab.audit_folder)
        run("chown", "-R", "vault-auditor:vaultd" if lab.users else str(os.getuid()), lab.audit_folder)
        lab.start()
        wait_until("the refusal", lambda: "behind its last signed checkpoint" in lab.log(), 15)
        before = len(load.answered)
        load.run(10)
        need(len(load.answered) == before, "decisions go on over a log that was rolled back")


def an_altered_log_is_refused():
    with Lab("softhsm") as lab:
        load = Load(lab, serve(lab))
        load.run(300)
        published(lab, len(lab.audit()))
        lab.stop()
        name = max(name for name in os.listdir(lab.audit_folder) if name.endswith(".jsonl"))
        with open(f"{lab.audit_folder}/{name}", "r+b") as journal:
            text = journal.read()
            at = text.rindex(b'"load-')  # behind the last full tile
            journal.seek(at + 1)
            journal.write(b"L")
        lab.start(wait=False)
        wait_until("the refusal", lambda: "was altered" in lab.log(), 15)


def files_that_are_taken_away_stop_decisions():
    """Of what was published long ago, too, and only as long as they are away; nobody has to restart anything."""
    with Lab("softhsm") as lab:
        token = serve(lab)
        Load(lab, token).run(700)
        published(lab, 700)
        away = f"{lab.folder}/away"

        def status():
            return lab.redeem(token).status
        for name in ("tile/0/000", "tile/entries/001"):
            path = f"{lab.audit_folder}/{name}"
            os.rename(path, away)
            wait_until("the refusal", lambda: status() == 503)
            need(f"decisions stop: a file of the audit log is missing or was altered: {name}" in lab.log(), "the log does not name it")
            told = lab.vaultctl_json("status")["audit"]
            need(not told["records"] and "missing or was altered" in told["problem"], told)
            need(lab.admin("GET", "/v1/ready").status == 503, "ready")
            os.rename(away, path)
            wait_until("service", lambda: status() == 200)
        with open(f"{lab.audit_folder}/tile/entries/001", "r+b") as file:
            file.seek(20000)
            byte = file.read(1)
            for put in (bytes([byte[0] ^ 1]), byte):
                file.seek(20000)
                file.write(put)
                file.flush()
                wait_until("it is noticed", lambda: status() == (503 if put != byte else 200))
        need(lab.log().count("is whole again") == 3, "it does not say when it is good again")

        def resumed():
            return [entry["reason"] for entry in lab.audit() if entry["operation"] == "audit.resume"]
        wait_until("what had been wrong", lambda: len(resumed()) == 3)  # that it happened is in the log
        need("tile/0/000" in resumed()[0] and all("entr" in reason for reason in resumed()[1:]), resumed())
        count = len(lab.audit())
        published(lab, count)
        lab.vaultctl("audit", "verify", lab.audit_folder)


def small_files_are_made_again():
    """Also while nothing is recorded; that somebody was there is in the daemon's log and in the audit log."""
    with Lab("softhsm") as lab:
        serve(lab)
        published(lab, len(lab.audit()))

        def content(name):
            try:
                with open(f"{lab.audit_folder}/{name}") as text:
                    return text.read()
            except FileNotFoundError:
                return None

        def repairs():
            return [entry["reason"] for entry in lab.audit() if entry["operation"] == "audit.repair"]
        key = content("vkey")
        for name, text in (("vkey", None), ("vkey", "log.example+00000000+AAAA\n"), ("checkpoint", None), ("checkpoint", "nobody's\n")):
            before = len(repairs())
            if text:
                with open(f"{lab.audit_folder}/new", "w") as out:
                    out.write(text)
                os.rename(f"{lab.audit_folder}/new", f"{lab.audit_folder}/{name}")
            else:
                os.unlink(f"{lab.audit_folder}/{name}")
            wait_until(f"{name} again", lambda: content(name) not in (None, text))
            wait_until("the record", lambda: len(repairs()) > before)
            stood = f"sha256 {hashlib.sha256(text.encode()).hexdigest()}" if text else "missing"
            need(repairs()[-1].endswith(f"written again: {name} ({stood})"), repairs())
            lab.vaultctl("audit", "verify", lab.audit_folder, "--key", key.strip())
        need(content("vkey") == key and len(repairs()) == 4, f"{repairs()}")
        # Also what comes between the tiles of a round and its checkpoint, which writes these files, too.
        keeper, forged = lab.pids()["keeper"], "log.example+00000000+BBBB\n"
        published(lab, len(lab.audit()))
        os.kill(keeper, signal.SIGSTOP)
        try:
            need(lab.admin("POST", "/v1/audit/prune", {"entries": 5}).status == 400, "what needs no keeper is recorded")
            size = int(content("checkpoint").split("\n")[1])
            folder = f"{lab.audit_folder}/tile/0/{size // 256:03}.p"
            wait_until("the tiles", lambda: any(int(name) > size % 256 for name in os.listdir(folder)))
            with open(f"{lab.audit_folder}/new", "w") as out:
                out.write(forged)
            os.rename(f"{lab.audit_folder}/new", f"{lab.audit_folder}/vkey")
        finally:
            os.kill(keeper, signal.SIGCONT)
        wait_until("the record", lambda: len(repairs()) == 5)
        need(repairs()[-1].endswith(f"vkey (sha256 {hashlib.sha256(forged.encode()).hexdigest()})") and content("vkey") == key, repairs())
        need("files of the audit log were removed or altered behind the vault's back, and written again: vkey" in lab.log(), "the log does not say it")
        need("decisions stop" not in lab.log(), "nothing has to stop")


# What each entry must say at least, by operation and outcome.
WHO = {"principal", "client", "source", "correlation", "tenant"}
REQUEST = WHO | {"forwarder", "host", "method", "path", "model"}
ADMIN = {"administrator", "source"}
MUST_SAY = {
    ("vault.init", "allow"): ADMIN, ("vault.start", "allow"): {"subject"}, ("vault.stop", "allow"): {"subject"},
    ("vault.reload", "allow"): set(), ("vault.seal", "allow"): ADMIN, ("vault.unseal", "allow"): set(), ("role.restart", "error"): {"subject"},
    ("issuer.put", "allow"): ADMIN | {"tenant", "subject"}, ("policy.activate", "allow"): ADMIN | {"tenant", "subject", "policy_set"},
    ("credential.put", "allow"): ADMIN | {"tenant", "credential", "credential_version"}, ("forwarder.enrol", "allow"): ADMIN | {"subject"},
    ("token.issue", "allow"): WHO | {"credential", "groups", "policies", "policy_set", "token_id"},
    ("token.issue", "deny"): {"source", "correlation", "tenant", "reason"},
    ("token.redeem", "allow"): REQUEST | {"credential", "credential_version", "policies", "policy_set", "token_id"},
    ("token.redeem", "deny"): {"source", "reason"},
    ("token.revoke", "allow"): WHO | {"token_id"}, ("rotate.signing", "allow"): ADMIN | {"subject"}, ("rotate.signing.promote", "allow"): {"subject"},
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
        narrow = lab.token(lab.subject_token(groups=("ml", "ci")), [{"type": "credential_use", "credential": "openai-prod", "paths": ["/v1/embeddings"]}])
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
        decided = [entry["policy_set"] for entry in entries if entry["operation"] in ("policy.activate", "token.issue", "token.redeem") and "policy_set" in entry]
        need(len(decided) > 3 and len(set(decided)) == 1, "the set that decided is not the one that was put in force")
        need([entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1)), "a gap")
        text = json.dumps(entries)
        for secret in secrets:
            need(secret not in text, f"the log holds {secret[:12]}…")
        published(lab, len(entries))
        sealed = lab.vaultctl("--json", "audit", "search", "--log", lab.audit_folder, "--operation", "vault.seal", "--administrator", entries[1]["administrator"])
        need(len(sealed.stdout.splitlines()) == 1, f"by administrator: {sealed.stdout}")
        need(not lab.vaultctl("audit", "search", "--log", lab.audit_folder, "--administrator", "uid 4711 (nobody)").stdout, "of nobody")
        the_tenant_narrows(lab)
        listing = lab.vaultctl("audit", "tail", "--count", "500").stdout
        for line in ("vault.start        every role is ready", "vault.stop         asked to stop", "role.restart       broker 0 was ended by signal 9"):
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
        need(ours and all(entry.get("tenant") == "default" for entry in ours) and len(ours) < len(every), f"{verb}: {len(ours)} of {len(every)}")
        need([entry["sequence"] for entry in ours] == [entry["sequence"] for entry in found(verb, "--tenant", "default")[0]], f"{verb}: as the option")
        need(any(entry["operation"] == "vault.start" for entry in found(verb, "--all-tenants", tenant="default")[0]), f"{verb}: of every tenant")
        none, said = found(verb, tenant="nobody")
        need(not none and "the tenant nobody (VAULTCTL_TENANT); --all-tenants" in said, f"{verb}: {said}")
        need(found(verb, "--tenant", "nobody") == ([], ""), f"{verb}: who names a tenant knows")
        need(found(verb, "--tenant", "default", tenant="nobody")[0], f"{verb}: the option counts")
    need(lab.vaultctl("audit", "export", "--log", lab.audit_folder, "--tenant", "default", check=False).returncode == 2, "an export of one tenant")


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
            subprocess.run(["setpriv", "--reuid=vault-rotator", "--regid=vaultd", "--clear-groups", *get], capture_output=True, timeout=HANGS_S, check=False)
            denied = lab.audit()[-1]
            need("vault-rotator" not in json.dumps(denied) and denied["administrator"].startswith("uid ~") and denied["source"] == f"unix {denied['administrator']}", denied)
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
        need(denied["outcome"] == "deny" and denied["principal"] == "https://third.example|mallory" and denied["credential"] == "openai-prod", denied)
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
        need(seen["mallory"]["may_reach"] == [] and seen["mallory"]["denied"] == 1 and "credentials" not in seen["mallory"], seen["mallory"])
        need("mallory" in lab.vaultctl("audit", "inventory", *log).stdout, "for people")
        denied = [row for row in lab.vaultctl_json("audit", "inventory", *log)["identities"] if row["identity"] == "https://third.example|mallory"]
        need(len(denied) == 1 and denied[0]["denied"] == 1 and denied[0].get("allowed", 0) == 0 and denied[0]["last"] and "credentials" not in denied[0], denied)


def signatures(lab):
    with open(f"{lab.audit_folder}/checkpoint") as text:
        return text.read().count("\u2014 ")


def the_key_of_the_log_is_replaced():
    with Lab("softhsm", config={"rotation": {"checkpoint_overlap_s": 12}}) as lab:
        serve(lab)
        published(lab, 1)
        old = vkey(lab)
        shutil.copy(f"{lab.audit_folder}/checkpoint", f"{lab.folder}/old")

        def verify(*options, **how):
            return lab.vaultctl("--json", "audit", "verify", lab.audit_folder, *options, **how)
        lab.vaultctl("rotate", "checkpoint")
        wait_until("a checkpoint with both signatures", lambda: signatures(lab) == 2, 15)
        new = vkey(lab).split("\n")[0]
        need(vkey(lab).split("\n") == [new, old] and new != old, vkey(lab))
        for key in (old, new):  # whoever knows either key is served
            run(verifier(lab), "verify", lab.audit_folder, key)
            need(json.loads(verify("--key", key).stdout)["key_changes"] == 0, key)
        wait_until("the end of the overlap", lambda: vkey(lab) == new and signatures(lab) == 1, 30)
        run(verifier(lab), "verify", lab.audit_folder, new)
        need(json.loads(verify("--key", old).stdout)["key_changes"] == 1, "the handover is followed")
        verify("--key", old, "--from", f"{lab.folder}/old")
        lab.vaultctl("audit", "archive", "--log", lab.audit_folder, "--to", f"{lab.folder}/archive")
        told = lab.vaultctl_json("audit", "verify", f"{lab.folder}/archive", "--key", old)
        need(told["key_changes"] == 1, f"from an archive, too: {told}")
        need("was replaced 1 time" in lab.vaultctl("audit", "verify", lab.audit_folder, "--key", old).stdout, "said to people")
        entries = [entry for entry in lab.audit() if entry["operation"].startswith("rotate.checkpoint")]
        need([entry["operation"] for entry in entries] == ["rotate.checkpoint", "rotate.checkpoint.destroy"], entries)
        need(entries[0]["subject"] and entries[0]["subject"] != entries[1]["subject"], entries)
        # A handover that somebody else made leads nowhere.
        handover = f"{lab.audit_folder}/handover/{old.split('+')[1]}"
        with open(handover) as text:
            good = text.read()
        shutil.copytree(lab.audit_folder, f"{lab.folder}/copy")
        with open(f"{lab.folder}/copy/handover/{old.split('+')[1]}", "w") as out:
            out.write(good.replace(new.split("+")[2], old.split("+")[2]))
        need(lab.vaultctl("audit", "verify", f"{lab.folder}/copy", "--key", old, check=False).returncode != 0, "a forged handover was followed")
        os.unlink(handover)
        wait_until("the handover", lambda: os.path.exists(handover))
        with open(handover) as text:
            need(text.read() == good, "another handover")
        # In an emergency nobody vouches for the new key.
        lab.vaultctl("rotate", "checkpoint", "--emergency")
        wait_until("a checkpoint of the third key", lambda: vkey(lab) not in (old, new), 15)
        wait_until("its signature", lambda: verify("--key", vkey(lab), check=False).returncode == 0, 15)
        for key in (old, new):
            need(verify("--key", key, check=False).returncode != 0, "a key that ended in an emergency still counts")


if __name__ == "__main__":
    run_cases(a_log_of_the_daemon_is_verified_by_others, every_answer_has_its_record_after_kill,
              a_web_server_serves_the_log, an_answer_carries_its_receipt, a_witness_sees_split_views_and_cuts,
              a_witness_tells_two_logs_of_one_key_apart, a_witness_is_locked_up_and_survives_kill, a_log_that_was_rolled_back_is_refused,
              an_altered_log_is_refused, files_that_are_taken_away_stop_decisions, small_files_are_made_again, every_event_is_in_the_log_and_whole, persons_have_pseudonyms,
              what_nobody_uses_is_listed, the_key_of_the_log_is_replaced)
