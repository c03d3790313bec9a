#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every answer that a client got has its record: no kill of any process loses one, and the answer names its
entry, which can be proven to others."""

import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from auditlog import published, verifier, vkey  # noqa: E402
from jose import new_client_key  # noqa: E402
from lab import HANGS_S, Lab, need, run, run_cases, wait_until  # noqa: E402
from load import Load, all_recorded, gone, serve, serves, victims  # noqa: E402

KILLS = int(os.environ.get("VAULT_AUDIT_KILLS", "24"))


def every_answer_has_its_record_after_kill():
    with Lab("softhsm") as lab:
        load = Load(lab, serve(lab))
        chance = random.Random(7)
        for _ in range(KILLS):
            wait_until("service", lambda: serves(lab, load), 20)
            end = time.monotonic() + chance.uniform(0.01, 1.5)
            victim = chance.choice(("auditor", "keeper", "everything"))
            killed = victims(lab, victim)
            pid = subprocess.Popen(["sh", "-c", f"sleep {max(0.0, end - time.monotonic()):.3f}; kill -9 {killed}"])
            load.run(1000000, until=lambda: time.monotonic() > end + 0.3)
            pid.wait()
            if victim == "everything":
                lab.process.wait(HANGS_S)
                wait_until("end of every process", lambda: gone(killed), 10)
                lab.process = None
                lab.start()
        wait_until("service", lambda: serves(lab, load), 20)
        all_recorded(lab, load)


class OneProof:
    """A client whose proofs all have one identity."""

    def __init__(self, key):
        self.key = key

    def dpop(self, *argv, **claims):
        return self.key.dpop(*argv, jti="the-same-again", **claims)


def an_answer_carries_its_receipt():
    with Lab("softhsm") as lab:
        token = serve(lab)
        issued = lab.exchange(lab.subject_token(groups=("ml", "ci")))
        redeemed = lab.redeem(token, request_id="receipt-1")
        need(issued.status == 200 and redeemed.status == 200, f"{issued} {redeemed}")
        published(lab, int(redeemed.headers["vault-audit-entry"]))
        for answer, kind in ((issued, "issue"), (redeemed, "redeem")):
            proof, entry = f"{lab.folder}/proof", f"{lab.folder}/entry"
            number = answer.headers["vault-audit-entry"]
            lab.vaultctl("audit", "prove", number, "--log", lab.audit_folder, "-o", proof, "--entry", entry)
            run(verifier(lab), "proof", proof, entry, vkey(lab))
            with open(entry) as text:
                event = json.load(text)
            need(event["kind"] == kind and event["outcome"] == "allow" and str(event["sequence"]) == number, event)
        need(event["correlation"] == "receipt-1", event)
        # The Admin API has it, too; entry 1 and one that does not exist are the edges.
        for number in (int(redeemed.headers["vault-audit-entry"]), 1):
            receipt = lab.admin("GET", f"/v1/audit/{number}/proof")
            need(receipt.status == 200, receipt)
            for path, text in ((proof, receipt.json["proof"]), (entry, receipt.json["entry"])):
                with open(path, "w", newline="") as out:
                    out.write(text)
            run(verifier(lab), "proof", proof, entry, vkey(lab))
            need(json.loads(receipt.json["entry"])["sequence"] == number, receipt.json["entry"])
        need(lab.admin("GET", "/v1/audit/4000000/proof").status == 404, "an entry that is not there")
        with open(entry, "a") as out:
            out.write(" ")
        refused = subprocess.run([verifier(lab), "proof", proof, entry, vkey(lab)], capture_output=True, timeout=HANGS_S, check=False)
        need(refused.returncode != 0, "an altered entry")
        # So does a denial: a policy's at issue, the redeemer's own, and the keeper's of both.
        key = new_client_key()
        lab.token(key=OneProof(key))
        revoked = lab.token(key=key)
        done = lab.broker("POST", "/oauth2/revoke", f"token={revoked}", {"content-type": "application/x-www-form-urlencoded"})
        need(done.status == 200, done)
        for answer, status, kind in ((lab.exchange(lab.subject_token("mallory", ["nobody"])), 400, "issue"),
                                     (lab.redeem(token, host="evil.example", request_id="receipt-2"), 403, "redeem"),
                                     (lab.exchange(key=OneProof(key)), 400, "issue"),
                                     (lab.redeem(revoked, key), 401, "redeem")):
            need(answer.status == status and answer.headers.get("vault-audit-entry"), answer)
            published(lab, int(answer.headers["vault-audit-entry"]))
            lab.vaultctl("audit", "prove", answer.headers["vault-audit-entry"], "--log", lab.audit_folder, "-o", proof, "--entry", entry)
            run(verifier(lab), "proof", proof, entry, vkey(lab))
            with open(entry) as text:
                event = json.load(text)
            need(event["kind"] == kind and event["outcome"] == "deny", event)


if __name__ == "__main__":
    run_cases(every_answer_has_its_record_after_kill, an_answer_carries_its_receipt)
