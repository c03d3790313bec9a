#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Old entries move to an archive and leave the vault; everything that was signed
still verifies, and nothing goes that the archive or a receiver does not have."""

import json
import os
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/lib")
from auditlog import checkpoint_size  # noqa: E402
from lab import HANGS_S, Lab, need, run, run_cases, wait_until  # noqa: E402
from load import serve  # noqa: E402
from ports import free_port  # noqa: E402


def decide(lab, token, until):
    """So many entries are published."""
    while len(lab.audit()) < until:
        for _ in range(50):
            need(lab.redeem(token).status == 200, "a decision that fails")
    wait_until("the checkpoint", lambda: checkpoint_size(lab.audit_folder) >= until, 30)


def bundles(folder):
    return sorted(name for name in os.listdir(f"{folder}/tile/entries") if not name.endswith(".p"))


def entries_move_to_an_archive():
    with Lab("softhsm") as lab:
        token, log, archive = serve(lab), lab.audit_folder, f"{lab.folder}/archive"
        decide(lab, token, 600)
        with open(f"{log}/vkey") as text:
            key = text.read().strip()

        def audit(*argv, **how):
            return lab.vaultctl("--json", "audit", *argv, "--key", key, **how)

        def refused(why, *argv):
            done = audit(*argv, check=False)
            need(done.returncode != 0 and why in done.stderr, f"{argv}: {done.stderr}")
        refused("no archive", "prune", "--log", log, "--before", "300", "--archive", lab.folder)
        first = json.loads(audit("archive", "--log", log, "--to", archive).stdout)
        need(first["entries"] >= 600 and first["files_added"] >= 7, first)
        need(json.loads(audit("archive", "--log", log, "--to", archive).stdout)["files_added"] <= 4, "the second run adds what is new")
        refused("run `vaultctl audit archive`", "prune", "--log", log, "--before", "100000", "--archive", archive)
        # An archive that is not what was signed counts for nothing.
        forged = f"{lab.folder}/forged"
        shutil.copytree(archive, forged)
        with open(f"{forged}/tile/entries/000", "r+b") as file:
            file.seek(200)
            byte = file.read(1)
            file.seek(200)
            file.write(bytes([byte[0] ^ 1]))
        refused("entry", "prune", "--log", log, "--before", "300", "--archive", forged)
        refused("another file", "archive", "--log", log, "--to", forged)
        # Nor does one that is the log, however it is named: what goes here would be gone there.
        os.symlink(log, f"{lab.folder}/link")
        refused("the log itself", "archive", "--log", log, "--to", f"{lab.folder}/link")
        linked = f"{lab.folder}/linked"
        shutil.copytree(archive, linked, copy_function=os.link)
        os.unlink(f"{linked}/tile/entries/000")
        os.link(f"{log}/tile/entries/000", f"{linked}/tile/entries/000")
        shutil.copytree(f"{archive}/checkpoints", f"{log}/checkpoints")
        for same in (log, f"{lab.folder}/link", linked):
            refused("it is no copy", "prune", "--log", log, "--before", "300", "--archive", same)
        shutil.rmtree(f"{log}/checkpoints")
        # Whoever does not say that an archive has them, where the vault knows none, takes nothing away by one call.
        for said in ({}, {"archived": False}):
            answer = lab.admin("POST", "/v1/audit/prune", {"entries": 256, **said})
            need(answer.status == 409 and "audit.archive is not set" in answer.json["detail"] and "vaultctl audit prune" in answer.json["detail"], answer)
        need(lab.admin("POST", "/v1/audit/prune", {"entries": 256, "archived": "yes"}).status == 400, "not a yes")
        need(bundles(log)[:2] == ["000", "001"], "something was pruned that should not")
        # The archive is a log by itself.
        need(json.loads(audit("verify", archive).stdout)["entries"] >= 600, "the archive alone")
        need(json.loads(audit("search", "--log", archive, "--operation", "vault.init").stdout)["sequence"] == 2, "a search of it")
        audit("prove", "3", "--log", archive, "-o", f"{lab.folder}/p", "--entry", f"{lab.folder}/e")
        audit("check", f"{lab.folder}/p", f"{lab.folder}/e")
        need(lab.vaultctl("audit", "verify", archive, check=False).returncode == 4, "whose key?")
        need(lab.vaultctl("audit", "verify", archive, "--log", log, check=False).returncode == 2, "which of two folders?")
        # Part of it goes; it is recorded, and the log verifies with and without the archive.
        need(json.loads(audit("prune", "--log", log, "--before", "300", "--archive", archive).stdout)["pruned"] == 256, "whole tiles only")
        need(bundles(log)[0] == "001", bundles(log))
        need([entry["subject"] for entry in lab.audit() if (entry["operation"], entry["outcome"]) == ("audit.prune", "allow")] == ["entries 1 to 256"], "not recorded")
        need(json.loads(audit("verify", log).stdout)["pruned"] == 256, "what was not seen is said")
        need(json.loads(audit("verify", log, "--archive", archive).stdout)["pruned"] == 0, "the archive has them")
        refused("entry", "verify", log, "--archive", forged)
        searches_know_what_was_pruned(lab, log, archive)
        forgeries_are_noticed(lab, token, audit, refused, archive)
        # It goes on: more entries, a restart, the archive grows from a pruned log, the next part goes.
        decide(lab, token, 1100)
        lab.stop()
        with open(f"{log}/pruned") as text:
            pruned = text.read()
        need(pruned.count("\n") == 2, pruned)
        with open(f"{log}/pruned", "w") as text:  # as earlier versions wrote it
            text.write("256\n")
        refused(f"restore it with two lines, 256 and {pruned.split()[1]}", "verify", log)
        lost = lose_partial_tiles(log)
        lab.start()

        def repairs():
            return [entry["reason"] for entry in lab.audit() if entry["operation"] == "audit.repair"]
        wait_until("the record", lambda: len(repairs()) == 2)
        said = "; ".join(repairs())
        need("missing or damaged when vaultd started" in said and all(name in said and name in lab.log() for name in lost), f"{lost}: {said}")
        with open(f"{log}/pruned") as text:
            need(text.read() == pruned, "the file of an earlier version")
        told = f"left by an earlier version, and written again: pruned (entries 1 to 256 are gone, as entry {pruned.split()[1]} says)"
        need(told in said and told in lab.log(), said)
        audit("verify", log, "--archive", archive)
        audit("archive", "--log", log, "--to", archive)
        audit("prune", "--log", log, "--before", "1025", "--archive", archive)
        need(bundles(log) == [], bundles(log))
        need(json.loads(audit("verify", log, "--archive", archive).stdout)["entries"] >= 1100, "the whole log")
        proof, entry = f"{lab.folder}/proof", f"{lab.folder}/entry"
        audit("prove", "1060", "--log", log, "-o", proof, "--entry", entry)
        # By date: nothing is that old, and everything is older than next year.
        need(json.loads(audit("prune", "--log", log, "--before", "2020-01-01", "--archive", archive).stdout)["pruned"] == 0, "by date")


def lose_partial_tiles(log):
    """Those of the checkpoint, which nothing but the journal and full tiles can give back. Their names."""
    size, lost = checkpoint_size(log), []
    for level, of in (("entries", size), ("0", size), ("1", size // 256)):
        name = f"tile/{level}/{of // 256:03}.p/{of % 256}"
        if of % 256:
            os.unlink(f"{log}/{name}")
            lost.append(name)
    need(lost, size)
    return lost


def forgeries_are_noticed(lab, token, audit, refused, archive):
    """Whoever can write the log's folder can remove bundles and write what he likes into `pruned`. Entries 1 to 256 were lawfully pruned."""
    log, away, verifier = lab.audit_folder, f"{lab.folder}/away", f"{lab.folder}/verifier"
    run(f"{HERE}/../verifier/build", verifier)

    def others_say():  # a program that shares no line with ours
        with open(f"{log}/vkey") as text:
            return subprocess.run([verifier, "verify", log, text.read().strip()], capture_output=True, text=True, timeout=HANGS_S)
    pruning = [entry["sequence"] for entry in lab.audit() if (entry["operation"], entry["outcome"]) == ("audit.prune", "allow")]
    good = f"256\n{pruning[-1]}\n"
    with open(f"{log}/pruned") as text:
        need(text.read() == good, "the file pruned")
    need(json.loads(audit("verify", log).stdout)["prune_entry"] == pruning[-1], "which entry says so")
    need("256 entries were pruned" in others_say().stdout, others_say())

    def write(text):
        with open(f"{log}/pruned.new", "w") as file:
            file.write(text)
        os.rename(f"{log}/pruned.new", f"{log}/pruned")
    os.unlink(f"{log}/pruned")
    refused(f"restore it with two lines, 256 and {pruning[-1]}", "verify", log)
    write(good)
    os.rename(f"{log}/tile/entries/001", away)
    wait_until("the refusal", lambda: lab.redeem(token).status == 503)
    for forged in (good, f"512\n{pruning[-1]}\n", "512\n514\n", "512\n99999\n"):
        write(forged)
        need(others_say().returncode == 1, f"{forged}: {others_say()}")
        for more in ((), ("--archive", archive)):
            for since in ((), ("--from", f"{log}/checkpoint")):
                refused("bundle 1 (entries 257 to 512) is missing and no audit.prune entry covers it", "verify", log, *more, *since)
        if forged != good:
            for verb in (("search", "--operation", "vault.init"), ("export",), ("prove", "300")):
                refused("the file pruned says that entries 1 to 512 are gone", *verb, "--log", log)
    told = json.loads(audit("verify", log, check=False).stderr)["error"]
    need((told["class"], told["exit_status"]) == ("crypto", 1), told)
    answer = lab.admin("GET", "/v1/audit/300/proof")
    need(answer.status == 409, answer)
    need(lab.redeem(token).status == 503, "the vault believes the file")
    lab.stop()
    lab.start(wait=False)  # nor does one that was not there when it happened
    wait_until("the refusal to start", lambda: "was altered: the file pruned says that entries 1 to 512 are gone" in lab.log(), 15)
    lab.stop()
    os.rename(away, f"{log}/tile/entries/001")
    write(good)
    lab.start()
    wait_until("service", lambda: lab.redeem(token).status == 200)
    audit("verify", log)


def searches_know_what_was_pruned(lab, log, archive):
    """Behind what was pruned as before, and in the archive if there is one. First and 256 are the last entries that went."""
    def search(*options):
        done = lab.vaultctl("--json", "audit", *options, "--log", log)
        return [json.loads(line)["sequence"] for line in done.stdout.splitlines()], done.stderr
    index = ("--index", f"{lab.folder}/index")
    credential = ("search", "--credential", "openai-prod", *index)
    found, said = search(*credential)
    need(found and found[0] == 257 and "entries 1 to 256 were pruned" in said, f"{found[:1]} {said}")
    found, said = search(*credential, "--archive", archive)
    need(found[0] < 20 and 256 in found and not said, f"{found[:1]} {said}")
    proof = lab.vaultctl("audit", "prove", "3", "--log", log, check=False)
    need(proof.returncode == 4 and "was pruned: give its archive" in proof.stderr, proof.stderr)
    lab.vaultctl("audit", "prove", "3", "--log", log, "--archive", archive, "-o", f"{lab.folder}/p3", "--entry", f"{lab.folder}/e3")
    lab.vaultctl("audit", "check", f"{lab.folder}/p3", f"{lab.folder}/e3", "--key", f"{log}/vkey")
    answer = lab.admin("GET", "/v1/audit/3/proof")
    need(answer.status == 404 and "was pruned" in answer.json["detail"], answer)
    need(search("export")[0][0] == 257 and search("export", "--archive", archive)[0][0] == 1, "export")
    need(search("export", "--first", "300", "--last", "300") == ([300], ""), "what is there needs no word")
    inventory = [lab.vaultctl_json("audit", "inventory", "--log", log, *index, *more)["identities"] for more in ((), ("--archive", archive))]
    need(inventory[0][0]["first"] > inventory[1][0]["first"], inventory)
    need(lab.vaultctl_json("audit", "unused", "--log", log, *index)["log_begins"] >= inventory[0][0]["first"][:19], "the beginning of the log")


def a_receiver_that_is_behind_keeps_its_entries():
    with Lab("softhsm", config={"shipping": {"collector": f"https://localhost:{free_port()}/"}}) as lab:
        lab.extra["shipping"]["positions"] = f"{lab.folder}/positions"
        lab.write_config()
        token, archive = serve(lab), f"{lab.folder}/archive"
        decide(lab, token, 300)
        lab.vaultctl("audit", "archive", "--log", lab.audit_folder, "--to", archive)
        done = lab.vaultctl("audit", "prune", "--log", lab.audit_folder, "--before", "280", "--archive", archive, check=False)
        need(done.returncode == 5 and "the collector does not have these entries" in done.stderr, done.stderr)
        need(bundles(lab.audit_folder) == ["000"], "pruned all the same")
        # Without a shipper nobody knows what they have. It takes longer each time to come back.
        for ends in range(1, 6):
            wait_until("the shipper", lambda: "shipper" in lab.pids())
            os.kill(lab.pids()["shipper"], signal.SIGKILL)
            wait_until("its end", lambda: lab.log().count("shipper 0 was ended by signal 9") == ends)
        answer = lab.admin("POST", "/v1/audit/prune", {"entries": 256})
        need(answer.status == 503 and "the shipper does not answer" in answer.json["detail"], answer)
        need(lab.vaultctl_json("status")["shipping"] == "the shipper does not answer", "status")
        need(bundles(lab.audit_folder) == ["000"], "pruned all the same")


def what_the_vaults_own_archive_does_not_have_stays():
    """Whoever administers may be careless, or somebody else."""
    with Lab("softhsm") as lab:
        archive = f"{lab.folder}/archive"
        lab.extra["audit"] = {"archive": archive}
        lab.write_config()
        token = serve(lab)
        decide(lab, token, 600)

        def prune(entries, status, said, **more):
            answer = lab.admin("POST", "/v1/audit/prune", {"entries": entries, **more})
            need(answer.status == status and said in answer.json.values(), answer)
        wait_until("the auditor's word", lambda: lab.vaultctl_json("status")["audit"]["published"] >= 600)
        prune(512, 503, "audit.archive can not be read")
        prune(512, 503, "audit.archive can not be read", archived=True)  # nobody's word counts then
        lab.vaultctl("audit", "archive", "--log", lab.audit_folder, "--to", archive)
        lab.vaultctl("seal")  # nobody signs the record, so nothing goes
        answer = lab.admin("POST", "/v1/audit/prune", {"entries": 512})
        need(answer.status == 503 and "nobody signs checkpoints" in answer.json["detail"], answer)
        need(("audit.prune", "allow") not in [(entry["operation"], entry["outcome"]) for entry in lab.audit() if entry["kind"] == "vault"], "permitted all the same")
        need(bundles(lab.audit_folder)[:2] == ["000", "001"] and not os.path.exists(f"{lab.audit_folder}/pruned"), bundles(lab.audit_folder))
        lab.vaultctl("unseal")
        os.chmod(archive, 0o755)
        os.rename(f"{archive}/tile/entries/001", f"{archive}/elsewhere")
        prune(512, 409, "audit.archive does not have these entries")
        need(bundles(lab.audit_folder)[:2] == ["000", "001"], bundles(lab.audit_folder))
        prune(256, 200, 256)
        os.rename(f"{archive}/elsewhere", f"{archive}/tile/entries/001")
        prune(512, 200, 512)
        need(bundles(lab.audit_folder)[:1] != ["001"], bundles(lab.audit_folder))
        said = [(entry["outcome"], entry.get("reason")) for entry in lab.audit() if entry["operation"] == "audit.prune"]
        need(("error", "audit.archive does not have these entries") in said and said[-1] == ("allow", None), said)
        lab.vaultctl("audit", "verify", lab.audit_folder, "--archive", archive)


def a_receiver_that_comes_later_gets_what_is_there():
    with Lab("softhsm") as lab:
        token, archive, out = serve(lab), f"{lab.folder}/archive", f"{lab.folder}/out"
        decide(lab, token, 300)
        lab.vaultctl("audit", "archive", "--log", lab.audit_folder, "--to", archive)
        lab.vaultctl("audit", "prune", "--log", lab.audit_folder, "--before", "280", "--archive", archive)
        os.mkdir(out)
        lab.extra["shipping"] = {"file": f"{out}/file", "positions": f"{lab.folder}/positions"}
        position = f"{lab.folder}/positions/file/position"

        def hand_over(*paths):
            if lab.users:
                run("chown", "-R", "vault-shipper:vaultd", *paths)

        def again(change):
            lab.stop()
            change()
            lab.write_config()
            lab.start()
            wait_until("service", lambda: lab.redeem(token).status == 200)

        def shipped():
            return lab.vaultctl_json("status").get("shipping", {}).get("file", {})

        def numbers():
            with open(f"{out}/file") as text:
                return [json.loads(line)["sequence"] for line in text]
        again(lambda: hand_over(out))
        wait_until("what is there", lambda: shipped().get("confirmed", 0) > 300 and shipped()["behind"] == 0)
        need(numbers()[0] == 257 and numbers() == list(range(257, numbers()[-1] + 1)), numbers()[:3])
        need("entries 1 to 256 are not shipped to the file: they were pruned" in lab.log(), "it does not say what it leaves out")

        # A position that can not be read is no reason to begin again unasked.
        def damage():
            with open(position, "w") as text:
                text.write("nonsense")
        before = numbers()
        again(damage)
        wait_until("the trouble", lambda: shipped().get("failures", 0) >= 4)
        need("is damaged: remove it" in shipped()["problem"] and numbers() == before, f"{shipped()}")
        again(lambda: os.unlink(position))
        wait_until("everything again", lambda: shipped().get("behind") == 0 and shipped().get("confirmed", 0) > 300)
        need(numbers().count(257) == 2, "not shipped again")


if __name__ == "__main__":
    run_cases(entries_move_to_an_archive, a_receiver_that_is_behind_keeps_its_entries, a_receiver_that_comes_later_gets_what_is_there, what_the_vaults_own_archive_does_not_have_stays)
