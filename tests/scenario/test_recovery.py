#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Devices and what happens without them: rollback, a dead TPM, recovery."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from lab import Device, Lab, need, run, run_cases, wait_until  # noqa: E402
from pace import clock  # noqa: E402


def status(lab):
    return lab.vaultctl_json("status")


def wait_for_counter(lab):
    wait_until("the counter to be moved", lambda: status(lab)["rollback_protection"]["is_up_to_date"])


def wait_for_state(lab, state):
    wait_until(f"state {state}", lambda: lab.vaultctl_json("status", check=False)["state"] == state and
               (state != "sealed" or "reason" in status(lab)))


def copy_store(lab, to):
    run("cp", "-a", lab.store_folder, f"{lab.folder}/{to}")


def put_back(lab, copy):
    shutil.rmtree(lab.store_folder)
    run("cp", "-a", f"{lab.folder}/{copy}", lab.store_folder)


def opens(lab, token, key):
    """The credential as it was put."""
    answer = lab.redeem(token, key)
    return answer.status == 200 and "sk-real-secret-0001" in answer.body.decode()


def an_old_store_is_refused(device):
    with Lab(device) as lab:
        key, token = lab.start_ready()
        wait_for_counter(lab)
        before = status(lab)["rollback_protection"]["epoch"]
        lab.stop()
        copy_store(lab, "old")
        lab.start()
        need(lab.redeem(token, key).status == 200, "before the revocation")
        lab.vaultctl("revoke", "--principal", f"{lab.issuer}|alice")
        need(lab.redeem(token, key).status != 200, "a revoked token opened")
        wait_for_counter(lab)
        need(status(lab)["rollback_protection"]["epoch"] > before, "the epoch did not move")
        lab.stop()
        copy_store(lab, "new")

        put_back(lab, "old")
        lab.start()
        wait_for_state(lab, "sealed")
        need("old copy" in status(lab)["reason"] and "accept-rollback" in status(lab)["reason"], status(lab))
        need(lab.redeem(token, key).status == 503, "an old copy serves")
        need(lab.vaultctl("unseal", check=False).returncode != 0, "unsealed")
        need(status(lab)["state"] == "sealed", "unsealed")
        lab.stop()

        put_back(lab, "new")  # the genuine one still starts
        lab.start()
        wait_for_state(lab, "unsealed")
        need(lab.redeem(token, key).status != 200, "a revoked token opened")
        lab.stop()

        put_back(lab, "old")
        lab.start()
        wait_for_state(lab, "sealed")
        lab.vaultctl("recover", "--accept-rollback")
        need(status(lab)["state"] == "unsealed", "not unsealed by --accept-rollback")
        need(any(entry["operation"] == "vault.recover" and "accept-rollback" in entry.get("subject", "") and
                 entry["outcome"] == "allow" for entry in lab.audit()), "not in the audit log")
        wait_for_counter(lab)
        lab.stop()
        lab.start()  # accepted for good
        wait_for_state(lab, "unsealed")
        lab.stop()
        put_back(lab, "new")  # and now this one is of another past
        lab.start()
        wait_for_state(lab, "sealed")


def an_old_store_is_refused_with_a_tpm():
    an_old_store_is_refused("swtpm")


def an_old_store_is_refused_with_an_hsm():
    an_old_store_is_refused("softhsm")


def every_kind_of_change_moves_the_epoch():
    with Lab("softhsm") as lab:
        lab.start_ready()
        for change in (["credential", "disable", "openai-prod"], ["credential", "enable", "openai-prod"],
                       ["tenant", "create", "other"], ["tenant", "disable", "other"], ["forwarder", "remove", "nginx"],
                       ["credential", "delete", "openai-prod", "--yes"]):
            wait_for_counter(lab)
            before = status(lab)["rollback_protection"]["epoch"]
            done = lab.vaultctl(*change, check=False)
            if done.returncode == 2:  # no such option
                lab.vaultctl(*[word for word in change if word != "--yes"])
            wait_until(f"a move after {change}", lambda: status(lab)["rollback_protection"]["epoch"] > before)


def an_old_log_with_an_old_store_is_refused():
    """Nothing changes but the log: its checkpoints move the counter, too, only not at once."""
    with Lab("swtpm") as lab:
        key, token = lab.start_ready()
        wait_for_counter(lab)
        before = status(lab)["rollback_protection"]["epoch"]
        time.sleep(2.5)
        need(status(lab)["rollback_protection"]["epoch"] == before, "each checkpoint moves the counter")
        lab.stop()
        copy_store(lab, "old")
        run("cp", "-a", lab.audit_folder, f"{lab.folder}/old.audit")
        lab.extra["keeper"] = {"audit_epoch_s": 2}
        lab.write_config()
        lab.start()
        for _ in range(3):
            need(opens(lab, token, key), "redeem")
        wait_until("a move for the log alone", lambda: status(lab)["rollback_protection"]["epoch"] > before)
        wait_for_counter(lab)
        lab.stop()
        put_back(lab, "old")
        shutil.rmtree(lab.audit_folder)
        run("cp", "-a", f"{lab.folder}/old.audit", lab.audit_folder)
        lab.start()
        wait_for_state(lab, "sealed")
        need("old copy" in status(lab)["reason"], status(lab))


def new_device(lab, kind):
    """The old one is destroyed; another one takes its place."""
    lab.device.stop()
    shutil.rmtree(lab.device.folder)
    lab.device = Device(kind, f"{lab.folder}/device", lab.device.owner)
    lab.write_config()


def a_dead_device_is_recovered(kind, other):
    with Lab(kind) as lab:
        key, token = lab.start_ready()
        lab.vaultctl("tenant", "create", "later")
        lab.vaultctl("credential", "put", "other", "-", "--tenant", "later", "--profile", "openai", input="sk-later")
        lab.vaultctl("rotate", "tenant", "--tenant", "later")  # a data key that init did not make
        need(len(lab.shares) == 5 and len(set(lab.shares)) == 5, lab.shares)
        for share in lab.shares:
            need(share not in lab.log(), "a share is in the log")
            need(all(share not in json.dumps(entry) for entry in lab.audit()), "a share is in the audit log")
        lab.stop()
        new_device(lab, other)
        lab.start()
        wait_for_state(lab, "sealed")
        need(lab.redeem(token, key).status == 503, "served by another device")

        few = lab.put_file("few", "\n".join(lab.shares[:2]))
        done = lab.vaultctl("recover", "--share-file", few, check=False)
        need(done.returncode != 0 and "3 are needed" in done.stderr, done.stderr)
        with Lab("softhsm") as stranger:
            stranger.start()
            foreign = stranger.vaultctl_json("init")["shares"]
        wrong = lab.put_file("wrong", "\n".join(foreign[:3]))
        need(lab.vaultctl("recover", "--share-file", wrong, check=False).returncode == 3, "foreign shares")
        mistyped = lab.put_file("mistyped", "\n".join([lab.shares[0][:30] + ("b" if lab.shares[0][30] != "b" else "c") + lab.shares[0][31:],
                                                      *lab.shares[1:3]]))
        need("mistyped" in lab.vaultctl("recover", "--share-file", mistyped, check=False).stderr, "a mistyped share")
        need(status(lab)["state"] == "sealed", "recovered without the shares")

        enough = lab.put_file("enough", "\n".join([lab.shares[4], lab.shares[0].upper(), lab.shares[2]]))
        answer = lab.vaultctl_json("recover", "--share-file", enough)
        need(answer["data_keys"] >= 3, answer)
        need(lab.redeem(token, key).status == 200, "the token of before does not open")
        need("sk-real-secret-0001" in lab.redeem(token, key).body.decode(), "another value")
        lab.stop()
        lab.start()  # it belongs to the new device
        wait_for_state(lab, "unsealed")
        need(lab.redeem(token, key).status == 200, "after a restart")
        lab.vaultctl("tenant", "create", "newest")
        wait_for_counter(lab)
        lab.stop()

        new_device(lab, kind)  # and the shares still hold, with what came later
        lab.start()
        wait_for_state(lab, "sealed")
        need(lab.vaultctl_json("recover", "--share-file", enough)["data_keys"] >= 4, "the second time")
        need(lab.redeem(token, key).status == 200, "the second time")
        need(sum(entry["operation"] == "vault.recover" and entry["outcome"] == "allow" for entry in lab.audit()) == 2, "audit")


def a_destroyed_tpm_is_recovered():
    a_dead_device_is_recovered("swtpm", "swtpm")


def an_hsm_gives_way_to_a_tpm():
    a_dead_device_is_recovered("softhsm", "swtpm")


def a_rotated_vault_is_recovered():
    """Every key was replaced before the TPM is destroyed, and can be replaced afterwards."""
    with Lab("swtpm", config={"rotation": {"publication_s": 1}}) as lab:
        key, token = lab.start_ready()

        def rotate_everything():
            lab.vaultctl("rotate", "tenant", "--all")
            lab.vaultctl("rotate", "wrapping")
            lab.vaultctl("rotate", "intake")
            lab.vaultctl("credential", "rotate", "openai-prod", "-", input="sk-real-secret-0001")
        rotate_everything()
        lab.vaultctl("rotate", "tenant", "--all")
        backup = f"{lab.folder}/vault.backup"
        lab.vaultctl("backup", backup)
        wait_for_counter(lab)
        lab.stop()
        new_device(lab, "swtpm")
        shutil.rmtree(lab.store_folder)
        os.mkdir(lab.store_folder, 0o750)
        if lab.users:
            run("chown", "vault-keeper:vaultd", lab.store_folder)
        lab.vaultctl("restore", backup, "--store", lab.store_folder)
        lab.start()
        wait_for_state(lab, "sealed")
        lab.vaultctl("recover", "--share-file", lab.put_file("shares", "\n".join(lab.shares[:3])))
        need(opens(lab, token, key), "recovered after the rotations")
        rotate_everything()
        need(opens(lab, token, key), "rotated after the recovery")
        lab.stop()
        new_device(lab, "softhsm")  # what was rotated after it can be recovered, too
        lab.start()
        wait_for_state(lab, "sealed")
        lab.vaultctl("recover", "--share-file", lab.put_file("shares", "\n".join(lab.shares[2:])))
        need(opens(lab, token, key), "recovered twice")


def make_recovery_key(lab, name, *options):
    private, public = f"{lab.folder}/{name}.pem", f"{lab.folder}/{name}-public.pem"
    run("openssl", "genpkey", *options, "-out", private)
    run("openssl", "pkey", "-in", private, "-pubout", "-out", public)
    return private, public


P256 = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072")


def an_offline_key_recovers(*options):
    with Lab("swtpm") as lab:
        private, public = make_recovery_key(lab, "recovery", *options)
        other, _ = make_recovery_key(lab, "other", *P256)
        _, p384 = make_recovery_key(lab, "p384", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")
        lab.start()
        for wrong, words in ((private, "private half"), (p384, "P-256"), (lab.ca, "PEM"), (f"{lab.folder}/none", "none")):
            done = lab.vaultctl("init", "--recovery-key", wrong, check=False)
            need(done.returncode != 0 and words in done.stderr, f"{wrong}: {done}")
        need(lab.vaultctl("init", "--recovery-key", public, "--shares", "3", check=False).returncode == 2, "shares, too")
        need(status(lab)["state"] == "uninitialised", "a refused init changed something")
        lab.init_with_issuer(init=("--recovery-key", public))
        lab.put_credential()
        lab.enrol()
        key = new_client_key()
        token = lab.token(key=key)
        lab.vaultctl("rotate", "tenant")
        backup = f"{lab.folder}/vault.backup"
        lab.vaultctl("backup", backup)
        lab.stop()
        shutil.rmtree(lab.store_folder)
        os.mkdir(lab.store_folder, 0o750)
        if lab.users:
            run("chown", "vault-keeper:vaultd", lab.store_folder)
        lab.vaultctl("restore", backup, "--store", lab.store_folder)
        new_device(lab, "swtpm")  # the backup and the private key are enough
        lab.start()
        wait_for_state(lab, "sealed")
        done = lab.vaultctl("recover", "--private-key", other, check=False)
        need(done.returncode == 1 and "another recovery key" in done.stderr, done)
        need(lab.vaultctl_json("recover", "--private-key", private)["data_keys"] >= 2, "recovered")
        need(opens(lab, token, key), "what was stored")
        wait_for_counter(lab)
        lab.stop()
        new_device(lab, "softhsm")  # and by an answer that was made elsewhere
        lab.start()
        wait_for_state(lab, "sealed")
        sealed = lab.put_file("sealed.jwe", lab.vaultctl("recover", "--show-sealed").stdout)
        answer = lab.vaultctl("recover", "--sealed", sealed, "--private-key", private, env={"VAULTCTL_SERVER": "unix:/nonexistent"}).stdout
        need(answer.strip() and answer.strip() not in lab.log(), "no answer, or it is in the log")
        lab.vaultctl("recover", "--share-file", lab.put_file("answer", answer))
        need(opens(lab, token, key), "by an answer")


def an_offline_p256_key_recovers():
    an_offline_key_recovers(*P256)


def an_offline_rsa_key_recovers():
    an_offline_key_recovers(*RSA)


def a_backup_streams_while_serving():
    with Lab("softhsm") as lab:
        key, token = lab.start_ready()
        for i in range(300):
            lab.put_credential(f"credential-{i:03}", "sk-" + "x" * 8000)
        terminal, end = pty.openpty()
        backup = subprocess.Popen([f"{lab.prefix}/bin/vaultctl", "backup", f"{lab.folder}/b"], stderr=end, stdout=subprocess.DEVNULL,
                                  env={**os.environ, "VAULTCTL_SERVER": f"unix:{lab.admin_socket}"})
        slowest, served, changed = 0, 0, 0
        while backup.poll() is None:
            at = clock()
            need(lab.redeem(token, key).status == 200, "during the backup")
            if served % 5 == 0:
                lab.put_credential(f"meanwhile-{changed:03}")
                changed += 1
            slowest, served = max(slowest, clock() - at), served + 1
        os.set_blocking(terminal, False)
        shown = os.read(terminal, 65536).decode()
        os.close(end)
        counts = [int(word) for word in re.findall(r"(\d+) of \d+ records", shown)]
        need(backup.returncode == 0 and len(counts) > 3 and counts == sorted(counts), f"{backup.returncode} {shown!r}")
        need(counts[-1] == int(re.search(r"of (\d+) records", shown).group(1)), shown[-200:])
        need(served > 0 and slowest < 2, f"{served} served, the slowest in {slowest:.2f} s")
        lab.stop()
        lab.vaultctl("restore", f"{lab.folder}/b", "--store", lab.store_folder)  # a snapshot: what came meanwhile is not in it


def a_backup_is_restored():
    with Lab("swtpm") as lab:
        key, token = lab.start_ready()
        backup = f"{lab.folder}/vault.backup"
        for i in range(40):  # more than one chunk
            lab.put_credential(f"credential-{i:02}", "sk-" + "x" * 8000)
        signer = status(lab)["keys"]["checkpoint"]
        lab.vaultctl("backup", backup)
        need(os.path.getsize(backup) > 250000, "too small")
        os.symlink("/dev/null", f"{lab.folder}/link")
        for place in (f"{lab.folder}/link", lab.folder):
            done = lab.vaultctl("backup", place, check=False)
            need(done.returncode == 2 and f"{place} is there and no file" in done.stderr, done)
        need(os.readlink(f"{lab.folder}/link") == "/dev/null", "a link was replaced")
        os.unlink(f"{lab.folder}/link")
        with open(backup, "rb") as file:
            whole = file.read()
        need(b"sk-real-secret-0001" not in whole and b"xxxxxxxx" not in whole, "a value is in the backup")
        need(any(entry["operation"] == "vault.backup" for entry in lab.audit()), "not in the audit log")
        done = lab.vaultctl("restore", backup, "--store", lab.store_folder, check=False)
        need(done.returncode == 5 and "another process holds" in done.stderr, f"replaced under a running vault: {done.stderr}")
        lab.vaultctl("credential", "delete", "openai-prod", "--yes", check=False)
        wait_for_counter(lab)
        lab.stop()

        before = run("ls", lab.folder)
        for at in (4, 40, len(whole) // 2, len(whole) - 300, len(whole) - 10):  # a byte altered, and cut off there
            for altered in (whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:], whole[:at]):
                with open(f"{lab.folder}/altered", "wb") as file:
                    file.write(altered)
                done = lab.vaultctl("restore", f"{lab.folder}/altered", "--store", lab.store_folder, check=False)
                need(done.returncode == 1 and "not usable" in done.stderr, f"altered at {at}: {done.stderr}")
                os.unlink(f"{lab.folder}/altered")
        need(run("ls", lab.folder) == before, "something was replaced")
        wrong = lab.vaultctl("restore", backup, "--store", lab.store_folder, "--key", "A" * 43, check=False)
        need(wrong.returncode == 1 and "another key" in wrong.stderr, wrong.stderr)

        lab.vaultctl("restore", backup, "--store", lab.store_folder, "--key", signer)
        lab.start()
        wait_for_state(lab, "sealed")
        need("rollback" in status(lab)["reason"], status(lab))
        lab.vaultctl("recover", "--accept-rollback")
        need("sk-real-secret-0001" in lab.redeem(token, key).body.decode(), "what was backed up does not open")
        lab.stop()

        new_device(lab, "softhsm")  # backup and shares are enough
        shutil.rmtree(lab.store_folder)
        os.mkdir(lab.store_folder, 0o750)
        if lab.users:
            run("chown", "vault-keeper:vaultd", lab.store_folder)
        lab.vaultctl("restore", backup, "--store", lab.store_folder)
        lab.start()
        wait_for_state(lab, "sealed")
        lab.vaultctl("recover", "--share-file", lab.put_file("shares", "\n".join(lab.shares[1:4])))
        need("sk-real-secret-0001" in lab.redeem(token, key).body.decode(), "on new hardware")


if __name__ == "__main__":
    run_cases(a_backup_is_restored, an_old_store_is_refused_with_a_tpm, an_old_store_is_refused_with_an_hsm,
              every_kind_of_change_moves_the_epoch, an_old_log_with_an_old_store_is_refused,
              a_destroyed_tpm_is_recovered, an_hsm_gives_way_to_a_tpm, a_rotated_vault_is_recovered, an_offline_p256_key_recovers,
              an_offline_rsa_key_recovers, a_backup_streams_while_serving)
