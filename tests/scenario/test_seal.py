#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The emergency stop: after `vaultctl seal` no data key is in any process, and nothing is redeemed, also not from a cache."""

import ctypes
import os
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from front import Front  # noqa: E402
from jose import new_client_key  # noqa: E402
from lab import HANGS_S, Lab, UnixConnection, need, run_cases, wait_until  # noqa: E402
from memory import search_memory  # noqa: E402
from pace import clock  # noqa: E402
from softhsm import data_keys_of  # noqa: E402

MEMFD_SECRET, ENOSYS = 447, 38


def without_hidden_memory():
    """As on a kernel without memfd_secret: secrets are in locked memory, which root can search."""
    def rule(code, jump_true, jump_false, value):
        return struct.pack("HBBI", code, jump_true, jump_false, value)
    rules = (rule(0x20, 0, 0, 0) + rule(0x15, 0, 1, MEMFD_SECRET) + rule(0x06, 0, 0, 0x00050000 | ENOSYS) +
             rule(0x06, 0, 0, 0x7FFF0000))
    program = ctypes.create_string_buffer(rules, len(rules))
    filter_of = struct.pack("HxxxxxxP", len(rules) // 8, ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter_of):  # NO_NEW_PRIVS; SECCOMP, SECCOMP_MODE_FILTER
        os._exit(99)


def places(lab, needle):
    """In which processes the bytes are."""
    found = {}
    for role, pid in {**lab.pids(), "supervisor": lab.process.pid}.items():
        count, searched = search_memory(pid, needle)
        need(searched > 1 << 20, f"only {searched} bytes of the {role} could be searched")
        if count:
            found[role] = count
    return found


def ready():
    lab = Lab("softhsm")
    lab.before_exec = without_hidden_memory
    lab.start()
    lab.init_with_issuer()
    lab.put_credential()
    lab.vaultctl("tenant", "create", "other")
    lab.enrol()
    lab.key = new_client_key()
    lab.passed = lab.token(key=lab.key)
    lab.vaultctl("credential", "put", "second", "-", "--tenant", "other", "--profile", "openai", input="sk-2")
    return lab


def no_data_key_is_in_memory_after_seal():
    with ready() as lab:
        need(lab.vaultctl_json("status")["secret_memory"] == "mlock", lab.vaultctl_json("status"))
        need(lab.redeem(lab.passed, lab.key).status == 200, "redeem")
        keys = data_keys_of(lab, [0, 1, 2])
        need({(0, 1), (1, 1), (2, 1)} <= set(keys), f"unwrapped by SoftHSM: {sorted(keys)}")
        for name, key in keys.items():
            found = places(lab, key)
            need(set(found) == {"keeper"}, f"data key {name} before: {found}")
        lab.vaultctl("seal")
        for name, key in keys.items():
            found = places(lab, key)
            need(not found, f"data key {name} after seal: {found}")
            for half in (key[:16], key[16:]):  # nor a part of it
                need(not places(lab, half), f"half of data key {name} after seal")
        lab.vaultctl("unseal")
        need(lab.redeem(lab.passed, lab.key).status == 200, "after unseal")
        need(set(places(lab, keys[(0, 1)])) == {"keeper"}, "after unseal")


def every_redeem_fails_within_a_second():
    with Lab("softhsm") as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        lab.enrol()
        key = new_client_key()
        token = lab.token(key=key)
        epochs = []

        def watch():  # what forwarders that cache listen to: a new epoch empties them
            connection = UnixConnection(lab.redeem_socket)
            connection.request("GET", "/v1/watch")
            answer = connection.getresponse()
            try:
                while line := answer.readline():
                    epochs.append((clock(), line.strip()))
            except OSError:
                pass
        threading.Thread(target=watch, daemon=True).start()
        wait_until("the watch", lambda: epochs)
        answers, is_over = [], threading.Event()

        def redeem():
            while not is_over.is_set():
                status = lab.redeem(token, key).status
                answers.append((clock(), status))
        threads = [threading.Thread(target=redeem, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until("redeems", lambda: len(answers) > 20)
        before = epochs[-1][1]
        lab.vaultctl("seal")
        sealed = clock()
        time.sleep(1.2)
        is_over.set()
        for thread in threads:
            thread.join(HANGS_S)
        late = [at - sealed for at, status in answers if status == 200 and at > sealed]
        need(not [seconds for seconds in late if seconds > 1], f"redeemed {late} s after seal")
        need(any(status == 503 for at, status in answers if at > sealed), "nothing was refused")
        told = [at - sealed for at, epoch in epochs if epoch != before]
        need(told and told[0] < 1, f"forwarders are told after {told} s")
        need(lab.exchange(key=key).status == 503, "a token is issued by a sealed vault")
        lab.stop()
        lab.start()  # an administrator's seal does not outlive a restart; it is recorded
        wait_until("unsealed", lambda: lab.vaultctl_json("status")["state"] == "unsealed")
        seen = [entry["operation"] for entry in lab.audit()]
        need("vault.seal" in seen, seen)


def a_forwarders_cache_ends_within_a_second():
    with Lab("softhsm") as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        lab.enrol()
        with Front(lab) as front:
            front.provider.good = {"sk-real-secret-0001"}
            connection, token = front.connection(), lab.token(lab.subject_token(groups=("ml", "ci")))
            for _ in range(20):
                need(front.call(connection, token)[0] == 200, "through nginx")
            entries = len(lab.audit())
            for _ in range(20):
                need(front.call(connection, token)[0] == 200, "from the cache")
            need(len(lab.audit()) == entries, "the cache was not used: each call was decided anew")
            lab.vaultctl("seal")
            sealed = clock()
            answers = []
            while clock() < sealed + 2.0:
                answers.append((front.call(connection, token)[0], clock() - sealed))
                time.sleep(0.005)
            late = [seconds for status, seconds in answers if status == 200 and seconds > 1]
            need(not late, f"forwarded {len(late)} times, {late[-1:]} s after seal")
            need(not [at for at, _ in front.provider.seen if at > sealed + 1], "the provider was called")
            lab.vaultctl("unseal")
            wait_until("use again", lambda: front.call(connection, token)[0] == 200)


if __name__ == "__main__":
    run_cases(no_data_key_is_in_memory_after_seal, every_redeem_fails_within_a_second, a_forwarders_cache_ends_within_a_second)
