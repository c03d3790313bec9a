#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Evidence of a vault's TPM, verified with nothing but the file, the nonce and the
root of the TPM's maker: a swtpm with a certificate of a local authority."""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from lab import HANGS_S, Lab, need, run, run_cases, wait_until  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_openapi import Document  # noqa: E402
from test_measured_boot import BootLab, extended, FIRMWARE, KERNEL, boot  # noqa: E402


def endorse(lab):
    """The swtpm anew, as its maker leaves it: with an endorsement certificate."""
    folder = lab.device.folder
    lab.device.stop()
    for name in os.listdir(folder):
        if name.startswith("tpm2"):
            os.unlink(f"{folder}/{name}")
    ca = f"{lab.folder}/ca"
    os.mkdir(ca)
    with open(f"{ca}/ca.conf", "w") as out:
        out.write(f"statedir = {ca}\nsigningkey = {ca}/signkey.pem\nissuercert = {ca}/issuercert.pem\ncertserial = {ca}/certserial\n")
    with open(f"{ca}/options", "w") as out:
        out.write("--platform-manufacturer Test\n")
    with open(f"{ca}/setup.conf", "w") as out:
        out.write(f"create_certs_tool= /usr/bin/swtpm_localca\ncreate_certs_tool_config = {ca}/ca.conf\n"
                  f"create_certs_tool_options = {ca}/options\nactive_pcr_banks = sha256\n")
    run("swtpm_setup", "--tpm2", "--tpmstate", folder, "--config", f"{ca}/setup.conf", "--create-ek-cert", "--logfile", f"{ca}/log")
    lab.device.start()
    return f"{ca}/swtpm-localca-rootca-cert.pem", f"{ca}/issuercert.pem"


def elsewhere(lab, *argv):
    """vaultctl on a machine without any vault."""
    return subprocess.run([f"{lab.prefix}/bin/vaultctl", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=HANGS_S, text=True,
                          env={"PATH": os.environ["PATH"], "VAULTCTL_SERVER": "unix:/nonexistent"})


def verify(lab, evidence, nonce, root, *more, status=0):
    done = elsewhere(lab, "device", "verify-attestation", evidence, "--nonce", nonce, "--root", root, *more)
    need(done.returncode == status, f"{done.returncode} and not {status}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def a_vault_proves_that_its_key_is_in_a_tpm():
    with BootLab() as lab:
        root, intermediate = endorse(lab)
        boot(lab, KERNEL)
        lab.start()
        lab.vaultctl("init")
        f = lab.folder
        lab.vaultctl("device", "attest", "--nonce", "first-nonce", "--chain", intermediate, "--out", f"{f}/e1.json")
        said = verify(lab, f"{f}/e1.json", "first-nonce", root, status=3)
        need("--challenge" in said and "not proven" in said, said)
        said = verify(lab, f"{f}/e1.json", "first-nonce", root, "--challenge", f"{f}/c.json")
        nonce = re.search(r"challenge\.[\w-]{43}\.[\w-]{22}", said).group(0)
        need(nonce.split(".")[1] not in open(f"{f}/c.json").read(), "the secret is in the challenge")
        lab.vaultctl("device", "attest", "--challenge", f"{f}/c.json", "--chain", intermediate, "--out", f"{f}/e2.json")
        said = verify(lab, f"{f}/e2.json", nonce, root)
        need("Verified" in said and extended(KERNEL).hex() in said and "Bound to PCR:" in said, said)
        found = json.loads(verify(lab, f"{f}/e2.json", nonce, root, "--json"))
        need(found["verified"] and found["pcrs"] == {"0": extended(FIRMWARE).hex(), "4": extended(KERNEL).hex()}, found)
        need(found["bound_to"] == found["pcrs"] and found["approver"] == lab.vaultctl_json("device", "boot")["approver"], found)
        # Old evidence, with the nonce of today; and the key that is known from now on.
        verify(lab, f"{f}/e1.json", nonce, root, status=1)
        verify(lab, f"{f}/e2.json", "another-nonce", root, status=1)
        lab.vaultctl("device", "attest", "--nonce", "second-nonce", "--chain", intermediate, "--out", f"{f}/e3.json")
        verify(lab, f"{f}/e3.json", "second-nonce", root, "--attestation-key", found["attestation_key"])
        verify(lab, f"{f}/e3.json", "second-nonce", root, "--attestation-key", "000b" + "0" * 64, status=1)
        # Without the intermediate, the maker's root does not vouch.
        lab.vaultctl("device", "attest", "--nonce", "third-nonce", "--out", f"{f}/e4.json")
        verify(lab, f"{f}/e4.json", "third-nonce", root, "--challenge", f"{f}/c4.json", status=1)
        verify(lab, f"{f}/e4.json", "third-nonce", intermediate, "--challenge", f"{f}/c4.json")
        verify(lab, f"{f}/e3.json", "second-nonce", lab.ca, "--attestation-key", found["attestation_key"], status=1)
        events = [entry for entry in lab.audit() if entry.get("operation") == "device.attest"]
        need([entry["subject"] for entry in events] == ["nonce", "challenge", "nonce", "nonce"], events)
        # A challenge for another TPM: permitted, but the device gives nothing, and the log says both.
        with open(f"{f}/c4.json") as text:
            challenge = json.load(text)
        name = next(name for name, value in challenge.items() if name == "seed" and isinstance(value, str))
        challenge[name] = ("A" if challenge[name][0] != "A" else "B") + challenge[name][1:]
        answer = lab.admin("POST", "/v1/device/attestations", {"challenge": challenge})
        wait_until("both entries", lambda: [entry["outcome"] for entry in lab.audit() if entry.get("operation") == "device.attest"][4:] == ["allow", "error"])
        last = [entry for entry in lab.audit() if entry.get("operation") == "device.attest"][-1]
        need(answer.status >= 400 and last["subject"] == "challenge" and {"administrator", "reason"} <= set(last), (answer, last))


def what_was_altered_does_not_verify():
    with Lab("swtpm") as lab:
        root, intermediate = endorse(lab)
        lab.start()
        lab.vaultctl("init")
        f = lab.folder
        lab.vaultctl("device", "attest", "--nonce", "first-nonce", "--chain", intermediate, "--out", f"{f}/e1.json")
        with open(f"{f}/e1.json") as text:
            good = json.load(text)
        document = Document()
        answer = lab.admin("POST", "/v1/device/attestations", {"nonce": "first-nonce"})
        document.check_answer("POST", "/v1/device/attestations", answer)
        need(answer.status == 200 and not document.faults(document.root["components"]["schemas"]["Evidence"], good), answer)
        name = json.loads(verify(lab, f"{f}/e1.json", "first-nonce", root, "--challenge", f"{f}/c.json", "--json"))["attestation_key"]
        verify(lab, f"{f}/e1.json", "first-nonce", root, "--attestation-key", name)

        def flipped(text):
            return text[:40] + ("A" if text[40] != "A" else "B") + text[41:]

        for change in ({"endorsement_certificate": flipped(good["endorsement_certificate"])}, {"attestation_key": flipped(good["attestation_key"])},
                       {"endorsement_key": flipped(good["endorsement_key"])}, {"chain": []}, {"type": "other"}, {"more": 1},
                       {"certify": {**good["certify"], "attested": flipped(good["certify"]["attested"])}},
                       {"certify": {**good["certify"], "signature": flipped(good["certify"]["signature"])}},
                       {"quote": {**good["quote"], "pcrs": {**good["quote"]["pcrs"], "4": "11" * 32}}},
                       {"wrapping_key": {"public": flipped(good["wrapping_key"]["public"])}}):
            with open(f"{f}/bad.json", "w") as out:
                json.dump({**good, **change}, out)
            verify(lab, f"{f}/bad.json", "first-nonce", root, "--attestation-key", name, status=1)
        for argv in (("--nonce", "short", "--out", "x"), ("--nonce", "good-nonce"), ("--out", "x")):
            need(lab.vaultctl("device", "attest", *argv, check=False).returncode == 2, argv)
        done = lab.vaultctl("device", "attest", "--challenge", lab.config_path, "--out", "x", check=False)
        need(done.returncode == 1 and "member" in done.stderr, done)
        # A challenge for another TPM.
        with open(f"{f}/c.json") as text:
            challenge = json.load(text)
        challenge["credential"] = flipped(challenge["credential"])
        with open(f"{f}/c.json", "w") as out:
            json.dump(challenge, out)
        done = lab.vaultctl("device", "attest", "--challenge", f"{f}/c.json", "--out", f"{f}/x", check=False)
        need(done.returncode == 1 and "another TPM" in done.stderr, done)


def a_device_without_certificate_says_so():
    for device, words in (("swtpm", "no endorsement certificate"), ("softhsm", "can not attest")):
        with Lab(device) as lab:
            lab.start()
            lab.vaultctl("init")
            done = lab.vaultctl("device", "attest", "--nonce", "first-nonce", "--out", f"{lab.folder}/e", check=False)
            need(done.returncode == 4 and words in done.stderr, done)
            lab.vaultctl("seal")
            done = lab.vaultctl("device", "attest", "--nonce", "first-nonce", "--out", f"{lab.folder}/e", check=False)
            need(done.returncode == 6, done)


if __name__ == "__main__":
    run_cases(a_vault_proves_that_its_key_is_in_a_tpm, what_was_altered_does_not_verify, a_device_without_certificate_says_so)
