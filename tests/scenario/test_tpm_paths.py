#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The ways to a TPM other than a swtpm of our own: a resource manager in user
space (tpm2-abrmd, on a private message bus) and TCP."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from lab import Lab, need, run_cases, wait_until  # noqa: E402
from ports import free_port  # noqa: E402

BUS = """<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/></policy></busconfig>
"""


def works(lab, key):
    return lab.redeem(lab.token(key=key), key).status == 200


def use(lab):
    lab.start()
    lab.init_with_issuer()
    lab.put_credential()
    lab.enrol()
    key = new_client_key()
    need(works(lab, key), "before a restart")
    lab.stop()
    lab.start()
    wait_until("the vault unseals", lambda: lab.vaultctl_json("status")["state"] == "unsealed")
    need(works(lab, key), "after a restart")
    return key


class Resources:
    """A swtpm behind tpm2-abrmd, and the bus on which it is found."""

    def __init__(self, lab):
        self.lab, self.folder, self.processes = lab, f"{lab.folder}/abrmd", []
        os.mkdir(self.folder)
        os.chmod(self.folder, 0o755)
        lab.device.stop()
        self.bus = f"unix:path={self.folder}/bus"
        self.socket = f"{self.folder}/tpm.sock"
        with open(f"{self.folder}/bus.conf", "w") as conf:
            conf.write(BUS.format(path=f"{self.folder}/bus"))
        self._run("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={lab.device.folder}", "--server", f"type=unixio,path={self.socket}",
                  "--ctrl", f"type=unixio,path={self.socket}.ctrl", "--flags", "not-need-init,startup-clear")
        self._run("dbus-daemon", f"--config-file={self.folder}/bus.conf", "--nofork")
        wait_until("bus and TPM", lambda: os.path.exists(f"{self.folder}/bus") and os.path.exists(self.socket))
        self.start_manager()

    def start_manager(self):
        self.manager = self._run("tpm2-abrmd", "--session", "--allow-root", f"--tcti=swtpm:path={self.socket}")

    def _run(self, *argv):
        with open(f"{self.folder}/log", "ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": getattr(self, "bus", "")})
        self.processes.append(process)
        return process

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            with open(f"{self.folder}/log", errors="replace") as log:
                sys.stderr.write(log.read()[-2000:])
        for process in reversed(self.processes):
            process.kill()
            process.wait()


def a_resource_manager_in_user_space():
    with Lab("swtpm") as lab, Resources(lab) as resources:
        lab.device.settings = {"kind": "tpm", "tcti": "tabrmd:bus_type=session",
                               "environment": [f"DBUS_SESSION_BUS_ADDRESS={resources.bus}"]}
        lab.write_config()
        key = use(lab)
        # What a restart of the manager forgets is made again.
        resources.manager.kill()
        resources.manager.wait()
        resources.start_manager()
        lab.vaultctl("seal")
        wait_until("the vault unseals", lambda: lab.vaultctl("unseal", check=False).returncode == 0)
        need(works(lab, key), "after a restart of the resource manager")


def a_resource_manager_that_is_not_there():
    with Lab("swtpm") as lab:
        lab.device.settings = {"kind": "tpm", "tcti": "tabrmd:bus_type=session",
                               "environment": [f"DBUS_SESSION_BUS_ADDRESS=unix:path={lab.folder}/nobody"]}
        lab.write_config()
        lab.start()
        done = lab.vaultctl("init", check=False)
        need(done.returncode == 6 and "cannot be reached through tpm2-tss" in done.stderr, done)


def listens(port):
    """Without a connection: there is only one at a time."""
    with open("/proc/net/tcp") as table:
        return any(line.split()[1] == f"0100007F:{port:04X}" and line.split()[3] == "0A" for line in table.readlines()[1:])


def a_tpm_over_tcp():
    with Lab("swtpm") as lab:
        lab.device.stop()
        port = free_port()
        process = subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={lab.device.folder}", "--server",
                                    f"type=tcp,port={port},bindaddr=127.0.0.1", "--ctrl",
                                    f"type=tcp,port={free_port()},bindaddr=127.0.0.1", "--flags", "not-need-init,startup-clear"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until("the TPM", lambda: listens(port))
            lab.device.settings = {"kind": "tpm", "tcti": f"swtpm:host=127.0.0.1,port={port}"}
            lab.write_config()
            use(lab)
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    need(shutil.which("tpm2-abrmd") and shutil.which("dbus-daemon"), "tpm2-abrmd and dbus are not installed")
    run_cases(a_resource_manager_in_user_space, a_resource_manager_that_is_not_there, a_tpm_over_tcp)
