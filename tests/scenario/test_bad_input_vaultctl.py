#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input to vaultctl: the right exit status, a message that names what is wrong and what to do, never a secret
in it, and nothing changes."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import seal  # noqa: E402
from lab import HANGS_S, need, run_cases  # noqa: E402
from refusals import bad_input, check  # noqa: E402


def arguments_of_vaultctl():
    with bad_input() as lab:
        cases = [
            (["bogus"], 2, "there is no command", "--help"), (["credential"], 2, "", "--help"),
            (["credential", "putt"], 2, "credential putt", "--help"),
            (["tenant", "create"], 2, "NAME is missing", "vaultctl tenant create --help"),
            (["tenant", "create", "a", "b"], 2, "", "--help"),
            (["tenant", "create", "UP"], 1, "name", ""), (["--colour", "status"], 2, "--colour", ""),
            (["status", "--colour"], 2, "--colour", "--help"), (["credential", "put", "a"], 2, "", ""),
            (["credential", "put", "a", "sk-in-sight", "--profile", "openai"], 2, "where everybody can see it", "--file"),
            (["credential", "put", "a", "-"], 2, "--profile is missing", "--help"),
            (["credential", "put", "a", "-", "--profile", "nope"], 1, "nope", ""),
            (["credential", "put", "a", "--value", "sk-1"], 2, "--value", "--help"),
            (["credential", "put", "a", "--file", "/nonexistent", "--profile", "openai"], 4, "/nonexistent", ""),
            (["credential", "show", "nobody"], 4, "nobody", ""), (["credential", "delete", "nobody", "--yes"], 4, "nobody", ""),
            (["credential", "put", "openai-prod", "-", "--profile", "openai"], 5, "openai-prod", "rotate"),
            (["--tenant", "nobody", "credential", "list"], 4, "nobody", "vaultctl tenant list"),
            (["--tenant", "A", "credential", "list"], 1, "tenant", ""), (["policy", "put", "/nonexistent"], 4, "/nonexistent", ""),
            (["issuer", "add", "x", "--file", "/nonexistent"], 2, "/nonexistent", ""),
            (["issuer", "add", "x", "--file", lab.put_file("bad.json", "{")], 2, "bad.json", ""),
            (["issuer", "add", "x", "--file", lab.put_file("other.json", '{"colour":1}')], 1, "colour", ""),
            (["forwarder", "enrol", "x"], 2, "--uid", "--help"), (["forwarder", "enrol", "x", "--uid", "abc"], 2, "--uid", "--help"),
            (["forwarder", "enrol", "x", "--user", "no-such-user"], 4, "no-such-user", ""), (["revoke"], 2, "", "--help"),
            (["revoke", "--principal", ""], 1, "value", ""), (["audit", "tail", "--count", "x"], 2, "--count", "--help"),
            (["init"], 5, "initialised already", ""),
            (["token", "get"], 2, "--bearer", ""), (["--server", "unix:/nonexistent", "status"], 6, "/nonexistent", ""),
            (["--server", "ftp://x", "status"], 2, "ftp://x", ""),
        ]
        for arguments, status, word, hint in cases:
            done = lab.vaultctl(*arguments, check=False, input="sk-secret-value")
            what = f"vaultctl {' '.join(arguments)}"
            need(done.returncode == status or word == "/nonexistent" and done.returncode in (2, 4, 6),
                 f"{what} exited {done.returncode} and not {status}: {done.stderr}")
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
            for arguments in (["credential", "put", name, "-", "--profile", "openai"], ["credential", "show", name],
                              ["tenant", "show", name]):
                done = lab.vaultctl(*arguments, check=False, input="sk-x")
                need(done.returncode == 1 and "a name is not empty" in done.stderr, f"{arguments}: {done}")
        for arguments in (["status"], ["--json", "status"], ["status", "--help"], ["completion", "bash"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([f"{lab.prefix}/bin/vaultctl", "--server", f"unix:{lab.admin_socket}", *arguments], stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=HANGS_S)
            need(done.returncode == 1 and "standard output can not be written" in done.stderr, f"{arguments}: {done}")
        for arguments, status, word in ((["alice"], 0, ""), (["eyJhbGciOiJFUzI1NiJ9.e30.AA"], 1, "its jti"),
                                        (["--principal", "alice"], 1, "ISSUER|SUBJECT"), (["--principal", "|alice"], 1, "ISSUER|SUBJECT"),
                                        (["--principal", f"{lab.issuer}|"], 1, "ISSUER|SUBJECT"),
                                        (["--credential", "opnai-prod"], 4, "credential list"),
                                        (["--credential", "../x"], 4, "credential list")):
            done = lab.vaultctl("revoke", *arguments, check=False)
            need(done.returncode == status and word in done.stderr, f"revoke {arguments}: {done}")
        done = lab.vaultctl("--server", "unix:/nonexistent", "rotate", "credential", "openai-prod", check=False)
        need(done.returncode == 6 and "terminal" not in done.stderr, done)  # asks for no value


def values_that_no_request_can_carry():
    with bad_input() as lab:
        profiles = {"openai": [], "generic-query": ["--parameter", "query=key", "--host", "api.test"],
                    "generic-basic": ["--parameter", "user=me", "--host", "api.test"]}
        cases = [("sk\nx-evil: 1", ()), ("sk\0x", ()), ("sk\tx", ()), ("sk\x7f", ()), ("sk\u2013x", ("generic-basic",)),
                 (" sk", ("generic-basic",)), ("sk ", ("generic-basic",)), ("x" * 8193, ())]
        for value, good in cases:
            for profile, more in profiles.items():
                done = lab.vaultctl("credential", "put", "odd", "-", "--profile", profile, *more, check=False, input=value)
                need(done.returncode == (0 if profile in good else 1), f"{value[:20]!r} for {profile}: {done}")
                need(profile in good or "no request can carry it" in done.stderr or "8192" in done.stderr, f"{value[:20]!r}: {done}")
                if profile in good:
                    lab.vaultctl("credential", "delete", "odd", "--yes")
        done = lab.vaultctl("credential", "put", "odd", "-", "--profile", "generic-basic", "--parameter", "user=a:b", "--host", "api.test",
                            check=False, input="x")
        need(done.returncode == 1 and "a user name holds no colon" in done.stderr, done)
        for step in (["credential", "rotate", "openai-prod", "-"], ["credential", "rotate", "openai-prod", "-", "--stage"]):
            done = lab.vaultctl(*step, check=False, input="sk\r\nx")
            need(done.returncode == 1 and "no request can carry it" in done.stderr, done)
        intake = lab.admin("GET", "/v1/intake-key").json
        long = lab.admin("POST", "/v1/tenants/default/credentials/long", {"profile": "openai", "jwe": seal(intake, b"x" * 8193)})
        check("a long value", long, 400, "longer than 8192 bytes")


if __name__ == "__main__":
    run_cases(arguments_of_vaultctl, values_that_no_request_can_carry)
