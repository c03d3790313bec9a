#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Rotation seen from outside: programs that call a provider through nginx, some of
them in the middle of a stream, while every key is replaced and every process may
be killed."""

import http.client
import os
import random
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/lib")
from front import EVENTS, Front  # noqa: E402
from jose import new_client_key, token_id  # noqa: E402
from lab import HANGS_S, Failure, Lab, need, run, run_cases, wait_until  # noqa: E402
from pace import clock  # noqa: E402
from storefile import Destroyed  # noqa: E402

KILLS = int(os.environ.get("ROTATION_KILLS_EACH", "18"))
ROLES = ("keeper", "auditor", "redeemer", "rotator", "keeper", "broker", "admin", "shipper", "supervisor")
KINDS = ("tenant", "wrapping", "signing", "system", "intake", "checkpoint")


def make(device="softhsm", **rotation):
    return Lab(device, config={"rotation": {"publication_s": 1, "intake_overlap_s": 600, "checkpoint_overlap_s": 600, **rotation}})


def serve(lab, credentials=1):
    lab.start()
    lab.init_with_issuer()
    for i in range(credentials):
        lab.put_credential("openai-prod" if i == 0 else f"more-{i}", value(i))
    lab.enrol()


def value(i):
    return f"sk-plain-{i:04}-" + "x" * 24


def bearer(lab):
    return lab.token(lab.subject_token(groups=("ml", "ci")))


class Callers:
    """Programs in front of nginx: short calls, streams, and others that ask for tokens. Keeps what failed."""

    def __init__(self, lab, front, short=3, streams=2):
        self.lab, self.front, self.ending = lab, front, threading.Event()
        self.failures, self.times, self.streams_read, self.issued = [], [], 0, 0
        self.threads = [threading.Thread(target=self._guard, args=(work,))
                        for work in [self._short] * short + [self._stream] * streams + [self._issue]]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(1.0)
        self.before = sorted(self.times)
        self.times.clear()
        return self

    def __exit__(self, kind, value, trace):
        self.ending.set()
        for thread in self.threads:
            thread.join(HANGS_S)

    def _guard(self, work):
        try:
            work()
        except Exception as error:  # a caller that ends early is a failure, whatever it is
            self.failures.append(f"{work.__name__}: {error!r}")

    def _short(self):
        connection, token = self.front.connection(), bearer(self.lab)
        while not self.ending.is_set():
            began = clock()
            status, body = self.front.call(connection, token)
            self.times.append(clock() - began)
            if status != 200:
                self.failures.append((status, body[:200]))
            time.sleep(0.002)

    def _stream(self):
        connection, token = self.front.connection(), bearer(self.lab)
        while not self.ending.is_set():
            status, body = self.front.call(connection, token, stream=True)
            if status != 200 or body.count(b"data:") != EVENTS:
                self.failures.append((status, body[-200:]))
            self.streams_read += 1

    def _issue(self):
        key = new_client_key()
        while not self.ending.is_set():
            token = self.lab.token(key=key)
            answer = self.lab.redeem(token, key)
            if answer.status != 200:
                self.failures.append(("redeem", answer))
            self.issued += 1

    def check(self):
        need(not self.failures, f"{len(self.failures)} calls failed: {self.failures[:3]}")
        after = sorted(self.times)
        need(len(after) > 50 and self.streams_read > 3 and self.issued > 5, f"{len(after)} {self.streams_read} {self.issued}")
        p99 = [part[int(len(part) * 0.99)] * 1000 for part in (self.before, after)]
        print(f"     {len(after)} calls, {self.streams_read} streams, {self.issued} tokens; p99 {p99[0]:.1f} ms before, "
              f"{p99[1]:.1f} ms during", flush=True)


def nobody_notices_a_rotation():
    with make() as lab:
        serve(lab, 20)
        with Front(lab) as front:
            front.provider.good = {value(0), "sk-next"}
            with Callers(lab, front) as callers:
                for kind in KINDS:
                    lab.vaultctl("rotate", kind)
                lab.vaultctl("credential", "rotate", "openai-prod", "-", "--grace", "60", input="sk-next")
                wait_until("the next signing key", lambda: lab.admin("GET", "/v1/rotate/signing").json["state"] == "overlapping")
                for kind in ("tenant", "wrapping"):
                    lab.vaultctl("rotate", kind)
                lab.vaultctl("credential", "rollback", "openai-prod")
                time.sleep(1.0)
            callers.check()


def is_refused(front, connection, token):
    try:
        return front.call(connection, token)[0] in (401, 403)
    except ConnectionError:  # it was under way when it was taken back, and cut
        connection.close()
        return False


def a_value_that_ended_is_not_used_after_a_second():
    with make() as lab:
        serve(lab)
        with Front(lab) as front:
            front.provider.good = {value(0), "sk-second"}
            token = bearer(lab)
            with Callers(lab, front, streams=0) as callers:
                need(set(front.provider.seen_since(0)) == {value(0)}, "the first value is used")
                lab.vaultctl("credential", "rotate", "openai-prod", "-", "--grace", "1", input="sk-second")
                ended = clock() + 1.0
                time.sleep(3.5)
                late = front.provider.seen_since(ended + 1.0)
                need(late and set(late) == {"sk-second"}, f"{len(late)} calls, {late.count(value(0))} with a value that ended")
            need(not callers.failures, callers.failures[:3])
            # The same for a credential that was disabled, and for a token that was revoked.
            connection, other = front.connection(), bearer(lab)
            for what, undo in ((["credential", "disable", "openai-prod"], ["credential", "enable", "openai-prod"]),
                               (["revoke", token_id(token)], None)):
                need(front.call(connection, token)[0] == 200, what)
                lab.vaultctl(*what)
                ended = clock() + 1.0
                while not is_refused(front, connection, token):
                    need(clock() < ended, f"{what}: it is still used")
                if undo:
                    lab.vaultctl(*undo)
                    wait_until("use again", lambda: front.call(connection, other)[0] == 200)


# ---- Kills ----

def kill(lab, role):
    if role == "supervisor":
        children = list(lab.pids().values())
        lab.process.send_signal(signal.SIGKILL)
        lab.process.wait()
        lab.process = None
        for pid in children:  # a child ends without its supervisor; the next one must find the store free
            wait_until(f"end of {pid}", lambda: not os.path.exists(f"/proc/{pid}"), 15)
        lab.start()
    else:
        os.kill(lab.pids()[role], signal.SIGKILL)


def ship(lab):
    """To a file, so that there is a shipper."""
    os.mkdir(f"{lab.folder}/out", 0o755)
    if lab.users:
        run("chown", "vault-shipper:vaultd", f"{lab.folder}/out")
    lab.extra["shipping"] = {"positions": f"{lab.folder}/positions", "file": f"{lab.folder}/out/audit"}
    lab.write_config()


def works(lab, key):
    try:
        return lab.redeem(lab.token(key=key), key).status == 200
    except (OSError, http.client.HTTPException, Failure):
        return False


def store_bytes(lab):
    content = b""
    for name in os.listdir(lab.store_folder):
        with open(f"{lab.store_folder}/{name}", "rb") as file:
            content += file.read()
    return content


def nothing_is_lost_whoever_is_killed():
    count = 30
    with make(records_per_s=300) as lab:
        ship(lab)
        serve(lab, count)
        key, chance, destroyed = new_client_key(), random.Random(11), Destroyed(lab)
        wait_until("service", lambda: works(lab, key))
        for i in range(KILLS):
            role, kind = ROLES[i % len(ROLES)], chance.choice(KINDS)
            destroyed.look()
            values = [subprocess.Popen([f"{lab.prefix}/bin/vaultctl", *command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, text=True,
                                       env={**os.environ, "VAULTCTL_SERVER": f"unix:{lab.admin_socket}"})
                      for command in (("rotate", kind), ("credential", "rotate", f"more-{count - 1}", "-", "--grace", "60"))]
            values[1].stdin.write(value(count - 1) + f"{i:04}")
            for process in values:
                process.stdin.close()
            time.sleep(chance.uniform(0.0, 0.2))
            kill(lab, role)
            for process in values:
                process.wait(HANGS_S)
            wait_until(f"service after kill {i}: {role} during {kind}", lambda: works(lab, key), 30)
        for path in ("/v1/rotate/wrapping", "/v1/rotate/system", "/v1/tenants/default/rotate"):
            wait_until(f"the end of {path}", lambda: not lab.admin("GET", path).json["is_under_way"], 60)
        for i in range(count):  # no record refers to a key that is gone, none was lost
            name = "openai-prod" if i == 0 else f"more-{i}"
            token = lab.token(key=key, details=[{"type": "credential_use", "credential": name}])
            answer = lab.redeem(token, key)
            need(answer.status == 200 and value(i).encode() in answer.body, f"{name}: {answer}")
        kinds = [entry["kind"] for entry in lab.vaultctl_json("key", "list")["keys"]]
        need(all(kinds.count(kind) == 1 for kind in ("tenant", "wrapping", "system")), f"an old key is left: {kinds}")
        need(len(destroyed.gone()) >= KILLS // 3, f"{len(destroyed.gone())} keys and values were destroyed")
        wait_until("destroyed keys and values to leave the file", lambda: not destroyed.traces(), 60)
        print(f"     {KILLS} kills, {len(destroyed.gone())} keys and values destroyed", flush=True)
        lab.stop()
        need(b"sk-plain" not in store_bytes(lab), "a value stands in the store")
        lab.start()
        wait_until("service", lambda: works(lab, key))
        lab.vaultctl("audit", "verify", lab.audit_folder)


if __name__ == "__main__":
    run_cases(nobody_notices_a_rotation, a_value_that_ended_is_not_used_after_a_second, nothing_is_lost_whoever_is_killed)
