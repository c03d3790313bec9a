# SPDX-License-Identifier: Apache-2.0
"""The folder of the audit log: what is published, under which key, what it holds, and a program to verify it
that shares nothing with the daemon."""

import json
import os

from lab import TREE, run, wait_until


def checkpoint_size(folder):
    try:
        with open(f"{folder}/checkpoint") as text:
            return int(text.read().split("\n")[1])
    except FileNotFoundError:
        return 0


def published(lab, count):
    wait_until(f"a checkpoint of {count} entries", lambda: checkpoint_size(lab.audit_folder) >= count, 60)


def vkey(lab):
    with open(f"{lab.audit_folder}/vkey") as text:
        return text.read().strip()


def correlations(lab):
    found = {}
    for line in lab.vaultctl("audit", "export", "--log", lab.audit_folder).stdout.splitlines():
        entry = json.loads(line)
        found.setdefault(entry.get("correlation"), []).append(entry)
    return found


def verifier(lab):
    program = f"{lab.folder}/verifier"
    if not os.path.exists(program):
        run(f"{TREE}/tests/verifier/build", program)
    return program
