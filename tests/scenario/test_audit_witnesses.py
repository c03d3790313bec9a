#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""vault-witness beside a vault: it cosigns a log that grows, and refuses one that was cut or has another past, also
after it was killed; and it is locked up itself."""

import http.client
import os
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from auditlog import checkpoint_size, published, vkey  # noqa: E402
from lab import HANGS_S, Lab, need, run, run_cases, wait_until  # noqa: E402
from load import Load, serve  # noqa: E402
from ports import free_port  # noqa: E402


class Witness:
    """vault-witness as another process with a folder of its own."""

    def __init__(self, lab, key, tls=(), stderr=None):
        self.port = free_port()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [f"{lab.prefix}/sbin/vault-witness", "--name", "witness.example", "--state", f"{lab.folder}/witness",
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
            shown = checkpoint_size(lab.audit_folder)
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
            split = lab.vaultctl("audit", "verify", lab.audit_folder, "--key", key, "--policy", policy, "--cosigned",
                                 f"{lab.folder}/cosigned", check=False)
            need(split.returncode != 0 and "it was rewritten" in split.stderr, split.stderr)
        finally:
            witness.stop()


def a_witness_is_locked_up_and_survives_kill():
    with Lab("softhsm") as lab:
        for address in ("127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1:", "127.0.0.1:84x", "localhost:8470", "127.0.0.1"):
            done = subprocess.run(
                [f"{lab.prefix}/sbin/vault-witness", "--name", "w", "--state", f"{lab.folder}/w", "--listen", address, "--log",
                 "log.example+7e1ba4d9+AXZTmvBTgjGfCqJGXW1iAcYzYqYXHxpWpUUKdVKvgGD4"],
                capture_output=True, timeout=HANGS_S, text=True, check=False)
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


if __name__ == "__main__":
    run_cases(a_witness_sees_split_views_and_cuts, a_witness_tells_two_logs_of_one_key_apart,
              a_witness_is_locked_up_and_survives_kill)
