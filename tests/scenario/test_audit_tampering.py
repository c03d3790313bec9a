#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Files of the audit log that somebody rolled back, altered or removed: the vault notices, stops deciding where
it must, and goes on when they are whole again."""

import hashlib
import os
import shutil
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from auditlog import published  # noqa: E402
from lab import Lab, need, run, run_cases, wait_until  # noqa: E402
from load import Load, serve  # noqa: E402


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
        need("files of the audit log were removed or altered behind the vault's back, and written again: vkey" in lab.log(),
             "the log does not say it")
        need("decisions stop" not in lab.log(), "nothing has to stop")


if __name__ == "__main__":
    run_cases(a_log_that_was_rolled_back_is_refused, an_altered_log_is_refused,
              files_that_are_taken_away_stop_decisions, small_files_are_made_again)
