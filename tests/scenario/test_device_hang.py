#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A PKCS#11 module that does not return from a call, behind the running vault: nobody waits for it, everything else
goes on, and it is back when the call returns, or with a new keeper."""

import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from lab import Device, Lab, need, run, run_cases, wait_until  # noqa: E402
from pace import clock  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIMEOUT_S = 3
AT_ONCE_S = 1.5  # whoever waits for the device takes longer than that


class Hanging(Lab):
    """SoftHSM behind the fault-injecting module; with `second`, a TPM as well."""

    def __init__(self, second=False, **keeper):
        super().__init__("softhsm", config={"keeper": {"device_probe_s": 1, "device_timeout_s": TIMEOUT_S, "data_key_idle_s": 600, **keeper}})
        shim, self.told = f"{self.folder}/shim.so", f"{self.folder}/hang"
        flags = run("pkg-config", "--cflags", "p11-kit-1").split()
        run("cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-std=gnu11", f"-I{ROOT}", *flags, f"{ROOT}/tests/devices/p11_shim.c", "-o", shim, "-ldl")
        device = self.device.settings
        device["module"], device["environment"] = shim, [*device["environment"], f"VAULT_SHIM_HANG={self.told}"]
        self.tpm = Device("swtpm", f"{self.folder}/tpm", self.device.owner) if second else None
        if second:
            self.extra["more_devices"] = [{"name": "tpm", **self.tpm.settings}]
        self.puts = 0
        self.write_config()

    def __exit__(self, *argv):
        super().__exit__(*argv)
        if self.tpm:
            self.tpm.stop()

    def ready(self):
        self.serve()
        if self.tpm:
            self.vaultctl("device", "add", "tpm")
        self.vaultctl("tenant", "create", "cold")
        if self.tpm:
            wait_until("slots", lambda: self.devices()["tpm"]["missing"] == 0)
        wait_until("the counters", lambda: self.status()["rollback_protection"]["is_up_to_date"])
        self.key = new_client_key()
        self.passed = self.token(key=self.key)

    def status(self):
        return self.vaultctl_json("status")

    def devices(self):
        return {device["name"]: device for device in self.vaultctl_json("device", "list")["devices"]}

    def works(self):
        return self.redeem(self.passed, self.key).status == 200 and self.exchange(key=self.key).status == 200

    def forget_data_keys(self):
        """As after a start: only the vault's own keys are loaded."""
        self.vaultctl("seal")
        self.vaultctl("unseal")
        wait_until("every device", lambda: all(device["state"] == "works" for device in self.devices().values()))

    def hang(self, how="a while"):
        with open(self.told, "w") as told:
            told.write(how)
        os.chmod(self.told, 0o644)

    def let_go(self):
        os.unlink(self.told)

    def put_cold(self):
        """Encrypts for a tenant whose data key is not loaded."""
        at = clock()
        self.puts += 1
        done = self.vaultctl("--tenant", "cold", "credential", "put", f"other-{self.puts}", "-", "--profile", "openai", input="sk-3", check=False)
        return done, clock() - at

    def wait_until_missed(self):
        wait_until("the device that hangs to be missed", lambda: self.devices()["main"]["state"] == "lost", 8)
        need("hangs" in self.devices()["main"]["reason"], self.devices())


class Watch(threading.Thread):
    """Redeems all the time; nobody may be slower because a device hangs."""

    def __init__(self, lab):
        super().__init__()
        self.lab, self.is_over, self.slowest, self.count, self.failures = lab, False, 0, 0, []

    def run(self):
        while not self.is_over:
            at = clock()
            answer = self.lab.redeem(self.lab.passed, self.lab.key)
            self.slowest = max(self.slowest, clock() - at)
            self.count += 1
            if answer.status != 200:
                self.failures.append(answer)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *argv):
        self.is_over = True
        self.join()


def nobody_waits_for_a_device_that_hangs():
    with Hanging() as lab:
        lab.ready()
        lab.forget_data_keys()
        need(lab.works(), "before")
        keeper = lab.pids()["keeper"]
        with Watch(lab) as watch:
            lab.hang()
            begun = clock()
            lab.wait_until_missed()
            noticed_s = clock() - begun
            need(noticed_s < 1 + TIMEOUT_S + 2, f"noticed after {noticed_s:.1f} s")
            done, took_s = lab.put_cold()
            need(done.returncode == 6 and took_s < AT_ONCE_S, f"known to hang, and {took_s:.2f} s for {done}")
            for command in (["tenant", "create", "newer"], ["rotate", "wrapping"], ["rotate", "tenant"]):
                done = lab.vaultctl(*command, check=False)
                need(done.returncode == 6 and "vaultctl device list" in done.stderr, done)
            lab.process.send_signal(signal.SIGHUP)
            wait_until("the reload", lambda: "configuration reloaded" in lab.log())
            time.sleep(0.5)
        need(not watch.failures and watch.count > 100 and watch.slowest < AT_ONCE_S, f"{watch.count} redeems, {watch.slowest:.2f} s, {watch.failures[:1]}")
        found = lab.status()
        need(found["devices"][0]["state"] == "lost" and found["seals_in_s"] > 0, found)
        ready = lab.admin("GET", "/v1/ready")
        need(ready.status == 200 and ready.json["status"] == "degraded" and "main" in ready.json["reason"], ready)
        need("device main is lost: it hangs" in lab.log(), "the log does not say so")
        need(any(entry["operation"] == "device.lost" and "hangs" in entry["reason"] for entry in lab.audit()), "nor does the audit log")
        # The emergency stop, and an attempt to unseal: neither waits.
        at = clock()
        lab.vaultctl("seal")
        need(clock() - at < AT_ONCE_S, f"seal took {clock() - at:.1f} s")
        refused = lab.redeem(lab.passed, lab.key)
        need(refused.status == 503 and refused.headers["retry-after"] == "1" and refused.json["headers"] == {"retry-after": "1"}, refused)
        at = clock()
        done = lab.vaultctl("unseal", check=False)
        need(done.returncode == 6 and "hangs" in done.stderr and clock() - at < AT_ONCE_S, f"{clock() - at:.1f} s: {done}")
        lab.let_go()
        wait_until("unsealed by itself", lambda: lab.status()["state"] == "unsealed", 20)
        need(lab.works() and lab.put_cold()[0].returncode == 0, "after the call returned")
        need(lab.pids()["keeper"] == keeper, "another keeper was needed")
        wait_until("device.back", lambda: "has returned" in lab.log())


def a_call_that_is_under_way_is_bounded():
    """The device hangs and nobody knows yet."""
    with Hanging(device_probe_s=60, device_timeout_s=20) as lab:
        lab.ready()
        lab.forget_data_keys()
        need(lab.works(), "before")
        lab.hang()
        with Watch(lab) as watch:
            at = time.monotonic()
            done, took_s = lab.put_cold()
            waited_s = time.monotonic() - at
        need(done.returncode == 6 and waited_s > 1.5 and took_s < 8, f"{took_s:.2f} of {waited_s:.2f} s for {done}")
        late = "the device does not answer in time"
        wanted = {"operation": "credential.put", "outcome": "error", "tenant": "cold", "credential": "other-1", "reason": late}
        put = [entry for entry in lab.audit() if wanted.items() <= entry.items()]
        need(len(put) == 1 and "administrator" in put[0], f"what came of it is not in the log: {lab.audit()[-1]}")
        need(not watch.failures and watch.slowest < AT_ONCE_S, f"{watch.slowest:.2f} s, {watch.failures[:1]}")
        at = clock()
        status = lab.stop()  # with the call under way
        need(status == 0 and clock() - at < 10, f"stopped with {status} after {clock() - at:.1f} s")
        lab.let_go()
        lab.start()
        need(lab.works() and lab.put_cold()[0].returncode == 0, "after a restart")
        lab.forget_data_keys()
        lab.hang()
        answer = lab.redeem(lab.passed, lab.key, request_id="late")
        lab.let_go()
        found = [entry for entry in lab.audit() if entry.get("correlation") == "late"]
        wanted = {"outcome": "error", "reason": late, "principal": f"{lab.issuer}|alice", "credential": "openai-prod", "forwarder": "nginx"}
        need(answer.status == 503 and len(found) == 1 and wanted.items() <= found[0].items(), (answer, found))


def another_device_serves_instead():
    with Hanging(second=True, device_timeout_s=4, device_restart_s=600) as lab:
        lab.ready()
        lab.forget_data_keys()
        lab.hang()
        done, took_s = lab.put_cold()  # the device is not known to hang
        need(done.returncode == 0 and took_s < AT_ONCE_S, f"the other slot was not used: {took_s:.2f} s, {done}")
        lab.wait_until_missed()
        need(lab.devices()["tpm"]["serves"] and lab.works(), lab.devices())
        lab.vaultctl("tenant", "create", "newer")
        lab.vaultctl("seal")
        lab.vaultctl("unseal")
        need(lab.works(), "unsealed by the other device")
        lab.vaultctl("rotate", "tenant", "--tenant", "default")
        lab.vaultctl("device", "remove", "main")
        need(not lab.devices()["main"]["belongs"], lab.devices())
        need("still in it" in [entry for entry in lab.audit() if entry["operation"] == "device.removed"][-1]["reason"], "audit")
        lab.let_go()
        wait_until("its return", lambda: "has returned" in lab.log())
        lab.vaultctl("device", "add", "main")
        wait_until("every slot", lambda: lab.devices()["main"]["missing"] == 0 and lab.devices()["main"]["state"] == "works")
        need(lab.works(), "at the end")


def is_another_keeper_that_works(lab, keeper):
    return lab.pids().get("keeper") not in (None, keeper) and lab.vaultctl("status", check=False).returncode == 0 and lab.works()


def a_call_that_never_returns_ends_with_a_new_keeper():
    with Hanging(second=True, device_restart_s=10) as lab:
        lab.ready()
        keeper = lab.pids()["keeper"]
        lab.hang("for ever")
        lab.wait_until_missed()
        lab.let_go()  # the device is well again, and the call is lost
        need(lab.pids()["keeper"] == keeper and lab.works(), "served by the other one meanwhile")
        wait_until("another keeper", lambda: is_another_keeper_that_works(lab, keeper), 30)
        wait_until("the device", lambda: lab.devices()["main"]["state"] == "works")
        entry = [entry for entry in lab.audit() if entry["operation"] == "keeper.restart"][-1]
        need(entry["subject"] == "main" and "has not returned" in entry["reason"], entry)


def a_vault_that_seals_itself_gets_a_new_keeper():
    with Hanging(device_restart_s=5, device_grace_s=20) as lab:
        lab.ready()
        keeper = lab.pids()["keeper"]
        lab.hang("for ever")
        lab.wait_until_missed()
        lab.let_go()
        time.sleep(5.5)
        need(lab.pids()["keeper"] == keeper and lab.works(), "its loaded data keys were given away")
        wait_until("another keeper", lambda: is_another_keeper_that_works(lab, keeper), 30)
        # Sealed by hand it stays: a new keeper would unseal.
        keeper = lab.pids()["keeper"]
        lab.hang("for ever")
        lab.wait_until_missed()
        lab.let_go()
        lab.vaultctl("seal")
        time.sleep(6)
        need(lab.pids()["keeper"] == keeper and lab.status()["state"] == "sealed", "unsealed by a restart")


if __name__ == "__main__":
    run_cases(nobody_waits_for_a_device_that_hangs, a_call_that_is_under_way_is_bounded, another_device_serves_instead,
              a_call_that_never_returns_ends_with_a_new_keeper, a_vault_that_seals_itself_gets_a_new_keeper)
