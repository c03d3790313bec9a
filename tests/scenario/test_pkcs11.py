#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""PKCS#11 devices behind the running vault: the signing key inside one, and which
calls reach it."""

import os
import random
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from jose import new_client_key  # noqa: E402
from lab import HANGS_S, Device, Lab, need, run, run_cases, wait_until  # noqa: E402
from test_rotation import Load  # noqa: E402
from test_slots import spare_token  # noqa: E402

KILLS = int(os.environ.get("PKCS11_KILLS", "3"))


def make(**tokens):
    return Lab(config={"rotation": {"publication_s": 1}, "tokens": {"lifetime_s": 300, "max_lifetime_s": 3600, **tokens}})


def ready(lab):
    lab.serve()
    return new_client_key()


def signing_in(lab):
    return lab.vaultctl_json("status")["keys"]["signing_in"]


def jwks(lab):
    return {key["kid"] for key in lab.broker("GET", "/oauth2/jwks").json["keys"]}


def move_signing_key(lab, where):
    """Configuration, SIGHUP, one command: what an administrator does."""
    done = lab.log().count("configuration reloaded")
    lab.extra["tokens"]["signing_key"] = where
    lab.write_config()
    lab.process.send_signal(signal.SIGHUP)
    wait_until("reload", lambda: lab.log().count("configuration reloaded") > done)
    lab.vaultctl("rotate", "signing")
    wait_until(f"the signing key in {where}", lambda: signing_in(lab) == where)


def the_signing_key_moves_into_the_device_and_back():
    with make() as lab:
        key = ready(lab)
        need(signing_in(lab) == "memory", "the default is memory")
        tokens = [lab.token(key=key)]
        with Load(lab, key) as load:
            for where in ("device", "memory", "device"):
                move_signing_key(lab, where)
                tokens.append(lab.token(key=key))
                kid = lab.vaultctl_json("status")["keys"]["signing"]
                need(kid in jwks(lab), f"the key in {where} is not published")
            time.sleep(0.5)
        need(not load.failures, f"{len(load.failures)} requests failed, the first: {load.failures[:1]}")
        need(load.issued > 10 and load.redeemed > 100, f"{load.issued} issued, {load.redeemed} redeemed")
        for token in tokens:
            need(lab.redeem(token, key).status == 200, "a token of before the move")
        lab.stop()
        lab.start()
        need(lab.works(tokens[-1], key), "after a restart with the key in the device")


def a_vault_is_born_with_its_signing_key_in_the_device():
    with make(signing_key="device") as lab:
        key = ready(lab)
        need(signing_in(lab) == "device", "born in the device")
        token = lab.token(key=key)
        # Away and back: what was issued serves on, new tokens wait for the device.
        tokens = f"{lab.device.folder}/tokens"
        os.rename(tokens, tokens + ".away")
        need(lab.redeem(token, key).status == 200, "a token that was issued before")
        refused = lab.exchange(key=key)
        os.rename(tokens + ".away", tokens)
        need(refused.status in (200, 503), refused)  # SoftHSM has keys in its memory, too
        wait_until("tokens again", lambda: lab.works(token, key))
        lab.vaultctl("rotate", "signing", "--emergency")
        need(lab.redeem(token, key).status == 401, "a token of before the emergency")
        need(lab.works(lab.token(key=key), key), "after the emergency")


def a_lost_device_takes_its_signing_key_with_it():
    """Recovered on another device: what was issued before serves on, one command makes a new key."""
    with make(signing_key="device") as lab:
        key = ready(lab)
        token = lab.token(key=key)
        lab.stop()
        lab.device.stop()
        os.rename(lab.device.folder, lab.device.folder + ".lost")
        lab.device = Device("softhsm", lab.device.folder, lab.device.owner)
        lab.write_config()
        lab.start()
        lab.vaultctl("recover", "--share-file", lab.put_file("shares", "\n".join(lab.shares[:3])))
        need(lab.redeem(token, key).status == 200, "a token of before")
        need(lab.exchange(key=key).status == 503, "signed without its key")
        need("rotate signing --emergency" in lab.log(), "what to do is not said")
        lab.vaultctl("rotate", "signing", "--emergency")
        need(signing_in(lab) == "device" and lab.works(lab.token(key=key), key), "with a new key")


def private_keys(lab):
    """What the device itself says that it holds."""
    out = run("pkcs11-tool", "--module", lab.device.settings["module"], "--token-label", "vaultd", "--login", "--pin", "87654321",
              "--list-objects", "--type", "privkey", env={**os.environ, "SOFTHSM2_CONF": f"{lab.device.folder}/softhsm2.conf"})
    return out.count("Private Key Object")


def nothing_is_lost_when_the_keeper_is_killed_while_the_device_makes_keys():
    """Whatever is cut off: the vault serves again, and what stays in the device unused is one pair for each kill at most."""
    with make(signing_key="device") as lab:
        key = ready(lab)
        lab.token(key=key)
        for _ in range(KILLS):
            keeper = lab.pids()["keeper"]
            rotating = threading.Thread(target=lambda: lab.vaultctl("rotate", "signing", "--emergency", check=False))
            rotating.start()
            time.sleep(random.uniform(0, 0.04))
            os.kill(keeper, signal.SIGKILL)
            rotating.join(HANGS_S)
            wait_until("another keeper", lambda: lab.pids().get("keeper") not in (None, keeper))
            wait_until("service", lambda: lab.exchange(key=key).status == 200)
            need(lab.works(lab.token(key=key), key), "after a kill")
        lab.vaultctl("rotate", "signing", "--emergency")
        need(lab.works(lab.token(key=key), key), "after the last rotation")
        need(1 <= private_keys(lab) <= 1 + KILLS, f"{private_keys(lab)} pairs after {KILLS} kills")


def an_hsm_signs_beside_a_tpm_that_wraps():
    with Lab("swtpm", config={"rotation": {"publication_s": 1}, "tokens": {"lifetime_s": 300, "max_lifetime_s": 3600}}) as lab:
        hsm = Device("softhsm", f"{lab.folder}/hsm", lab.device.owner)
        environment = hsm.settings.pop("environment")
        lab.extra.update({"device": {**lab.device.settings, "environment": environment}, "more_devices": [{"name": "hsm", **hsm.settings}]})
        lab.extra["tokens"]["signing_key"] = "device"
        lab.write_config()
        key = ready(lab)
        need(signing_in(lab) == "memory", "a TPM keeps no signing key")
        token = lab.token(key=key)
        lab.vaultctl("device", "add", "hsm")
        move_signing_key(lab, "device")
        need(lab.works(token, key), "signed by the HSM")
        lab.stop()
        lab.start()
        wait_until("tokens after a restart", lambda: lab.works(token, key))


def the_device_that_has_the_key_signs():
    with make(signing_key="device") as lab:
        spare = spare_token(lab)
        lab.extra["more_devices"] = [spare]
        lab.write_config()
        key = ready(lab)
        lab.vaultctl("device", "add", "spare")
        token = lab.token(key=key)
        wait_until("the spare one has every slot",
                   lambda: all(device["missing"] == 0 for device in lab.vaultctl_json("device", "list")["devices"]))
        lab.stop()
        first = {name: lab.device.settings[name] for name in ("kind", "module", "uri", "pin_file")}
        lab.device.settings.update(uri=spare["uri"], name="spare")  # the spare one comes first from now on, and has no signing key
        lab.extra["more_devices"] = [{**first, "name": "main"}]
        lab.write_config()
        lab.start()
        wait_until("tokens", lambda: lab.works(token, key))
        lab.vaultctl("rotate", "signing", "--emergency")
        need(lab.works(lab.token(key=key), key), "with a new key")
        wait_until("one pair, where the last one was", lambda: private_keys(lab) == 1)


SPY = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so"  # opensc's: writes down every call that reaches the module


class Spied:
    """A lab whose keeper talks to SoftHSM through the spy."""

    def __init__(self, lab):
        self.path = f"{lab.folder}/spy.log"
        with open(self.path, "w"):
            pass
        if lab.users:
            run("chown", "vault-keeper:vaultd", self.path)
        device = lab.device.settings
        device["environment"] = [*device["environment"], f"PKCS11SPY={device['module']}", f"PKCS11SPY_OUTPUT={self.path}"]
        device["module"] = SPY
        lab.write_config()

    def text(self):
        with open(self.path, errors="replace") as log:
            return log.read()

    def settled(self):
        """How many calls there were when none came for a second."""
        count, since = len(self.calls()), time.monotonic()
        while time.monotonic() < since + 1:
            time.sleep(0.05)
            if len(self.calls()) != count:
                count, since = len(self.calls()), time.monotonic()
        return count

    def calls(self):
        return re.findall(r"^\d+: (C_\w+)", self.text(), re.M)


def which_calls_reach_the_device():
    with make() as lab:
        lab.extra["keeper"] = {"device_probe_s": 600}  # the look at the device's health is no request
        spied = Spied(lab)
        key = ready(lab)
        token = lab.token(key=key)
        need(lab.works(token, key), "through the spy")
        wait_until("the counter", lambda: lab.vaultctl_json("status")["rollback_protection"]["is_up_to_date"])
        before = spied.settled()
        for _ in range(100):
            need(lab.redeem(token, key).status == 200, "redeem")
        for _ in range(10):
            need(lab.exchange(key=key).status == 200, "exchange")
        need(len(spied.calls()) == before, f"requests reach the device: {spied.calls()[before:]}")
        lab.vaultctl("tenant", "create", "later")
        lab.vaultctl("rotate", "wrapping")
        for _ in range(3):
            lab.vaultctl("seal")
            lab.vaultctl("unseal")
        need(lab.works(token, key), "after seal and unseal")
        lab.stop()
        calls, text = spied.calls(), spied.text()
        opened, closed = calls.count("C_OpenSession"), calls.count("C_CloseSession")
        need(opened and opened == closed, f"{opened} sessions opened, {closed} closed")
        need(calls.count("C_Login") == opened == calls.count("C_Finalize"), "one login for each time that the device is reached")
        # The rollback counter is a data object of 8 bytes; the value of a key is never asked for.
        sizes = set(re.findall(r"CKA_VALUE  +[0-9a-f]+ / (-?\d+)", text))
        need(sizes == {"8"}, f"CKA_VALUE was asked for with room for {sizes} bytes")
        used = set(re.findall(r"pMechanism->type ?= ?(\w+)", text))
        need(used and used <= {"CKM_AES_GCM", "CKM_AES_KEY_GEN"}, f"mechanisms: {used}")
        need(not {"C_SetPIN", "C_InitToken", "C_GetObjectSize", "C_CopyObject", "C_SetAttributeValue"} & set(calls), f"{set(calls)}")


def a_third_module_does_the_main_job():
    """Debian's libtpm2-pkcs11 on a swtpm: no AES-GCM, no AES key wrap."""
    with Lab("tpm2pkcs11") as lab:
        key = ready(lab)
        found = lab.vaultctl_json("status")
        need("RSA signature" in found["device"]["mechanism"], found)
        token = lab.token(key=key)
        need(lab.works(token, key), "main job")
        lab.vaultctl("tenant", "create", "later")
        lab.vaultctl("seal")
        lab.vaultctl("unseal")
        need(lab.works(token, key), "after seal and unseal")
        lab.stop()
        lab.start()
        need(lab.works(token, key), "after a restart")
        lab.device.stop()
        need(lab.works(token, key), "a tenant whose key is loaded, without the TPM")
        lab.vaultctl("seal")
        done = lab.vaultctl("unseal", check=False)
        need(done.returncode == 6 and lab.redeem(token, key).status == 503, f"unsealed without the TPM: {done}")
        lab.device.start()
        lab.vaultctl("unseal")
        need(lab.works(token, key), "after the TPM came back")


if __name__ == "__main__":
    run_cases(the_signing_key_moves_into_the_device_and_back, a_vault_is_born_with_its_signing_key_in_the_device,
              an_hsm_signs_beside_a_tpm_that_wraps, the_device_that_has_the_key_signs, nothing_is_lost_when_the_keeper_is_killed_while_the_device_makes_keys,
              a_lost_device_takes_its_signing_key_with_it, which_calls_reach_the_device, a_third_module_does_the_main_job)
