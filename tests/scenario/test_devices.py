#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Devices that are missing, locked, wrong or gone, stores of others and disks
that are full: a clear message that says what to do, and nothing is lost."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from lab import HANGS_S, Lab, need, run, run_cases, wait_until  # noqa: E402


def status(lab):
    return lab.vaultctl_json("status")


def own(lab, path):
    if lab.users:
        run("chown", "vault-keeper:vaultd", path)


def write_pin(lab, pin):
    with open(lab.device.settings["pin_file"], "w") as out:
        out.write(pin + "\n")


# What an administrator gets wrong, and what the message must say.
MISTAKES = {
    "a missing module": ({"module": "/nonexistent/pkcs11.so"}, ["/nonexistent/pkcs11.so", "cannot be loaded", "correct the path"]),
    "a file that is no module": ({"module": "/etc/passwd"}, ["/etc/passwd", "cannot be loaded"]),
    "a missing PIN file": ({"pin_file": "/nonexistent/pin"}, ["/nonexistent/pin", "create it with mode 0400"]),
    "no device of that name": ({"uri": "pkcs11:token=other"}, ["no device matches", "'vaultd'", "correct token="]),
    "no URI": ({"uri": "nonsense"}, ["PKCS#11 URI", "pkcs11:"]),
}


def fails_with(lab, what, words):
    """A vault that was initialised before says why it is sealed, and how to mend it."""
    lab.write_config()
    lab.start()
    found = status(lab)
    need(found["state"] == "sealed" and all(word in found["reason"] for word in words), f"{what}: {found}")
    unsealed = lab.vaultctl("unseal", check=False)
    need(unsealed.returncode == 6 and all(word in unsealed.stderr for word in words), f"{what}: unseal: {unsealed}")
    key = new_client_key()
    need(lab.exchange(key=key).status == 503, f"{what}: a token was issued")
    need(all(word in lab.log() for word in words), f"{what}: the log does not say so")
    lab.stop()


def mistakes_in_the_configuration_of_a_device_are_told():
    with Lab() as lab:
        key, token = lab.start_ready()
        lab.stop()
        good = dict(lab.device.settings)
        for what, (change, words) in MISTAKES.items():
            lab.device.settings = {**good, **change}
            fails_with(lab, what, words)
        lab.device.settings = good
        lab.write_config()
        lab.start()
        need(lab.works(token, key), "mended")


def mistakes_are_told_before_init_too():
    for what, (change, words) in MISTAKES.items():
        with Lab() as lab:
            good = dict(lab.device.settings)
            lab.device.settings = {**good, **change}
            lab.write_config()
            lab.start()
            done = lab.vaultctl("init", check=False)
            need(done.returncode == 6 and all(word in done.stderr for word in words), f"{what}: {done}")
            need(status(lab)["state"] == "uninitialised", what)
            lab.device.settings = good
            lab.write_config()
            lab.stop()
            lab.start()
            lab.vaultctl("init")


def a_pin_file_must_belong_to_the_keeper_alone():
    with Lab() as lab:
        key, token = lab.start_ready()
        lab.stop()
        path = lab.device.settings["pin_file"]
        for mode in (0o644, 0o604, 0o660, 0o620):
            os.chmod(path, mode)
            fails_with(lab, oct(mode), [path, f"0{mode:o}", "chmod 0400"])
        os.chmod(path, 0o400)
        if lab.users:
            run("chown", "root:root", path)
            fails_with(lab, "a PIN file of root", [path, "Permission denied", "vault-keeper"])
            run("chown", "-R", "root:root", f"{lab.device.folder}/tokens")
            own(lab, path)
            fails_with(lab, "files of the module that are root's", ["does not start", "vault-keeper"])
            run("chown", "-R", "vault-keeper:vaultd", f"{lab.device.folder}/tokens")
        lab.start()
        need(lab.works(token, key), "mended")


def flags(lab, module):
    """What pkcs11-tool says about the PIN of the device."""
    return run("pkcs11-tool", "--module", module, "--list-token-slots",
               env={**os.environ, "SOFTHSM2_CONF": f"{lab.device.folder}/softhsm2.conf"})


def a_wrong_pin_is_tried_once_and_never_locks():
    with Lab() as lab:
        key, token = lab.start_ready()
        lab.stop()
        spied = os.path.join(lab.folder, "spy.log")
        spy = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so"
        good = dict(lab.device.settings)
        if os.path.exists(spy):  # opensc's: counts each C_Login that reaches the module
            with open(spied, "w"):
                pass
            own(lab, spied)
            lab.device.settings = {**good, "module": spy, "environment": good["environment"] + [f"PKCS11SPY={good['module']}",
                                                                                               f"PKCS11SPY_OUTPUT={spied}"]}
            lab.write_config()
        write_pin(lab, "00000000")
        lab.start()
        found = status(lab)
        need(found["state"] == "sealed" and "PIN is wrong" in found["reason"] and "tried once" in found["reason"], found)
        need("correct the PIN file" in found["reason"], found)
        for _ in range(5):
            done = lab.vaultctl("unseal", check=False)
            need(done.returncode == 6 and "PIN is wrong" in done.stderr, done)
        lab.stop()
        if os.path.exists(spy):
            with open(spied, errors="replace") as text:
                logins = len(re.findall(r"C_Login\b", text.read()))
            need(logins == 1, f"the wrong PIN was tried {logins} times")
        need("token flags" in flags(lab, good["module"]) and "locked" not in flags(lab, good["module"]), flags(lab, good["module"]))
        write_pin(lab, "87654321")
        lab.device.settings = good
        lab.write_config()
        lab.start()
        need(lab.works(token, key), "with the right PIN")


def a_mended_pin_works_without_a_restart():
    with Lab() as lab:
        key, token = lab.start_ready()
        lab.stop()
        write_pin(lab, "00000000")
        lab.start()
        need(status(lab)["state"] == "sealed", status(lab))
        write_pin(lab, "87654321")
        lab.process.send_signal(signal.SIGHUP)
        wait_until("reload", lambda: "configuration reloaded" in lab.log())
        if status(lab)["state"] == "sealed":
            lab.vaultctl("unseal")
        wait_until("service", lambda: lab.works(token, key))


def a_missing_device_is_told_and_comes_back():
    with Lab("swtpm") as lab:
        key, token = lab.start_ready()
        lab.stop()
        lab.device.stop()
        lab.start()
        found = status(lab)
        need(found["state"] == "sealed" and "cannot be reached" in found["reason"] and "swtpm started?" in found["reason"], found)
        need(lab.exchange(key=key).status == 503 and lab.redeem(token, key).status == 503, "served without a device")
        lab.device.start()
        lab.vaultctl("unseal")
        need(lab.works(token, key), "after the device came back")


def a_tpm_that_vanishes_while_running():
    with Lab("swtpm") as lab:
        key, token = lab.start_ready()
        lab.device.stop()
        need(lab.works(token, key), "a tenant whose key is loaded goes on")
        # Wrapping needs the public part only; once the vault has noticed that the device is gone, it says so.
        made = lab.vaultctl("tenant", "create", "later", check=False)
        need(made.returncode == 0 or (made.returncode == 6 and "device" in made.stderr), made)
        lab.put_credential("another", "sk-2")
        lab.vaultctl("seal")
        done = lab.vaultctl("unseal", check=False)
        need(done.returncode == 6 and "TPM" in done.stderr and "swtpm started?" in done.stderr, done)
        found = status(lab)
        need(found["state"] == "sealed" and "cannot be reached" in found["reason"], found)
        need(lab.redeem(token, key).status == 503, "sealed")
        lab.device.start()
        lab.vaultctl("unseal")
        need(lab.works(token, key), "after the device came back")
        names = [item["name"] for item in lab.vaultctl_json("credential", "list")["credentials"]]
        need(sorted(names) == ["another", "openai-prod"], names)
        if made.returncode:
            lab.vaultctl("tenant", "create", "later")
        lab.vaultctl("--tenant", "later", "credential", "put", "x", "-", "--profile", "openai", input="sk-3")


def a_keeper_that_restarts_without_its_tpm():
    with Lab("swtpm") as lab:
        key, token = lab.start_ready()
        lab.device.stop()
        old = lab.pids()["keeper"]
        os.kill(old, signal.SIGKILL)
        wait_until("another keeper", lambda: lab.pids().get("keeper") not in (None, old))
        wait_until("a message", lambda: "cannot be reached" in lab.log())
        wait_until("an answer", lambda: lab.redeem(token, key).status == 503)
        need(status(lab)["state"] == "sealed", status(lab))
        lab.device.start()
        lab.vaultctl("unseal")
        wait_until("service", lambda: lab.works(token, key))


def a_pkcs11_device_that_vanishes_while_running():
    with Lab() as lab:
        key, token = lab.start_ready()
        tokens = f"{lab.device.folder}/tokens"
        os.rename(tokens, tokens + ".away")
        need(lab.works(token, key), "a tenant whose key is loaded goes on")
        lab.vaultctl("seal")
        done = lab.vaultctl("unseal", check=False)
        need(done.returncode == 6 and re.search("PKCS#11|device", done.stderr) and "vault.unseal failed" in done.stderr, done)
        need(status(lab)["state"] == "sealed" and status(lab)["reason"], status(lab))
        os.rename(tokens + ".away", tokens)
        lab.vaultctl("unseal")
        need(lab.works(token, key), "after the device came back")


def a_store_of_another_device_is_told():
    for kind in ("softhsm", "swtpm"):
        with Lab(kind) as lab, Lab(kind) as other:
            key, token = lab.start_ready()
            lab.stop()
            shutil.copytree(lab.store_folder, other.store_folder)
            for path in [other.store_folder, *(f"{other.store_folder}/{name}" for name in os.listdir(other.store_folder))]:
                own(other, path)
            before = {name: open(f"{other.store_folder}/{name}", "rb").read() for name in os.listdir(other.store_folder)}
            other.start()
            found = status(other)
            need(found["state"] == "sealed" and "device" in found["reason"], found)
            need(re.search(r"this store was made with device|is not the one that made this store", found["reason"]), found)
            done = other.vaultctl("init", check=False)
            need(done.returncode == 5, f"a store was made over another: {done}")
            other.stop()
            need(open(f"{other.store_folder}/data.mdb", "rb").read() == before["data.mdb"], "the store was changed")
            lab.start()
            need(lab.works(token, key), "at home")


class Lmdb:
    """Enough of liblmdb to change one value of a store."""

    class Value(ctypes.Structure):
        _fields_ = [("size", ctypes.c_size_t), ("at", ctypes.c_void_p)]

        def bytes(self):
            return ctypes.string_at(self.at, self.size)

    def __init__(self, folder):
        self.library = ctypes.CDLL("liblmdb.so.0")
        self.environment = ctypes.c_void_p()
        self.check(self.library.mdb_env_create(ctypes.byref(self.environment)))
        self.check(self.library.mdb_env_set_mapsize(self.environment, ctypes.c_size_t(1 << 30)))
        self.check(self.library.mdb_env_set_maxdbs(self.environment, 16))
        self.check(self.library.mdb_env_open(self.environment, folder.encode(), 0, 0o600))

    @staticmethod
    def check(error):
        need(error == 0, f"lmdb: {error}")

    def change(self, chosen, changed):
        """Replaces the value of the first record for which chosen(key, value)."""
        library, transaction, database, cursor = self.library, ctypes.c_void_p(), ctypes.c_uint(), ctypes.c_void_p()
        self.check(library.mdb_txn_begin(self.environment, None, 0, ctypes.byref(transaction)))
        self.check(library.mdb_dbi_open(transaction, None, 0, ctypes.byref(database)))
        self.check(library.mdb_cursor_open(transaction, database, ctypes.byref(cursor)))
        key, value, step = self.Value(), self.Value(), 0  # MDB_FIRST, then MDB_NEXT
        found = False
        while not found and library.mdb_cursor_get(cursor, ctypes.byref(key), ctypes.byref(value), step) == 0:
            step = 8
            if chosen(key.bytes(), value.bytes()):
                name, text = key.bytes(), changed(value.bytes())
                room = ctypes.create_string_buffer(text, len(text))
                name_room = ctypes.create_string_buffer(name, len(name))
                library.mdb_cursor_close(cursor)
                new_key = self.Value(len(name), ctypes.addressof(name_room))
                new_value = self.Value(len(text), ctypes.addressof(room))
                self.check(library.mdb_put(transaction, database, ctypes.byref(new_key), ctypes.byref(new_value), 0))
                found = True
        need(found, "the record was not found")
        self.check(library.mdb_txn_commit(transaction))
        library.mdb_env_close(self.environment)


def change_schema(folder):
    """As a later vaultd would have left it: format 99."""
    Lmdb(folder).change(lambda key, value: b"format" in key, lambda value: value[:-4] + value[-4:].replace(b"\x01", b"\x63"))


def a_store_of_a_newer_version_is_told():
    with Lab() as lab:
        key, token = lab.start_ready()
        lab.stop()
        shutil.copytree(lab.store_folder, f"{lab.folder}/backup")
        change_schema(lab.store_folder)
        before = open(f"{lab.store_folder}/data.mdb", "rb").read()
        for name in os.listdir(lab.store_folder):
            own(lab, f"{lab.store_folder}/{name}")
        lab.start(wait=False)
        wait_until("a message", lambda: re.search(r"newer|version", lab.log()[-4000:]) and "99" in lab.log())
        need(re.search(r"newer.*vaultd|install", lab.log()), f"what to do is not said: {lab.log()[-600:]}")
        lab.stop(signal.SIGKILL)
        need(open(f"{lab.store_folder}/data.mdb", "rb").read() == before, "the store was changed")
        shutil.rmtree(lab.store_folder)
        shutil.copytree(f"{lab.folder}/backup", lab.store_folder)
        for path in [lab.store_folder, *(f"{lab.store_folder}/{name}" for name in os.listdir(lab.store_folder))]:
            own(lab, path)
        lab.start()
        need(lab.works(token, key), "the store of our version")


def a_store_that_is_cut_short_is_told():
    with Lab() as lab:
        key, token = lab.start_ready()
        lab.stop()
        path = f"{lab.store_folder}/data.mdb"
        with open(path, "rb") as store:
            whole = store.read()
        os.truncate(path, 5000)
        lab.start(wait=False)
        need(lab.process.wait(HANGS_S) == 1, "it goes on")
        lab.process = None
        need("the store is cut short" in lab.log() and "vaultctl restore" in lab.log(), lab.log()[-1500:])
        with open(path, "wb") as store:
            store.write(whole)
        lab.start()
        need(lab.works(token, key), "the whole store")


def a_full_disk_is_told_and_loses_nothing():
    if os.getuid() != 0:
        return
    with Lab() as lab:
        os.makedirs(lab.store_folder, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "size=2m,mode=0750", "tmpfs", lab.store_folder)
        own(lab, lab.store_folder)
        try:
            key, token = lab.start_ready()
            filler = f"{lab.store_folder}/filler"
            descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
            try:
                while True:
                    os.write(descriptor, b"x" * 4096)
            except OSError:
                os.close(descriptor)  # full
            stored = []
            for i in range(200):
                done = lab.vaultctl("credential", "put", f"c{i}", "-", "--profile", "openai", check=False, input=f"sk-{i}-" + "x" * 2000)
                if done.returncode != 0:
                    break
                stored.append(f"c{i}")
            need(done.returncode == 6 and re.search(r"full|No space|space", done.stderr), f"after {len(stored)}: {done}")
            names = [item["name"] for item in lab.vaultctl_json("credential", "list")["credentials"]]
            need(sorted(names) == sorted(stored + ["openai-prod"]), f"{names} and not {stored}")
            need(lab.redeem(token, key).status == 200, "what is there can be used while the disk is full")
            os.unlink(filler)
            lab.vaultctl("credential", "put", "after", "-", "--profile", "openai", input="sk-after")
            need(lab.works(token, key), "after space came back")
            need(lab.stop() == 0, "stop")
            lab.start()
            names = [item["name"] for item in lab.vaultctl_json("credential", "list")["credentials"]]
            need(sorted(names) == sorted(stored + ["openai-prod", "after"]), f"after a restart: {names}")
            need(lab.works(token, key), "after a restart")
        finally:
            lab.stop(signal.SIGKILL)
            subprocess.run(["umount", lab.store_folder], check=False)


if __name__ == "__main__":
    run_cases(mistakes_in_the_configuration_of_a_device_are_told, mistakes_are_told_before_init_too, a_pin_file_must_belong_to_the_keeper_alone,
              a_wrong_pin_is_tried_once_and_never_locks, a_mended_pin_works_without_a_restart, a_missing_device_is_told_and_comes_back,
              a_tpm_that_vanishes_while_running, a_keeper_that_restarts_without_its_tpm, a_pkcs11_device_that_vanishes_while_running,
              a_store_of_another_device_is_told, a_store_of_a_newer_version_is_told, a_store_that_is_cut_short_is_told,
              a_full_disk_is_told_and_loses_nothing)
