#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Disks that fill up, stall or turn read-only, files that vanish or are replaced,
processes that are killed: at random instants under load. Every answer that a client
got has its record, the log verifies, decisions stop while nothing can be recorded,
and they go on once somebody mended it. In mounts of its own; needs root.

VAULT_DISK_FAULTS=300 makes it hundreds."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/lib")
from lab import HANGS_S, Lab, need, run, run_cases, wait_until  # noqa: E402
from load import Load, all_recorded, gone, serve, serves, victims  # noqa: E402
from pace import clock  # noqa: E402

DISK_MIB = 96 + 4 * int(os.environ.get("VAULT_DISK_FAULTS", "20"))  # the log must fit when nobody fills it up
FAULTS = int(os.environ.get("VAULT_DISK_FAULTS", "20"))


class Disk:
    """A file system of its own below the audit folder: ext4 in a file where loop devices work (it can be frozen and
    made read-only), else a small tmpfs."""

    def __init__(self, lab):
        self.lab, self.folder, self.loop = lab, lab.audit_folder, None
        os.mkdir(self.folder, 0o750)
        image = f"{lab.folder}/disk"
        with open(image, "wb") as file:
            file.truncate(DISK_MIB << 20)
        found = subprocess.run(["losetup", "--find", "--show", image], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if found.returncode == 0 and subprocess.run(["mkfs.ext4", "-q", "-m", "0", found.stdout.strip()]).returncode == 0:
            self.loop = found.stdout.strip()
        self.mount()
        if os.path.isdir(f"{self.folder}/lost+found"):
            os.rmdir(f"{self.folder}/lost+found")

    def mount(self):
        what = [self.loop, self.folder] if self.loop else ["-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", self.folder]
        run("mount", *what)
        if self.lab.users:
            run("chown", "vault-auditor:vaultd", self.folder)
            os.chmod(self.folder, 0o750)

    def done(self):
        if self.loop:
            subprocess.run(["fsfreeze", "-u", self.folder], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["umount", "-l", self.folder], check=False)
        if self.loop:
            subprocess.run(["losetup", "-d", self.loop], check=False)

    def journal(self):
        return f"{self.folder}/{max(name for name in os.listdir(self.folder) if name.endswith('.jsonl'))}"


def stops(lab, load, why):
    """A few decisions may still fit; then there are none."""
    end = clock() + 10
    while clock() < end:
        before = len(load.answered)
        load.run(200)
        if len(load.answered) == before:
            return
    raise AssertionError(f"decisions go on: {why}")


def administration_answers(lab):
    """At once, or when a keeper that was killed is back."""
    wait_until("an answer to administration", lambda: lab.vaultctl("status", check=False).returncode == 0, 20)


def fill_up(lab, disk, load, chance):
    ballast = f"{disk.folder}/ballast"
    with open(ballast, "wb", buffering=0) as file:
        at, size = 0, 64 << 20
        while size >= 1024:
            try:
                os.posix_fallocate(file.fileno(), at, size)
                at += size
            except OSError:
                size //= 2
    time.sleep(chance.uniform(0, 0.2))
    stops(lab, load, "the disk is full")
    administration_answers(lab)
    os.unlink(ballast)


def stall(lab, disk, load, chance):
    """The disk takes nothing for a while, and fails nobody."""
    if not disk.loop:
        return
    run("fsfreeze", "-f", disk.folder)
    try:
        time.sleep(chance.uniform(0.05, 0.6))
    finally:
        run("fsfreeze", "-u", disk.folder)


def take_away(lab, disk, load, chance):
    path = disk.journal()
    os.rename(path, f"{disk.folder}/elsewhere")
    try:
        stops(lab, load, "the file is gone")
    finally:
        os.rename(f"{disk.folder}/elsewhere", path)


def replace(lab, disk, load, chance):
    path = disk.journal()
    os.rename(path, f"{disk.folder}/elsewhere")
    shutil.copy(f"{disk.folder}/elsewhere", path)
    try:
        stops(lab, load, "another file stands there")
    finally:
        os.rename(f"{disk.folder}/elsewhere", path)


def kill(lab, disk, load, chance):
    which = chance.choice(("auditor", "keeper", "everything"))
    killed = victims(lab, which)
    subprocess.run(["kill", "-9", *killed.split()], check=False)
    if which == "everything":
        lab.process.wait(HANGS_S)
        wait_until("end of every process", lambda: gone(killed), 10)
        lab.process = None
        lab.start()


def every_answer_has_its_record_whatever_the_disk_does():
    with Lab("softhsm") as lab:
        disk = Disk(lab)
        try:
            load, chance = Load(lab, serve(lab)), random.Random(5)
            done = {}
            for _ in range(FAULTS):
                wait_until("service", lambda: serves(lab, load), 20)
                fault = chance.choice((fill_up, stall, take_away, replace, kill))
                busy = threading.Event()
                other = Load(lab, load.token)
                other.sent = 10_000_000 + 1_000_000 * sum(done.values())  # numbers of its own
                worker = threading.Thread(target=other.run, args=(1_000_000, busy.is_set))
                worker.start()
                time.sleep(chance.uniform(0, 0.3))
                try:
                    fault(lab, disk, load, chance)
                finally:
                    busy.set()
                    worker.join(HANGS_S)
                need(not worker.is_alive(), "a connection hangs")
                load.answered += other.answered
                done[fault.__name__] = done.get(fault.__name__, 0) + 1
            wait_until("service", lambda: serves(lab, load), 20)
            all_recorded(lab, load)
            print(f"     {done}", flush=True)
        finally:
            lab.stop(9)
            disk.done()


def a_disk_that_turns_read_only_stops_decisions():
    """As after an error of the device: nothing mends that but a new mount and a restart."""
    with Lab("softhsm") as lab:
        disk = Disk(lab)
        try:
            load = Load(lab, serve(lab))
            load.run(500)
            if not disk.loop:
                print("     no loop devices here: left out", flush=True)
                return
            run("mount", "-o", "remount,abort", disk.folder)
            stops(lab, load, "the file system is read-only")
            administration_answers(lab)
            lab.stop(9)
            run("umount", disk.folder)
            disk.mount()
            lab.start()
            wait_until("service", lambda: serves(lab, load), 20)
            load.run(500)
            all_recorded(lab, load)
        finally:
            lab.stop(9)
            disk.done()


def a_role_that_waits_for_its_disk_is_left_alone():
    """It is silent, and a new one would wait as well. When the disk is back and it is silent still, it is replaced."""
    with Lab("softhsm", config={"hang_s": 3}) as lab:
        disk = Disk(lab)
        try:
            load = Load(lab, serve(lab))
            if not disk.loop:
                print("     no loop devices here: left out", flush=True)
                return
            auditor = lab.pids()["auditor"]
            run("fsfreeze", "-f", disk.folder)
            threading.Thread(target=load.run, args=(1,), daemon=True).start()
            wait_until("a thread in state D", lambda: " D " in thread_states(auditor), 10)
            os.kill(auditor, signal.SIGSTOP)
            wait_until("a word about it", lambda: "auditor 0 has not answered for 3 s and is left alone: it waits for a disk" in lab.log(), 10)
            time.sleep(1)
            need(lab.pids().get("auditor") == auditor and "it is replaced" not in lab.log(), "it was replaced")
            run("fsfreeze", "-u", disk.folder)
            wait_until("a new auditor", lambda: lab.pids().get("auditor") not in (None, auditor), 10)
            wait_until("service", lambda: serves(lab, load), 20)
        finally:
            subprocess.run(["fsfreeze", "-u", disk.folder], stderr=subprocess.DEVNULL, check=False)
            lab.stop(9)
            disk.done()


def thread_states(pid):
    states = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat") as text:
            states.append(text.read().rsplit(")", 1)[1].split()[0])
    return f" {' '.join(states)} "


if __name__ == "__main__":
    if os.getuid() != 0:
        print("only root can mount: left out\n0 passed, 0 failed")
        sys.exit(0)
    if os.environ.get("VAULT_OWN_MOUNTS") != "1":
        os.environ["VAULT_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
    run_cases(every_answer_has_its_record_whatever_the_disk_does, a_disk_that_turns_read_only_stops_decisions,
              a_role_that_waits_for_its_disk_is_left_alone)
