#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who proves nothing can not fill the audit log: the same refusals of a second are one entry and a count, and none is lost."""
import json
import os
import sys
import time

import jsonschema

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/lib")
from lab import Lab, TREE, need, run_cases, stands_for, wait_until  # noqa: E402

REFUSALS = 400


def refused_redeems(lab):
    return [e for e in lab.audit() if e["operation"] == "token.redeem" and e["outcome"] == "deny" and "principal" not in e]


def the_same_refusal_is_counted():
    with Lab("softhsm") as lab:
        lab.serve()
        named = set()
        began = time.monotonic()
        for _ in range(REFUSALS):
            answer = lab.redeem("ey.a.b")
            need(answer.status in (400, 401, 403), answer)
            named.add(int(answer.headers["vault-audit-entry"]))
        seconds = time.monotonic() - began
        wait_until("the last count", lambda: stands_for(refused_redeems(lab)) == REFUSALS, 10)
        entries = refused_redeems(lab)
        need(len(entries) <= 2 * (seconds + 2), f"{len(entries)} entries in {seconds:.1f} s")
        need(any("repeats" in entry for entry in entries), entries)
        firsts = {entry["sequence"] for entry in entries if "repeats" not in entry}
        need(named == firsts, (named, firsts))
        with open(f"{TREE}/schemas/audit-entry.schema.json") as text:
            schema = json.load(text)
        for entry in entries:
            jsonschema.validate(entry, schema)
            need(entry["reason"] == entries[0]["reason"] and entry["source"] == entries[0]["source"], entry)
        need("more of the same" in lab.vaultctl("audit", "tail", "--count", "20").stdout, "audit tail says so")


def other_refusals_keep_their_entries():
    with Lab("softhsm") as lab:
        lab.serve()
        token = lab.token(lab.subject_token(groups=("ml", "ci")))
        named = []
        for number in range(20):
            answer = lab.redeem(token, host="evil.example", path=f"/{number}")
            need(answer.status == 403, answer)
            named.append(int(answer.headers["vault-audit-entry"]))
        need(len(set(named)) == 20, named)
        entries = {entry["sequence"]: entry for entry in lab.audit()}
        need([entries[n]["path"] for n in named] == [f"/{number}" for number in range(20)], "each says what was asked for")


def a_count_is_written_before_the_end():
    with Lab("softhsm") as lab:
        lab.serve()
        for _ in range(50):
            lab.redeem("ey.a.b")
        lab.stop()
        need(stands_for(refused_redeems(lab)) == 50, refused_redeems(lab))


if __name__ == "__main__":
    run_cases(the_same_refusal_is_counted, other_refusals_keep_their_entries, a_count_is_written_before_the_end)
