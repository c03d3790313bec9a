#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every key is replaced while it is in use, and no client notices."""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from lab import HANGS_S, Lab, UnixConnection, need, run_cases, wait_until  # noqa: E402
from pace import clock  # noqa: E402

ROUNDS = int(os.environ.get("ROTATION_KILLS", "12"))


def make(device="softhsm", **rotation):
    return Lab(device, config={"rotation": {"publication_s": 2, "intake_overlap_s": 600, **rotation},
                               "tokens": {"lifetime_s": 300, "max_lifetime_s": 3600}})


def ready(lab, credentials=1):
    lab.start()
    lab.init_with_issuer()
    for i in range(credentials):
        lab.put_credential("openai-prod" if i == 0 else f"more-{i}", f"sk-{i}")
    lab.enrol()
    key = new_client_key()
    return key, lab.token(key=key)


class Load:
    """Issues and redeems on several connections until it is stopped; keeps what failed and how long each took."""

    def __init__(self, lab, key, connections=4):
        self.lab, self.key, self.stopping = lab, key, threading.Event()
        self.failures, self.times, self.issued, self.redeemed = [], [], 0, 0
        self.threads = [threading.Thread(target=self._redeem) for _ in range(connections)]
        self.threads.append(threading.Thread(target=self._issue))
        self.token = lab.token(key=key)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(1.0)
        self.before = sorted(self.times)
        self.times.clear()
        return self

    def __exit__(self, kind, value, trace):
        self.stopping.set()
        for thread in self.threads:
            thread.join(HANGS_S)

    def _issue(self):
        while not self.stopping.is_set():
            try:
                answer = self.lab.exchange(key=self.key)
                if answer.status != 200:
                    self.failures.append(("issue", repr(answer)))
                else:
                    self.token = answer.json["access_token"]
                    self.issued += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(("issue", repr(error)))
            time.sleep(0.01)

    def _redeem(self):
        connection = UnixConnection(self.lab.redeem_socket)
        first = self.token  # one of before every rotation, too
        turn = 0
        while not self.stopping.is_set():
            turn += 1
            token = self.token if turn % 2 else first
            uri = "https://llm.example.test/openai/v1/chat/completions"
            body = json.dumps({"token": token, "scheme": "dpop", "destination": "api.openai.com", "method": "POST",
                               "path": "/v1/chat/completions", "uri": uri, "source": "127.0.0.1", "model": "gpt-4o-mini",
                               "proof": self.key.dpop("POST", uri, access_token=token)})
            began = clock()
            try:
                connection.request("POST", "/v1/redeem", body, {"content-type": "application/json"})
                response = connection.getresponse()
                text = response.read()
                if response.status != 200:
                    self.failures.append(("redeem", response.status, text[:200]))
                self.redeemed += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(("redeem", repr(error)))
                connection = UnixConnection(self.lab.redeem_socket)
            self.times.append(clock() - began)

    def check(self):
        need(not self.failures, f"{len(self.failures)} of {self.redeemed} failed: {self.failures[:3]}")
        need(self.issued > 5 and self.redeemed > 50, f"too little load: {self.issued} {self.redeemed}")
        after = sorted(self.times)
        p99 = [part[int(len(part) * 0.99)] for part in (self.before, after)]
        print(f"     p99 {p99[0] * 1000:.1f} ms before, {p99[1] * 1000:.1f} ms during", flush=True)
        # Twice, and room for whatever else the machine does: other tests run beside this one.
        need(p99[1] <= 2 * p99[0] + 0.25, f"p99 before {p99[0]:.4f} s, during {p99[1]:.4f} s")


def state(lab, *path):
    return lab.admin("GET", f"/v1/{'/'.join(path)}").json


def keys(lab, kind):
    return [item for item in lab.vaultctl_json("key", "list")["keys"] if item["kind"] == kind]


def no_request_fails_while_each_key_is_rotated():
    with make() as lab:
        key, _ = ready(lab, 30)
        with Load(lab, key) as load:
            for kind in ("signing", "intake", "wrapping", "tenant", "system"):
                lab.vaultctl("rotate", kind)
            wait_until("the new signing key", lambda: state(lab, "rotate", "signing")["state"] == "overlapping")
            time.sleep(0.5)
            lab.vaultctl("credential", "rotate", "openai-prod", "-", "--grace", "60", input="sk-new")
            lab.vaultctl("credential", "rollback", "openai-prod")
            for kind in ("wrapping", "tenant", "intake", "system"):  # once more, one on top of the other
                lab.vaultctl("rotate", kind)
            time.sleep(0.5)
        load.check()
        need([item["key"] for item in keys(lab, "tenant")] == ["3"], keys(lab, "tenant"))
        need([item["generation"] for item in keys(lab, "wrapping")] == [3], keys(lab, "wrapping"))
        need([item["key"] for item in keys(lab, "system")] == ["3"], keys(lab, "system"))
        operations = [entry["operation"] for entry in lab.audit()]
        for operation in ("rotate.signing", "rotate.signing.promote", "rotate.tenant", "rotate.tenant.destroy", "rotate.wrapping",
                          "rotate.wrapping.destroy", "rotate.wrapping.destroyed", "rotate.intake", "rotate.system",
                          "rotate.system.encrypt", "rotate.system.destroy", "credential.rollback"):
            need(operation in operations, f"{operation} is not in the audit log")


def an_emergency_ends_every_token():
    with make() as lab:
        key, token = ready(lab)
        need(lab.redeem(token, key).status == 200, "before")
        lab.vaultctl("rotate", "signing", "--emergency")
        answer = lab.redeem(token, key)
        need(answer.status in (401, 403), answer)
        need(lab.redeem(lab.token(key=key), key).status == 200, "a new token")


def a_rollback_gives_the_old_value():
    with make() as lab:
        key, token = ready(lab)
        lab.vaultctl("credential", "rotate", "openai-prod", "-", "--grace", "60", input="sk-wrong")
        need("sk-wrong" in lab.redeem(token, key).body.decode(), "the new value")
        lab.vaultctl("credential", "rollback", "openai-prod")
        need("sk-0" in lab.redeem(token, key).body.decode(), "the old value")
        lab.vaultctl("credential", "rotate", "openai-prod", "-", "--grace", "0", input="sk-third")
        done = lab.vaultctl("credential", "rollback", "openai-prod", check=False)
        need(done.returncode == 5, f"{done.returncode} {done.stderr}")


def what_is_needed_is_not_destroyed():
    with make() as lab:
        ready(lab)
        for kind in ("signing", "intake", "wrapping", "tenant", "system"):
            name = keys(lab, kind)[0]["key"]
            done = lab.vaultctl("key", "destroy", kind, "--", name, check=False)  # it may begin with a hyphen
            need(done.returncode == 5, f"{kind}: {done.returncode} {done.stderr}")
        need(lab.vaultctl("key", "destroy", "tenant", "77", check=False).returncode == 4, "a key that is not there")
        before = lab.vaultctl_json("key", "list")["keys"]
        for kind in ("signing", "intake", "wrapping", "tenant", "system"):
            lab.vaultctl("rotate", kind, "--dry-run")
        need([item["key"] for item in before] == [item["key"] for item in lab.vaultctl_json("key", "list")["keys"]], "a dry run")


def bad_input_changes_nothing():
    with make() as lab:
        ready(lab)
        before = [(item["key"], item["state"]) for item in lab.vaultctl_json("key", "list", "--all")["keys"]]
        for method, path, body, status in (
                ("POST", "/v1/rotate/nonsense", {}, 404), ("POST", "/v1/rotate/tenant", {}, 404), ("GET", "/v1/rotate/x", None, 404),
                ("POST", "/v1/tenants/nobody/rotate", {}, 404), ("GET", "/v1/tenants/nobody/keys", None, 404),
                ("POST", "/v1/rotate/signing", {"emergency": "yes"}, 400), ("POST", "/v1/rotate/signing", {"more": 1}, 400),
                ("POST", "/v1/tenants/default/rotate", {"records_per_s": 0}, 400), ("POST", "/v1/rotate/wrapping", {"emergency": True}, 400),
                ("POST", "/v1/tenants/default/rotate", {"emergency": True}, 400), ("DELETE", "/v1/keys/signing/x", None, 404),
                ("DELETE", "/v1/keys/tenant/1", None, 404), ("DELETE", f"/v1/keys/signing/{'k' * 65}", None, 404),
                ("DELETE", "/v1/tenants/default/keys/-1", None, 404), ("DELETE", "/v1/tenants/default/keys/4294967297", None, 404),
                ("POST", "/v1/tenants/default/credentials/nobody/rollback", {}, 404),
                ("POST", "/v1/tenants/default/credentials/openai-prod/rollback", {"grace_s": -1}, 400),
                ("POST", "/v1/tenants/default/credentials/openai-prod/rollback", {}, 409)):
            answer = lab.admin(method, path, body)
            need(answer.status == status, f"{method} {path} {body}: {answer}")
        answer = lab.admin("POST", "/v1/rotate/signing", {}, {"if-match": '"999999"'})
        need(answer.status == 409, answer)
        after = [(item["key"], item["state"]) for item in lab.vaultctl_json("key", "list", "--all")["keys"]]
        need(before == after, f"{before} {after}")


def one_of_two_administrators_wins():
    with make() as lab:
        ready(lab, 5)
        for kind, path in (("tenant", "/v1/tenants/default/rotate"), ("wrapping", "/v1/rotate/wrapping"),
                           ("signing", "/v1/rotate/signing"), ("intake", "/v1/rotate/intake"),
                           ("checkpoint", "/v1/rotate/checkpoint"), ("system", "/v1/rotate/system")):
            def active():
                return lab.admin("GET", path).json["active"]["revision"]

            def race(revision):
                results = []

                def ask():
                    answer = lab.admin("POST", path, {}, {"if-match": f'"{revision}"'})
                    results.append((answer.status, answer.json.get("detail", "")))
                threads = [threading.Thread(target=ask) for _ in range(2)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(HANGS_S)
                return results
            for _ in range(20):
                revision = active()
                results = race(revision)
                # What the rotations before still wrap anew beats both, and is seen to.
                if [status for status, _ in results] != [409, 409] or active() == revision:
                    break
            need(sorted(status for status, _ in results) == [200, 409], f"{kind}: {results}")


def nothing_is_lost_when_the_keeper_is_killed():
    for device in ("softhsm", "swtpm"):
        with make(device, records_per_s=400) as lab:
            key, token = ready(lab, 40)
            lab.vaultctl("tenant", "create", "second")
            chance = random.Random(7)

            def works():
                try:
                    return lab.redeem(token, key).status == 200
                except (OSError, http.client.HTTPException):
                    return False
            for i in range(ROUNDS):
                if i % 20 == 19:  # the one before lives for 300 s, and each kill takes some of them
                    token = lab.token(key=key)
                kind = ("tenant", "wrapping", "signing", "intake", "system")[i % 5]
                rotation = subprocess.Popen([f"{lab.prefix}/bin/vaultctl", "rotate", kind], stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL,
                                            env={**os.environ, "VAULTCTL_SERVER": f"unix:{lab.admin_socket}"})
                time.sleep(chance.uniform(0.0, 0.25))
                os.kill(lab.pids()["keeper"], signal.SIGKILL)
                rotation.wait(HANGS_S)
                wait_until(f"service after kill {i} ({kind}, {device})", works, 30)
                for _ in range(8):
                    if works():
                        break
            for path in (("rotate", "wrapping"), ("rotate", "system"), ("tenants", "default", "rotate")):
                wait_until(f"the end of {path}", lambda: not state(lab, *path)["is_under_way"], 60)
            need(all(len(keys(lab, kind)) == 1 for kind in ("tenant", "wrapping", "system")), lab.vaultctl_json("key", "list"))
            for i in range(1, 40):
                answer = lab.redeem(lab.token(key=key, details=[{"type": "credential_use", "credential": f"more-{i}"}]), key)
                need(answer.status == 200 and f'sk-{i}"' in answer.body.decode().replace("Bearer ", ""), f"more-{i}: {answer}")
            lab.put_credential("late", "sk-late")


if __name__ == "__main__":
    run_cases(no_request_fails_while_each_key_is_rotated, an_emergency_ends_every_token, a_rollback_gives_the_old_value,
              what_is_needed_is_not_destroyed, bad_input_changes_nothing, one_of_two_administrators_wins, nothing_is_lost_when_the_keeper_is_killed)
