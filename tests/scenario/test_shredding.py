#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What was destroyed is nowhere in the store's file: keys as they were wrapped, and ciphertext."""

import fcntl
import http.client
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from lab import Failure, Lab, need, run_cases, wait_until  # noqa: E402
from storefile import Destroyed  # noqa: E402


def ready(lab, credentials=40):
    lab.start()
    lab.init_with_issuer()
    for i in range(credentials):
        lab.put_credential("openai-prod" if i == 0 else f"more-{i}", f"sk-plain-{i:04}-" + "x" * (8000 if i % 8 == 1 else 200))
    lab.enrol()


def works(lab):
    key = new_client_key()
    try:
        return lab.redeem(lab.token(key=key), key).status == 200
    except (OSError, http.client.HTTPException, Failure):
        return False


def wait_for_no_trace(lab, destroyed, seconds=45):
    try:
        wait_until("the file to be clean", lambda: not destroyed.traces(), seconds)
    except Failure as failure:
        runs = [(entry["time"], entry["outcome"], entry.get("subject"), entry.get("reason"))
                for entry in lab.audit() if entry["operation"] == "store.scrub"]
        raise Failure(f"{failure}; traces of {sorted(destroyed.traces())}; runs: {runs}") from failure
    need(works(lab), "afterwards")


def destroy_each(lab, destroyed):
    """One key of each kind, and versions of credentials in each way in which they end."""
    lab.vaultctl("rotate", "tenant", "--tenant", "default")
    wait_until("the old data key", lambda: not lab.admin("GET", "/v1/tenants/default/rotate").json["is_under_way"], 30)
    lab.vaultctl("rotate", "system")
    for kind in ("signing", "intake", "checkpoint"):
        lab.vaultctl("rotate", kind, "--emergency")
    for value in ("sk-second", "sk-third"):  # the first one ends when there is a third
        destroyed.look()
        lab.vaultctl("credential", "rotate", "openai-prod", "-", "--grace", "600", input=value + "y" * 200)
    lab.vaultctl("credential", "rotate", "more-2", "-", "--stage", input="sk-staged" + "z" * 200)
    destroyed.look()
    lab.vaultctl("credential", "abandon", "more-2")
    for name in ("more-1", "more-3"):
        lab.vaultctl("credential", "delete", name, "--yes")


def what_is_destroyed_leaves_no_trace():
    with Lab("softhsm") as lab:
        ready(lab)
        destroyed = Destroyed(lab)
        destroyed.look()
        destroy_each(lab, destroyed)
        gone = destroyed.gone()
        classes = sorted(chr(key[4]) for key in gone)
        need(classes.count("s") >= 4 and classes.count("k") == 2 and classes.count("G") == 2 and classes.count("N") == 1, classes)
        need(all(gone.values()), "a record has no part that can be looked for")
        wait_for_no_trace(lab, destroyed)
        # Nobody had to ask: the log says that it was done.
        need(any(entry["operation"] == "store.scrub" for entry in lab.audit()), "it is not recorded")


def begin_to_read(lab):
    """A dump that nobody takes: a snapshot for as long as it lives."""
    reader, pipe = os.pipe()
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
    dump = subprocess.Popen(["mdb_dump", lab.store_folder], stdout=pipe)
    os.close(pipe)
    os.read(reader, 1)
    return dump, reader


def a_reader_holds_it_up_and_a_seal_does_not():
    with Lab("softhsm") as lab:
        ready(lab, 10)
        destroyed = Destroyed(lab)
        destroyed.look()
        dump, pipe = begin_to_read(lab)
        try:
            for name in ("more-1", "more-3"):
                lab.vaultctl("credential", "delete", name, "--yes")
            wait_until("a word in the log", lambda: "somebody reads an old snapshot" in lab.log(), 15)
            need(len(destroyed.traces()) == 2, "what he may read is gone")
            lab.vaultctl("seal")
        finally:
            dump.kill()
            dump.wait()
            os.close(pipe)
        # That the run was held up is no reason to wait long for the next.
        wait_until("the next run", lambda: not destroyed.traces(), 20)
        wait_until("a word in the log", lambda: "was overwritten where something had been destroyed" in lab.log(), 5)
        need(lab.vaultctl_json("status")["state"] == "sealed", "it was unsealed meanwhile")
        lab.vaultctl("unseal")
        need(works(lab), "afterwards")


def a_keeper_that_is_killed_cleans_later():
    with Lab("softhsm") as lab:
        ready(lab, 10)
        destroyed = Destroyed(lab)
        destroyed.look()
        for _ in range(3):
            destroy = [("rotate", "tenant", "--tenant", "default"), ("rotate", "signing", "--emergency"), ("rotate", "intake", "--emergency"), ("rotate", "system")]
            for command in destroy:
                destroyed.look()
                lab.vaultctl(*command)
                os.kill(lab.pids()["keeper"], signal.SIGKILL)
                wait_until("service", lambda: works(lab), 30)
        wait_until("the old data key", lambda: not lab.admin("GET", "/v1/tenants/default/rotate").json["is_under_way"], 30)
        need(len(destroyed.gone()) >= 6, destroyed.gone().keys())
        wait_for_no_trace(lab, destroyed)


if __name__ == "__main__":
    run_cases(what_is_destroyed_leaves_no_trace, a_reader_holds_it_up_and_a_seal_does_not, a_keeper_that_is_killed_cleans_later)
