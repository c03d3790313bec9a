#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A vault whose wrapping key is bound to measured boot, on a swtpm whose PCRs are
extended as firmware does and reset as a reboot does."""

import hashlib
import json
import os
import re
import signal
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from lab import HANGS_S, TREE, Lab, need, run, run_cases, wait_until  # noqa: E402
from test_openapi import Document  # noqa: E402
from test_slots import TwoDevices, devices  # noqa: E402

ALGORITHM_SHA256 = 0x0B


def measure(device, pcr, digest):
    """TPM2_PCR_Extend; nobody else may be connected to the swtpm."""
    body = struct.pack(">IIIHBHIH", pcr, 9, 0x40000009, 0, 0, 0, 1, ALGORITHM_SHA256) + digest
    with socket.socket(socket.AF_UNIX) as tpm:
        tpm.connect(f"{device.folder}/tpm.sock")
        tpm.sendall(struct.pack(">HII", 0x8002, 10 + len(body), 0x182) + body)
        need(tpm.recv(64)[6:10] == bytes(4), "PCR_Extend failed")


def extended(*digests):
    value = bytes(32)
    for digest in digests:
        value = hashlib.sha256(value + digest).digest()
    return value


FIRMWARE, KERNEL, NEXT_KERNEL, THIRD_KERNEL = (hashlib.sha256(name).digest() for name in (b"firmware", b"6.1.0-1", b"6.1.0-2", b"6.1.0-3"))


def boot(lab, kernel, device=None):
    device = device or lab.device
    device.stop()
    device.start()
    measure(device, 0, FIRMWARE)
    measure(device, 4, kernel)


def reboot(lab, kernel):
    lab.stop()
    boot(lab, kernel)
    lab.start()


def state(lab):
    return lab.vaultctl_json("status")


def sealed_because_of(lab, *words):
    wait_until("the vault seals", lambda: state(lab)["state"] == "sealed" and "reason" in state(lab))
    reason = state(lab)["reason"]
    need(all(word in reason for word in words), f"the reason is {reason!r}")


def unsealed(lab):
    wait_until("the vault unseals", lambda: state(lab)["state"] == "unsealed")


class BootLab(Lab):
    def __init__(self, **more):
        super().__init__("swtpm", config={"device": {"boot_pcrs": [0, 4], "boot_approver": "-"}, **more})
        self.approver = self.new_key("approver")
        self.extra["device"]["boot_approver"] = f"{self.folder}/approver.pub"
        self.write_config()

    def new_key(self, name):
        path = f"{self.folder}/{name}.pem"
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
        run("openssl", "pkey", "-in", path, "-pubout", "-out", f"{self.folder}/{name}.pub")
        return path

    def make(self):
        boot(self, KERNEL)
        return self.start_ready()


def event_log(*events):
    """A crypto-agile event log with SHA-1 and SHA-256 digests."""
    spec = b"Spec ID Event03\0" + struct.pack("<IBBBBIHHHHB", 0, 0, 2, 0, 2, 2, 4, 20, ALGORITHM_SHA256, 32, 0)
    log = struct.pack("<II20sI", 0, 3, bytes(20), len(spec)) + spec
    for pcr, digest in events:
        log += struct.pack("<IIIH20sH", pcr, 0xD, 2, 4, bytes(20), ALGORITHM_SHA256) + digest + struct.pack("<I", 4) + b"text"
    return log


def the_calls_are_as_published(lab, shown):
    """Against schemas/openapi.yaml and schemas/boot-approval.schema.json."""
    document = Document()
    need(not document.faults(document.root["components"]["schemas"]["BootState"], shown), f"{shown}")
    with open(f"{TREE}/schemas/boot-approval.schema.json") as text:
        schema = json.load(text)
    records = [{name: value for name, value in item.items() if name not in ("counts", "now")} for item in shown["approvals"]]
    need(records and not [list(document.faults(schema, record)) for record in records if document.faults(schema, record)], records)


def an_upgrade_is_approved_before_the_reboot():
    with BootLab() as lab:
        key, token = lab.make()
        shown = lab.vaultctl_json("device", "boot")
        need(shown["bound"] and shown["pcrs"] == [0, 4] and shown["state"] == "creation", shown)
        need(shown["now"] == {"0": extended(FIRMWARE).hex(), "4": extended(KERNEL).hex()}, shown)
        need(state(lab)["device"]["boot_pcrs"] == [0, 4], "status does not say it")
        done = lab.vaultctl("device", "authorize-boot", "debian-2", "--pcr", f"4={extended(NEXT_KERNEL).hex()}", "--key", lab.approver)
        need(extended(NEXT_KERNEL).hex() in done.stdout and "PCR 0: nothing was said" in done.stdout, done.stdout)
        need(lab.works(token, key), "while it is approved")
        reboot(lab, NEXT_KERNEL)
        unsealed(lab)
        need(lab.works(token, key), "after the upgrade")
        shown = lab.vaultctl_json("device", "boot")
        need((shown["state"], shown["name"]) == ("approved", "debian-2"), shown)
        the_calls_are_as_published(lab, shown)
        need("debian-2" in lab.vaultctl("device", "boot").stdout, "boot for people")
        reboot(lab, KERNEL)  # back to the system of before
        unsealed(lab)
        reboot(lab, THIRD_KERNEL)
        sealed_because_of(lab, "PCR 4 differ", "'debian-2'", "vaultctl device authorize-boot")
        need(lab.exchange(key=key).status == 503, "a token was issued by a machine that is not approved")
        events = [entry for entry in lab.audit() if entry.get("operation") == "device.authorize_boot"]
        need([event["subject"] for event in events] == ["debian-2 PCR 0,4"] and events[0]["outcome"] == "allow", events)


def an_upgrade_that_was_forgotten_is_approved_after_the_reboot():
    with BootLab() as lab:
        key, token = lab.make()
        reboot(lab, NEXT_KERNEL)
        sealed_because_of(lab, "PCR 4 differ")
        need(lab.vaultctl("unseal", check=False).returncode == 6, "unseal")
        message = f"{lab.folder}/boot.msg"
        done = lab.vaultctl("device", "authorize-boot", "debian-2", "--prepare", message)
        need("openssl dgst" in done.stdout, done.stdout)
        need(state(lab)["state"] == "sealed", "preparing approves nothing")
        # Elsewhere, by another program.
        run("openssl", "dgst", "-sha256", "-sign", lab.approver, "-out", f"{message}.sig", message)
        lab.vaultctl("device", "authorize-boot", "debian-2", "--pcr-file", f"{message}.pcrs", "--signature", f"{message}.sig")
        unsealed(lab)
        need(lab.works(token, key), "after the approval")
        reboot(lab, NEXT_KERNEL)
        unsealed(lab)


def an_event_log_says_what_will_be_booted():
    with BootLab() as lab:
        key, token = lab.make()
        log = f"{lab.folder}/log.bin"
        with open(log, "wb") as out:
            out.write(event_log((0, FIRMWARE), (7, KERNEL), (4, NEXT_KERNEL)))
        lab.vaultctl("device", "authorize-boot", "debian-2", "--event-log", log, "--key", lab.approver)
        reboot(lab, NEXT_KERNEL)
        unsealed(lab)
        need(lab.works(token, key), "after the upgrade")


def what_the_approver_did_not_sign_is_refused():
    with BootLab() as lab:
        lab.make()
        other = lab.new_key("other")
        done = lab.vaultctl("device", "authorize-boot", "x", "--key", other, check=False)
        need(done.returncode == 3 and "not the key of the approver" in done.stderr, done)
        message = f"{lab.folder}/boot.msg"
        lab.vaultctl("device", "authorize-boot", "x", "--prepare", message)
        run("openssl", "dgst", "-sha256", "-sign", lab.approver, "-out", f"{message}.sig", message)
        done = lab.vaultctl("device", "authorize-boot", "x", "--pcr", f"4={extended(NEXT_KERNEL).hex()}", "--signature", f"{message}.sig",
                            check=False)
        need(done.returncode == 3 and "over these PCR values" in done.stderr, done)
        # Nor does the vault itself take it from somebody who speaks its API.
        signature = "A" * 86
        pcrs = {"0": extended(FIRMWARE).hex(), "4": extended(NEXT_KERNEL).hex()}
        answer = lab.admin("POST", "/v1/device/boot/approvals", {"name": "x", "pcrs": pcrs, "signature": signature})
        need(answer.status == 403 and "approver" in answer.json["detail"], answer)
        answer = lab.admin("POST", "/v1/device/boot/approvals", {"name": "x", "pcrs": {"16": pcrs["0"]}, "signature": signature})
        need(answer.status == 400 and "PCR 16" in answer.json["detail"], answer)
        answer = lab.admin("POST", "/v1/device/boot/approvals", {"name": "x", "pcrs": {"4": pcrs["4"]}, "signature": signature})
        need(answer.status == 400 and "other PCRs" in answer.json["detail"], answer)
        for arguments in (["--pcr", "4=00"], ["--pcr", f"16={'0' * 64}"], ["--pcr", f"7={'0' * 64}"], ["--pcr-file", lab.approver],
                          ["--event-log", lab.approver]):
            done = lab.vaultctl("device", "authorize-boot", "x", *arguments, "--key", lab.approver, check=False)
            need(done.returncode == 1, f"{arguments}: {done}")
        need(lab.vaultctl("device", "authorize-boot", "x", check=False).returncode == 2, "no way to sign")
        need(not lab.vaultctl_json("device", "boot")["approvals"], "something was approved")
        refused = [entry for entry in lab.audit() if entry.get("operation") == "device.authorize_boot"]
        need(refused and all(entry["outcome"] == "deny" for entry in refused), refused)


def a_vault_that_is_there_is_bound_by_rotation():
    with Lab("swtpm") as lab:
        boot(lab, KERNEL)
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        lab.enrol()
        key = new_client_key()
        token = lab.token(key=key)
        need(not lab.vaultctl_json("device", "boot")["bound"], "not bound yet")
        done = lab.vaultctl("device", "authorize-boot", "x", "--key", "/dev/null", check=False)
        need(done.returncode == 5 and "vaultctl rotate wrapping" in done.stderr, done)
        approver = BootLab.new_key(lab, "approver")
        lab.extra["device"] = {"boot_pcrs": [0, 4], "boot_approver": f"{lab.folder}/approver.pub"}
        lab.write_config()
        lab.process.send_signal(signal.SIGHUP)
        wait_until("the new settings", lambda: "new settings are in use" in lab.log())
        lab.vaultctl("rotate", "wrapping")
        wait_until("the old wrapping key goes", lambda: len([k for k in lab.vaultctl_json("key", "list")["keys"] if k["kind"] == "wrapping"]) == 1)
        need(lab.vaultctl_json("device", "boot")["bound"], "not bound")
        lab.vaultctl("device", "authorize-boot", "debian-2", "--pcr", f"4={extended(NEXT_KERNEL).hex()}", "--key", approver)
        reboot(lab, THIRD_KERNEL)
        sealed_because_of(lab, "PCR 4 differ")
        reboot(lab, NEXT_KERNEL)
        unsealed(lab)
        need(lab.works(token, key), "after the upgrade")
        # A new generation forgets the state in which the old one was made.
        lab.vaultctl("rotate", "wrapping")
        wait_until("the old wrapping key goes", lambda: len([k for k in lab.vaultctl_json("key", "list")["keys"] if k["kind"] == "wrapping"]) == 1)
        reboot(lab, KERNEL)
        sealed_because_of(lab, "PCR 4 differ")


def a_withdrawn_approval_opens_nothing():
    with BootLab() as lab:
        key, token = lab.make()
        next_kernel = ("--pcr", f"4={extended(NEXT_KERNEL).hex()}")
        lab.vaultctl("device", "authorize-boot", "debian-2", *next_kernel, "--key", lab.approver)
        reboot(lab, NEXT_KERNEL)
        unsealed(lab)
        reboot(lab, KERNEL)
        unsealed(lab)
        second = lab.new_key("second")
        os.replace(f"{lab.folder}/second.pub", f"{lab.folder}/approver.pub")
        lab.process.send_signal(signal.SIGHUP)
        wait_until("the new settings", lambda: "new settings are in use" in lab.log())
        lab.vaultctl("rotate", "wrapping")
        wait_until("the old wrapping key goes", lambda: len([k for k in lab.vaultctl_json("key", "list")["keys"] if k["kind"] == "wrapping"]) == 1)
        reboot(lab, NEXT_KERNEL)  # its approval is still in the store
        sealed_because_of(lab, "PCR 4 differ")
        need(lab.exchange(key=key).status == 503, "a token was issued in a withdrawn state")
        done = lab.vaultctl("device", "authorize-boot", "debian-2", "--key", lab.approver, check=False)
        need(done.returncode == 3 and "not the key of the approver" in done.stderr, done)
        sealed_because_of(lab, "PCR 4 differ")
        lab.vaultctl("device", "authorize-boot", "debian-2", "--key", second)
        unsealed(lab)
        need(lab.works(token, key), "approved by the new approver")


class HsmAndTpm(TwoDevices):
    """SoftHSM first, then a swtpm that is bound to measured boot."""

    def __init__(self):
        super().__init__()
        self.approver = BootLab.new_key(self, "approver")
        self.extra["more_devices"][0].update(boot_pcrs=[0, 4], boot_approver=f"{self.folder}/approver.pub")
        self.write_config()

    def tpm_is(self, state):
        wait_until(f"the TPM is {state}", lambda: devices(self)["tpm"]["state"] == state)
        return devices(self)["tpm"]


def a_tpm_beside_an_hsm_is_bound_for_itself():
    with HsmAndTpm() as lab:
        boot(lab, KERNEL, lab.tpm)
        lab.ready()
        need(lab.vaultctl_json("device", "boot")["device"] == "tpm", "the first TPM is meant")
        need(not lab.vaultctl_json("device", "boot", "--device", "main")["bound"], "an HSM is not bound")
        need(lab.vaultctl("device", "boot", "--device", "nobody", check=False).returncode == 4, "no such device")
        need(lab.vaultctl_json("device", "boot", "--device", "tpm")["state"] == "creation", "bound by device add")
        need(lab.vaultctl("device", "attest", "--device", "main", "--nonce", "a-nonce-1", "--out", "x", check=False).returncode == 4,
             "an HSM can not attest")
        lab.stop()
        boot(lab, NEXT_KERNEL, lab.tpm)
        lab.start()
        unsealed(lab)  # by the HSM
        need("PCR 4 differ" in lab.tpm_is("lost")["reason"], "the TPM says why")
        lab.vaultctl("device", "authorize-boot", "debian-2", "--key", lab.approver)
        lab.tpm_is("works")
        wait_until("what it missed", lambda: devices(lab)["tpm"]["missing"] == 0 and state(lab)["rollback_protection"]["is_up_to_date"])
        lab.stop()
        lab.hide_softhsm()
        boot(lab, NEXT_KERNEL, lab.tpm)
        lab.start()
        unsealed(lab)  # by the TPM alone
        need(lab.works(), "with the TPM alone")


def settings_that_bind_nothing_are_refused():
    with BootLab() as lab:
        for change, words in (({"boot_pcrs": [0, 16]}, "PCR 16"), ({"boot_pcrs": [23]}, "PCR 23"), ({"boot_pcrs": [24]}, "0 to 23"),
                              ({"boot_pcrs": ["x"]}, "0 to 23"), ({"boot_approver": ""}, "boot_approver"),
                              ({"boot_approver": lab.ca}, "P-256"), ({"boot_approver": "/nonexistent.pem"}, "nonexistent")):
            lab.extra["device"] = {"boot_pcrs": [0, 4], "boot_approver": f"{lab.folder}/approver.pub", **change}
            lab.write_config()
            lab.start(wait=False)
            need(lab.process.wait(HANGS_S) != 0, f"{change} was accepted")
            need(re.search(words, lab.log()[-1000:]), f"{change}: {lab.log()[-1000:]}")
            lab.process = None
        lab.extra["device"] = {"boot_pcrs": [0, 4], "boot_approver": f"{lab.folder}/approver.pub"}
        for more in ({"boot_pcrs": [16]}, {"boot_pcrs": [4]}, {"boot_pcrs": [4], "boot_approver": lab.ca}):
            lab.extra["more_devices"] = [{"name": "spare", "kind": "tpm", **more}]
            lab.write_config()
            lab.start(wait=False)
            need(lab.process.wait(HANGS_S) != 0 and re.search("more_devices|boot_approver", lab.log()[-1000:]), f"{more}: {lab.log()[-1000:]}")
            lab.process = None


if __name__ == "__main__":
    run_cases(an_upgrade_is_approved_before_the_reboot, an_upgrade_that_was_forgotten_is_approved_after_the_reboot,
              an_event_log_says_what_will_be_booted, what_the_approver_did_not_sign_is_refused, a_vault_that_is_there_is_bound_by_rotation,
              a_withdrawn_approval_opens_nothing, a_tpm_beside_an_hsm_is_bound_for_itself,
              settings_that_bind_nothing_are_refused)
