#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Processes that hang, and processes of another version."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from lab import HANGS_S, ROLES, Lab, need, run_cases, wait_until  # noqa: E402
from pace import clock  # noqa: E402

HANG_S = 3
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17


def a_role_that_hangs_is_replaced():
    with Lab(config={"hang_s": HANG_S}) as lab:
        key, token = lab.start_ready()
        for roles in (set(ROLES) - {"auditor"}, {"auditor"}):
            before = lab.pids()
            started = time.monotonic()
            for role in roles:
                os.kill(before[role], signal.SIGSTOP)
            wait_until("new processes", lambda: all(lab.pids().get(role) not in (None, before[role]) for role in roles))
            took = time.monotonic() - started
            need(took >= HANG_S * 5 / 6, f"replaced after {took} s already")
            wait_until("service", lambda: lab.works(token, key))
            need(all(lab.pids()[role] == before[role] for role in set(ROLES) - roles), "a role that does not hang was replaced")
        need(all(f"vaultd: {role} 0 has not answered for 3 s: it is replaced" in lab.log() for role in ROLES), "the log does not say so")
        # Also what happened to the auditor, which the next one was told.
        told = [(entry["operation"], entry.get("subject")) for entry in lab.audit()]
        need(all(("role.hang", f"{role} 0 has not answered for 3 s") in told for role in ROLES), told)
        need(all(("role.restart", f"{role} 0 was ended by signal 9 (Killed)") in told for role in ROLES), told)


def who_can_not_help_it_is_left_alone():
    """A machine that sleeps, and a role at which somebody looks."""
    with Lab(config={"hang_s": HANG_S}) as lab:
        key, token = lab.start_ready()
        before = lab.pids()
        everybody = [lab.process.pid, *before.values()]
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in everybody if number == signal.SIGSTOP else reversed(everybody[1:]):
                os.kill(pid, number)
            if number == signal.SIGSTOP:
                time.sleep(HANG_S + 1)
                os.kill(lab.process.pid, signal.SIGCONT)  # first: the roles have been silent when it looks
                time.sleep(0.2)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        broker = before["broker"]
        if os.getuid() == 0:
            need(libc.ptrace(SEIZE, broker, None, None) == 0 and libc.ptrace(INTERRUPT, broker, None, None) == 0, os.strerror(ctypes.get_errno()))
            os.waitpid(broker, 0)
            wait_until("a word about it", lambda: "broker 0 has not answered for 3 s and is left alone: it is being traced" in lab.log())
            time.sleep(HANG_S / 2)
            need(libc.ptrace(DETACH, broker, None, None) == 0, os.strerror(ctypes.get_errno()))
            wait_until("it goes on", lambda: "broker 0 answers again" in lab.log())
        wait_until("service", lambda: lab.works(token, key))
        need(lab.pids() == before, f"{before} became {lab.pids()}")


def status_answers_when_the_keeper_hangs():
    with Lab() as lab:
        lab.start_ready()
        keeper = lab.pids()["keeper"]
        os.kill(keeper, signal.SIGSTOP)
        try:
            for verb, expected in ((["status"], 6), (["tenant", "list"], 0)):
                started = clock()
                done = lab.vaultctl(*verb, check=False)
                need(clock() - started < 8, f"{verb} took {clock() - started} s")
                need(done.returncode == expected, done)
                if expected:
                    need("the keeper has not answered for 3 s" in done.stderr and "hang_s" in done.stderr, done.stderr)
            need(lab.admin("GET", "/v1/ready").status == 503, "ready")
        finally:
            os.kill(keeper, signal.SIGCONT)
        lab.vaultctl("status")  # and what came late has not confused anybody


def a_role_of_another_version_says_so():
    with Lab() as lab:
        for identity, named in (("0.0.9 (messages 00000000)", "0.0.9"), (None, "older")):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            environment = {"VAULTD_IDENTITY": identity} if identity else {}
            for role in ROLES:
                done = subprocess.run(["bash", "-c", f"exec 3<&{theirs.fileno()}; exec {lab.prefix}/libexec/vaultd/vaultd-{role}"], env=environment,
                                      pass_fds=[theirs.fileno()], capture_output=True, text=True, timeout=HANGS_S)
                need(done.returncode == 1, done)
                need(f"{role}: can not start" in done.stderr and "restart vaultd" in done.stderr and named in done.stderr, done.stderr)
                version = subprocess.run([f"{lab.prefix}/sbin/vaultd", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
                need(f"of version {version} (" in done.stderr, done.stderr)
            ours.close()
            theirs.close()


if __name__ == "__main__":
    run_cases(a_role_that_hangs_is_replaced, who_can_not_help_it_is_left_alone, status_answers_when_the_keeper_hangs,
              a_role_of_another_version_says_so)
