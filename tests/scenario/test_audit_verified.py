#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The audit log as an outsider reads it: written by the real daemon, verified by a program that shares nothing
with it, from the disk and over HTTP. What was damaged is named, and what is looked for is found."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from auditlog import published, verifier, vkey  # noqa: E402
from lab import HANGS_S, TREE, Lab, need, run, run_cases, wait_until  # noqa: E402
from load import Load, serve  # noqa: E402
from ports import free_port  # noqa: E402

ENTRIES = int(os.environ.get("VAULT_AUDIT_ENTRIES", "100000"))
CHANGES = int(os.environ.get("VAULT_AUDIT_CHANGES", "3000"))


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
    for look in (("export", "--first", "990", "--last", "1010"), ("search", "--no-index", "--correlation", request),
                 ("show", "--no-index", request)):
        done = lab.vaultctl("--json", "audit", *look, "--log", copy, check=False)
        need(done.returncode != 0 and "entry 1000 does not give the hash" in done.stderr and '"sequence":1000,' not in done.stdout,
             f"{look}: {done.stderr}")
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
            for path in ("/", f"/{journal[0]}", "/journal.spare", "/.new", "/tile/", "/tile/0/", "/tile/9/000",
                         "/tile/0/000/../../checkpoint.new"):
                need(get(path)[0] == 404, f"{path} is served")
            told = run(verifier(lab), "verify", f"http://127.0.0.1:{port}", key)
            need(int(told.split()[0]) >= 700, told)
            print("     over HTTP: " + told.strip(), flush=True)
        finally:
            nginx.terminate()
            nginx.wait(HANGS_S)


if __name__ == "__main__":
    run_cases(a_log_of_the_daemon_is_verified_by_others, a_web_server_serves_the_log)
