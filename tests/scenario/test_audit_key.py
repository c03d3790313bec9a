#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The key that signs the audit log is replaced: whoever knows the old one is led to the new one, and in an
emergency nobody is."""

import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from auditlog import published, verifier, vkey  # noqa: E402
from lab import Lab, need, run, run_cases, wait_until  # noqa: E402
from load import serve  # noqa: E402


def signatures(lab):
    with open(f"{lab.audit_folder}/checkpoint") as text:
        return text.read().count("\u2014 ")


def the_key_of_the_log_is_replaced():
    with Lab("softhsm", config={"rotation": {"checkpoint_overlap_s": 12}}) as lab:
        serve(lab)
        published(lab, 1)
        old = vkey(lab)
        shutil.copy(f"{lab.audit_folder}/checkpoint", f"{lab.folder}/old")

        def verify(*options, **how):
            return lab.vaultctl("--json", "audit", "verify", lab.audit_folder, *options, **how)
        lab.vaultctl("rotate", "checkpoint")
        wait_until("a checkpoint with both signatures", lambda: signatures(lab) == 2, 15)
        new = vkey(lab).split("\n")[0]
        need(vkey(lab).split("\n") == [new, old] and new != old, vkey(lab))
        for key in (old, new):  # whoever knows either key is served
            run(verifier(lab), "verify", lab.audit_folder, key)
            need(json.loads(verify("--key", key).stdout)["key_changes"] == 0, key)
        wait_until("the end of the overlap", lambda: vkey(lab) == new and signatures(lab) == 1, 30)
        run(verifier(lab), "verify", lab.audit_folder, new)
        need(json.loads(verify("--key", old).stdout)["key_changes"] == 1, "the handover is followed")
        verify("--key", old, "--from", f"{lab.folder}/old")
        lab.vaultctl("audit", "archive", "--log", lab.audit_folder, "--to", f"{lab.folder}/archive")
        told = lab.vaultctl_json("audit", "verify", f"{lab.folder}/archive", "--key", old)
        need(told["key_changes"] == 1, f"from an archive, too: {told}")
        need("was replaced 1 time" in lab.vaultctl("audit", "verify", lab.audit_folder, "--key", old).stdout, "said to people")
        entries = [entry for entry in lab.audit() if entry["operation"].startswith("rotate.checkpoint")]
        need([entry["operation"] for entry in entries] == ["rotate.checkpoint", "rotate.checkpoint.destroy"], entries)
        need(entries[0]["subject"] and entries[0]["subject"] != entries[1]["subject"], entries)
        # A handover that somebody else made leads nowhere.
        handover = f"{lab.audit_folder}/handover/{old.split('+')[1]}"
        with open(handover) as text:
            good = text.read()
        shutil.copytree(lab.audit_folder, f"{lab.folder}/copy")
        with open(f"{lab.folder}/copy/handover/{old.split('+')[1]}", "w") as out:
            out.write(good.replace(new.split("+")[2], old.split("+")[2]))
        need(lab.vaultctl("audit", "verify", f"{lab.folder}/copy", "--key", old, check=False).returncode != 0,
             "a forged handover was followed")
        os.unlink(handover)
        wait_until("the handover", lambda: os.path.exists(handover))
        with open(handover) as text:
            need(text.read() == good, "another handover")
        # In an emergency nobody vouches for the new key.
        lab.vaultctl("rotate", "checkpoint", "--emergency")
        wait_until("a checkpoint of the third key", lambda: vkey(lab) not in (old, new), 15)
        wait_until("its signature", lambda: verify("--key", vkey(lab), check=False).returncode == 0, 15)
        for key in (old, new):
            need(verify("--key", key, check=False).returncode != 0, "a key that ended in an emergency still counts")


if __name__ == "__main__":
    run_cases(the_key_of_the_log_is_replaced)
