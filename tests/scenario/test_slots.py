#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Several devices: any one of them opens the vault, one that dies is noticed, one that leaves takes everything along."""

import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from lab import Device, Lab, need, run, run_cases, wait_until  # noqa: E402
from pace import clock  # noqa: E402


def status(lab):
    return lab.vaultctl_json("status")


def devices(lab):
    return {device["name"]: device for device in lab.vaultctl_json("device", "list")["devices"]}


def spare_token(lab):
    """A second device in the same SoftHSM, with the same PIN."""
    env = {**os.environ, "SOFTHSM2_CONF": f"{lab.device.folder}/softhsm2.conf"}
    run("softhsm2-util", "--init-token", "--free", "--label", "spare", "--so-pin", "12345678", "--pin", "87654321", env=env)
    if lab.users:
        run("chown", "-R", f"{lab.device.owner}:vaultd", lab.device.folder)
    return {**{key: lab.device.settings[key] for key in ("kind", "module", "pin_file")}, "name": "spare", "uri": "pkcs11:token=spare"}


class TwoDevices(Lab):
    """SoftHSM first, swtpm second; both belong to the vault."""

    def __init__(self, **keeper):
        super().__init__("softhsm", config={"keeper": {"device_probe_s": 1, **keeper}})
        self.tpm = Device("swtpm", f"{self.folder}/tpm", self.device.owner)
        self.extra["more_devices"] = [{"name": "tpm", **self.tpm.settings}]
        self.write_config()

    def __exit__(self, *argv):
        super().__exit__(*argv)
        self.tpm.stop()

    def ready(self):
        self.serve()
        self.vaultctl("device", "add", "tpm")
        self.key = new_client_key()
        self.passed = self.token(key=self.key)

    def works(self):
        return self.redeem(self.passed, self.key).status == 200

    def hide_softhsm(self):
        os.rename(f"{self.device.folder}/tokens", f"{self.device.folder}/away")

    def show_softhsm(self):
        os.rename(f"{self.device.folder}/away", f"{self.device.folder}/tokens")


def wait_for_counters(lab):
    wait_until("the counters", lambda: status(lab)["rollback_protection"]["is_up_to_date"])


def losing_any_device_loses_nothing():
    with TwoDevices() as lab:
        lab.ready()
        found = devices(lab)
        need(all(found[name]["state"] == "works" and found[name]["missing"] == 0 for name in ("main", "tpm")), found)
        need(found["main"]["serves"] and not found["tpm"]["serves"], found)
        lab.vaultctl("tenant", "create", "later")  # wrapped by one, the other follows
        lab.vaultctl("rotate", "tenant", "--tenant", "default")
        wait_until("slots of new data keys", lambda: devices(lab)["tpm"]["missing"] == 0)
        wait_for_counters(lab)
        lab.stop()

        lab.hide_softhsm()  # the TPM alone
        lab.start()
        wait_until("unsealed by the TPM", lambda: status(lab)["state"] == "unsealed")
        need(lab.works(), "served by the TPM")
        found = devices(lab)
        need(found["tpm"]["serves"] and found["main"]["state"] == "lost" and found["main"]["reason"], found)
        need("TPM" in status(lab)["device"]["kind"], status(lab)["device"])
        lab.vaultctl("tenant", "create", "without-hsm")
        need(devices(lab)["main"]["missing"] == 1, devices(lab))
        lab.show_softhsm()  # it comes back by itself, and gets what it missed
        wait_until("the HSM to be back", lambda: devices(lab)["main"]["state"] == "works", 30)
        wait_until("the HSM to have every slot", lambda: devices(lab)["main"]["missing"] == 0, 30)
        wait_for_counters(lab)
        need(all(counter["is_up_to_date"] for counter in status(lab)["rollback_protection"]["counters"]), status(lab))
        lab.stop()

        lab.tpm.stop()  # the HSM alone
        lab.start()
        wait_until("unsealed by the HSM", lambda: status(lab)["state"] == "unsealed")
        need(lab.works(), "served by the HSM")
        need(devices(lab)["tpm"]["state"] == "lost", devices(lab))
        lab.vaultctl("credential", "put", "other", "-", "--tenant", "without-hsm", "--profile", "openai", input="sk-2")
        lab.stop()


def blobs_of(lab, name):
    """What the store holds for that device: parts of its wrapped keys, found beside the id that each begins with."""
    ids = [key["key"] for key in lab.vaultctl_json("key", "list")["keys"] if key["kind"] == "wrapping" and key.get("device") == name]
    need(ids, f"no wrapping key of {name}")
    with open(f"{lab.store_folder}/data.mdb", "rb") as file:
        store = file.read()
    found = set()
    for text in ids:
        at = -1
        while (at := store.find(bytes.fromhex(text), at + 1)) >= 0:
            found.add(store[at + 24:at + 56])  # ciphertext or a point: nothing else looks like it
    return [bytes.fromhex(text) for text in ids], {blob for blob in found if blob.count(0) < 8}


def traces(lab, needles):
    with open(f"{lab.store_folder}/data.mdb", "rb") as file:
        store = file.read()
    return sum(store.count(needle) for needle in needles)


def what_is_removed_leaves_no_trace(is_lost):
    with TwoDevices() as lab:
        lab.ready()
        for i in range(30):
            lab.admin("POST", "/v1/tenants", {"name": f"tenant-{i}"})
        wait_until("slots", lambda: devices(lab)["tpm"]["missing"] == 0)
        for i in range(30):  # wrapped keys of before are in free pages afterwards
            lab.admin("POST", f"/v1/tenants/tenant-{i}/rotate", {})
        wait_until("the rotations", lambda: sum(entry["operation"] == "rotate.tenant.destroyed" for entry in lab.audit()) >= 30 or
                   all(len(lab.admin("GET", f"/v1/tenants/tenant-{i}/keys").json["items"]) == 1 for i in range(30)), 30)
        lab.vaultctl("rotate", "wrapping")
        ids, blobs = blobs_of(lab, "tpm")
        need(len(blobs) > 30 and traces(lab, blobs) >= len(blobs), f"{len(blobs)} blobs found")
        if is_lost:
            lab.tpm.stop()
            wait_until("the TPM to be missed", lambda: devices(lab)["tpm"]["state"] == "lost")
        lab.vaultctl("device", "remove", "tpm")
        need(not devices(lab)["tpm"]["belongs"], devices(lab))
        need(traces(lab, ids) == 0, "an id of its key is in the store")
        need(traces(lab, blobs) == 0, "a wrapped key of it is in the store")
        need(lab.works(), "after the removal")
        entries = [entry for entry in lab.audit() if entry["operation"] in ("device.add", "device.remove", "device.removed")]
        need([entry["operation"] for entry in entries][-2:] == ["device.remove", "device.removed"], entries)
        scrubs = [entry for entry in lab.audit() if entry["operation"] == "store.scrub"]
        need(scrubs[-1]["sequence"] > entries[-1]["sequence"] and " 0 traces left" in scrubs[-1]["subject"], scrubs[-1])
        need(("still in it" in entries[-1].get("reason", "")) == is_lost, entries[-1])
        need(lab.vaultctl("device", "remove", "main", check=False).returncode == 5, "the last device was removed")
        need(lab.vaultctl("device", "remove", "tpm", check=False).returncode == 4, "removed twice")
        lab.stop()
        lab.start()
        wait_until("unsealed", lambda: status(lab)["state"] == "unsealed")
        need(lab.works(), "after a restart")
        need(devices(lab)["tpm"]["state"] == "not added", devices(lab))
        if not is_lost:  # and back again
            lab.vaultctl("device", "add", "tpm")
            need(devices(lab)["tpm"]["missing"] == 0, devices(lab))


def a_removed_device_leaves_no_trace():
    what_is_removed_leaves_no_trace(False)


def a_lost_device_is_removed():
    what_is_removed_leaves_no_trace(True)


def old_gives_way_to_new():
    """Added with a reload, rotated together, the old one removed: without a failed request."""
    with Lab("softhsm", config={"keeper": {"device_probe_s": 1}}) as lab:
        spare = spare_token(lab)
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        lab.enrol()
        key = new_client_key()
        token = lab.token(key=key)
        need(lab.vaultctl("device", "add", "spare", check=False).returncode == 4, "not configured")
        lab.extra["more_devices"] = [{**spare, "uri": "pkcs11:token=nowhere"}]
        lab.write_config()
        lab.process.send_signal(signal.SIGHUP)
        wait_until("the reload", lambda: "spare" in devices(lab))
        done = lab.vaultctl("device", "add", "spare", check=False)
        need(done.returncode == 6 and "nowhere" in done.stderr or "no device matches" in done.stderr, done.stderr)
        lab.stop()
        lab.extra["more_devices"] = []
        lab.write_config()
        lab.start()
        wait_until("unsealed", lambda: status(lab)["state"] == "unsealed")
        lab.extra["more_devices"] = [spare]
        lab.write_config()
        lab.process.send_signal(signal.SIGHUP)
        wait_until("the reload", lambda: "spare" in devices(lab))
        lab.vaultctl("device", "add", "spare")
        need(lab.vaultctl("device", "add", "spare", check=False).returncode == 5, "added twice")
        before = {entry["device"]: entry["key"] for entry in lab.vaultctl_json("key", "list")["keys"] if entry["kind"] == "wrapping"}
        lab.vaultctl("rotate", "wrapping")

        def rotated():
            now = [entry for entry in lab.vaultctl_json("key", "list")["keys"] if entry["kind"] == "wrapping"]
            return len(now) == 2 and all(entry["key"] != before[entry["device"]] and entry["generation"] == 2 for entry in now)
        wait_until("both to have a new generation", rotated)
        need(lab.redeem(token, key).status == 200, "after the rotation")
        lab.vaultctl("device", "remove", "main")
        need(lab.redeem(token, key).status == 200, "after the removal")
        lab.vaultctl("tenant", "create", "newest")
        lab.stop()
        lab.start()
        wait_until("unsealed by the new one", lambda: status(lab)["state"] == "unsealed")
        need(lab.redeem(token, key).status == 200, "by the new one alone")


def killed_in_between(kills=int(os.environ.get("SLOTS_KILLS", "6"))):
    with TwoDevices() as lab:
        lab.ready()
        for i in range(40):
            lab.admin("POST", "/v1/tenants", {"name": f"tenant-{i}"})
        delays = [0.0, 0.01, 0.03, 0.08, 0.2, 0.5]
        for number in range(kills):
            verb = "remove" if number % 2 == 0 else "add"
            lab.vaultctl("device", verb, "tpm", "--detach")
            time.sleep(delays[number % len(delays)] + number // len(delays) * 0.013)
            os.kill(lab.pids()["keeper"], signal.SIGKILL)

            def is_over():
                done = lab.vaultctl("--json", "device", "list", check=False)
                if done.returncode != 0:
                    return False
                found = json.loads(done.stdout)
                tpm, main = ({device["name"]: device for device in found["devices"]}[name] for name in ("tpm", "main"))
                if main["state"] != "works":
                    return False  # the next keeper has not looked at its store yet
                if verb == "add":
                    return tpm["belongs"] and tpm["state"] == "works" and tpm["missing"] == 0
                return not tpm["belongs"] and not found["is_scrubbing"]
            wait_until(f"{verb} to be finished after a kill", is_over, 40)
            wait_until(f"service after {verb} {number}", lab.works)
        lab.stop()


def a_dead_device_is_noticed_and_unwrapped_tenants_serve():
    with TwoDevices(device_grace_s=15, data_key_idle_s=600) as lab:
        lab.ready()
        lab.vaultctl("tenant", "create", "cold")
        wait_until("slots", lambda: devices(lab)["tpm"]["missing"] == 0)
        need(lab.works(), "before")
        need(lab.admin("GET", "/v1/ready").json["status"] == "ready", "ready")
        os.kill(lab.tpm.process.pid, signal.SIGSTOP)  # hangs: no call fails, none ends
        wait_until("the TPM that hangs to be missed", lambda: devices(lab)["tpm"]["state"] == "lost", 8)
        need(lab.works(), "the other device serves")
        ready = lab.admin("GET", "/v1/ready")
        need(ready.status == 200 and ready.json["status"] == "degraded" and "tpm" in ready.json["reason"], ready)
        begun = clock()
        lab.hide_softhsm()
        wait_until("the HSM to be missed", lambda: devices(lab)["main"]["state"] == "lost", 8)
        slowest = 0
        while clock() - begun < 3:  # unwrapped tenants serve, nobody waits
            at = clock()
            need(lab.works(), "within the grace")
            slowest = max(slowest, clock() - at)
        need(slowest < 0.5, f"a redeem took {slowest:.2f} s")
        found = status(lab)
        need(0 <= found["seals_in_s"] <= 15, found)
        need("seals" in lab.admin("GET", "/v1/ready").json["reason"], "ready does not say when it seals")
        at = clock()
        done = lab.vaultctl("tenant", "create", "newer", check=False)  # needs a device
        need(done.returncode != 0 and clock() - at < 25, f"{done}")
        wait_until("sealed after the grace", lambda: status(lab)["state"] == "sealed", 15)
        need(lab.redeem(lab.passed, lab.key).status == 503, "a sealed tenant serves")
        need(lab.admin("GET", "/v1/ready").status == 503, "ready although sealed")
        lab.show_softhsm()
        wait_until("unsealed again", lambda: status(lab)["state"] == "unsealed", 70)
        need(lab.works(), "after the device is back")
        os.kill(lab.tpm.process.pid, signal.SIGCONT)
        wait_until("the TPM to be back", lambda: devices(lab)["tpm"]["state"] == "works", 60)
        seen = {(entry["operation"], entry.get("subject")) for entry in lab.audit()}
        for event in (("device.lost", "tpm"), ("device.lost", "main"), ("device.back", "main")):
            need(event in seen, f"{event} is not in the audit log")
        need("device tpm is lost" in lab.log(), "log")


def another_device_in_its_place_is_told():
    with TwoDevices() as lab:
        lab.ready()
        lab.tpm.stop()
        wait_until("the TPM to be missed", lambda: devices(lab)["tpm"]["state"] == "lost")
        for name in os.listdir(lab.tpm.folder):
            os.unlink(f"{lab.tpm.folder}/{name}")
        lab.tpm.start()  # manufactured anew
        wait_until("the other TPM to be told", lambda: devices(lab)["tpm"]["state"] == "tampered", 30)
        need("not the one" in devices(lab)["tpm"]["reason"], devices(lab)["tpm"])
        need(lab.works(), "the HSM serves")
        need(any(entry["operation"] == "device.tampered" and entry["subject"] == "tpm" for entry in lab.audit()), "audit")
        lab.vaultctl("device", "remove", "tpm")  # it takes nothing along, and gives way to this one
        lab.vaultctl("device", "add", "tpm")
        need(devices(lab)["tpm"]["missing"] == 0 and devices(lab)["tpm"]["state"] == "works", devices(lab)["tpm"])


def idle_data_keys_leave_memory():
    with Lab("softhsm", config={"keeper": {"data_key_idle_s": 2}}) as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        lab.enrol()
        key = new_client_key()
        token = lab.token(key=key)
        need(lab.redeem(token, key).status == 200 and status(lab)["data_keys_loaded"] >= 1, "not loaded")
        wait_until("the idle data key to leave", lambda: status(lab)["data_keys_loaded"] == 0, 20)
        need(lab.redeem(token, key).status == 200, "loaded again")


def an_old_store_is_refused_by_each_device():
    with TwoDevices() as lab:
        lab.ready()
        wait_for_counters(lab)
        lab.stop()
        run("cp", "-a", lab.store_folder, f"{lab.folder}/old")
        lab.start()
        wait_until("unsealed", lambda: status(lab)["state"] == "unsealed")
        wait_until("both devices", lambda: all(device["state"] == "works" for device in devices(lab).values()))
        lab.vaultctl("revoke", "--principal", f"{lab.issuer}|alice")
        wait_for_counters(lab)
        wait_until("both counters", lambda: all(counter["is_up_to_date"] for counter in status(lab)["rollback_protection"]["counters"]))
        lab.stop()
        run("rm", "-rf", lab.store_folder)
        run("cp", "-a", f"{lab.folder}/old", lab.store_folder)
        for name, away, back in (("tpm", lab.hide_softhsm, lab.show_softhsm), ("main", lab.tpm.stop, lab.tpm.start)):
            away()
            lab.start()
            wait_until(f"refused by {name}", lambda: "old copy" in status(lab).get("reason", ""))
            need(lab.redeem(lab.passed, lab.key).status == 503, "an old copy serves")
            lab.stop()
            back()
        lab.start()
        wait_until("refused by both", lambda: "old copy" in status(lab).get("reason", ""))
        lab.vaultctl("recover", "--accept-rollback")
        wait_for_counters(lab)
        wait_until("both devices take it", lambda: all(counter["is_up_to_date"] for counter in
                                                       status(lab)["rollback_protection"]["counters"]))
        need(status(lab)["state"] == "unsealed" and lab.works(), "accepted")


if __name__ == "__main__":
    run_cases(losing_any_device_loses_nothing, a_removed_device_leaves_no_trace, a_lost_device_is_removed, old_gives_way_to_new,
              killed_in_between, a_dead_device_is_noticed_and_unwrapped_tenants_serve, another_device_in_its_place_is_told, idle_data_keys_leave_memory,
              an_old_store_is_refused_by_each_device)
