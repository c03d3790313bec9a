#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A configuration with mistakes: vaultd does not start, names the line and what is wrong with it, and touches
nothing."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from lab import HANGS_S, Lab, need, run_cases  # noqa: E402


def a_configuration_with_mistakes_does_not_start():
    with Lab() as lab:
        good = lab.config()
        path = f"{lab.folder}/bad.conf"

        def start(text):
            with open(path, "w") as out:
                out.write(text)
            done = subprocess.run([f"{lab.prefix}/sbin/vaultd", "--config", path], capture_output=True, text=True, timeout=HANGS_S)
            return done.returncode, done.stderr

        for where, why, advice in (("/nonexistent", "No such file or directory", "copy deploy/vaultd.conf there"),
                                   (lab.folder, "Is a directory", "give the path of a file")):
            done = subprocess.run([f"{lab.prefix}/sbin/vaultd", "--config", where], capture_output=True, text=True, timeout=HANGS_S)
            need(done.returncode == 1 and f"{where} can not be read: {why}; {advice}" in done.stderr, done)
        text = json.dumps(good, indent=2)
        line = text.split("\n").index('  "broker": {') + 2
        status, message = start(text.replace('"broker": {', '"broker": {\n    "werkers": 2,', 1))
        need(status == 1 and f"bad.conf, line {line}: broker.werkers: there is no such key" in message, f"{status}, line {line}: {message}")
        for change, word in (({"issuer": "http://x"}, "issuer: must be the https URL"), ({"log_level": "loud"}, "log_level: must be"),
                             ({"tokens": {"lifetime_s": 0}}, "tokens.lifetime_s"), ({"store": ["x"]}, "store: must be a text")):
            status, message = start(json.dumps({**good, **change}, indent=1))
            need(status == 1 and word in message and "bad.conf, line " in message, f"{change}: {status} {message}")
        for section, key in (("broker", "tls_certificate"), ("broker", "tls_key"), ("broker", "issuer_ca")):
            status, message = start(json.dumps({**good, section: {**good[section], key: "/nonexistent.pem"}}))
            need(status == 1 and f"{section}.{key}: /nonexistent.pem can not be read by " in message and "No such file" in message, message)
        other, other_key = lab.make_certificate("other", "localhost")
        nothing = lab.put_file("nothing.pem", "")
        for key, file, why in (("tls_key", other_key, "does not belong to the certificate"),
                               ("tls_key", other, "holds no unencrypted private key in PEM"),
                               ("tls_certificate", nothing, "holds no certificate in PEM"),
                               ("tls_certificate", other_key, "holds no certificate in PEM"),
                               ("issuer_ca", nothing, "holds no certificate in PEM"), ("issuer_ca", lab.folder, "can not be read by")):
            text = json.dumps({**good, "broker": {**good["broker"], key: file}})
            status, message = start(text)
            need(status == 1 and f"broker.{key}: {file} {why}" in message, f"{key} {file}: {message}")
            checked = subprocess.run([f"{lab.prefix}/sbin/vaultd", "--config", path, "--check"], capture_output=True, text=True,
                                     timeout=HANGS_S)
            need(checked.returncode == 1 and checked.stderr == message, f"--check: {checked} and not {message}")
        need(not os.path.exists(lab.store_folder), "a store was made by a configuration that was refused")
        os.mkdir(f"{lab.folder}/profiles")
        lab.put_file("profiles/odd.json", '{"name":"other"}')
        for profiles in ("/nonexistent", f"{lab.folder}/profiles"):
            status, message = start(json.dumps({**good, "profiles": profiles, "log_level": "notice"}))
            need(status == 1 and f"can not start: {profiles}" in message and "exited with status 1" in message,
                 f"{profiles}: {status} {message}")
            need("was ended by signal" not in message, f"{profiles}: {message}")
        precious = lab.put_file("precious", "kept")
        for path_of_socket in (precious, lab.folder):
            status, message = start(json.dumps({**good, "admin": {"socket": path_of_socket}}))
            need(status == 1 and f"can not listen on {path_of_socket}: what is there is no socket" in message, message)
        before = os.stat(precious)
        for section, key in ((None, "store"), ("audit", "directory"), ("shipping", "positions")):
            change = {key: precious} if not section else {
                section: {key: precious, **({"file": f"{lab.folder}/shipped"} if section == "shipping" else {})}}
            name = f"{section}.{key}" if section else key
            status, message = start(json.dumps({**good, **change}))
            need(status == 1 and f"{name}: {precious} is a file and no folder: give the path of a folder" in message, f"{name}: {message}")
            checked = subprocess.run([f"{lab.prefix}/sbin/vaultd", "--config", path, "--check"], capture_output=True, text=True,
                                     timeout=HANGS_S)
            need(checked.returncode == 1 and checked.stderr == message, f"--check: {checked} and not {message}")
        after = os.stat(precious)
        need((before.st_uid, before.st_gid, before.st_mode) == (after.st_uid, after.st_gid, after.st_mode), "it changed its owner")
        with open(precious) as kept:
            need(kept.read() == "kept", "a file was taken for a stale socket")


if __name__ == "__main__":
    run_cases(a_configuration_with_mistakes_does_not_start)
