#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The audit log reaches receivers outside: every entry at least once and in order,
whoever fails, stalls or is killed; and no receiver holds up a decision."""

import json
import os
import random
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/lib")
from lab import HANGS_S, Lab, need, run, run_cases, wait_until  # noqa: E402
from pace import clock  # noqa: E402
from ports import free_port  # noqa: E402

KILLS = int(os.environ.get("VAULT_SHIPPING_KILLS", "8"))
SECRET = "Authorization: Bearer collector-secret-0001"


class Receiver:
    def __init__(self, kind, port, *options):
        self.kind, self.port, self.options, self.process = kind, port, [str(option) for option in options], None
        self.start()

    def start(self):
        self.process = subprocess.Popen([f"{HERE}/lib/receivers.py", self.kind, str(self.port), *self.options],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class ShippingLab(Lab):
    """With a certificate for the receivers and a folder that the shipper may write to."""

    def __init__(self, kinds=("syslog", "collector", "file"), seed=None):
        self.receivers = {}
        super().__init__("softhsm")
        f = self.folder
        os.mkdir(f"{f}/out", 0o755)
        if self.users:
            run("chown", "vault-shipper:vaultd", f"{f}/out")
        self.make_certificate("receiver", "localhost")
        self.make_certificate("shipper", "shipper.test")
        self.header = self.put_file("collector-header", SECRET + "\n")
        self.ports = {kind: free_port() for kind in ("syslog", "collector")}
        ship = {"positions": f"{f}/positions"}
        if "syslog" in kinds:
            ship.update({"syslog": f"localhost:{self.ports['syslog']}", "syslog_ca": self.ca,
                         "syslog_certificate": f"{f}/shipper.pem", "syslog_key": f"{f}/shipper.key"})
        if "collector" in kinds:
            ship.update({"collector": f"https://localhost:{self.ports['collector']}/ingest", "collector_ca": self.ca,
                         "collector_header_file": self.header})
        if "file" in kinds:
            ship["file"] = f"{f}/out/file"
        self.extra["shipping"] = ship
        self.write_config()
        self.seed = seed

    def __exit__(self, *how):
        for receiver in self.receivers.values():
            receiver.kill()
        super().__exit__(*how)

    def receive(self, kind):
        f, port = self.folder, self.ports[kind]
        certificate = (f"{f}/receiver.pem", f"{f}/receiver.key")
        more = (self.ca,) if kind == "syslog" else (SECRET.split(": ")[1],)
        seed = (self.seed,) if self.seed and kind == "collector" else ()
        self.receivers[kind] = Receiver(kind, port, *certificate, *more, f"{f}/out/{kind}", *seed)

    def serve(self):
        self.start()
        self.init_with_issuer()
        self.put_credential()
        self.enrol()
        self.access = self.token(self.subject_token(groups=("ml", "ci")))

    def decide(self, count):
        for _ in range(count):
            need(self.redeem(self.access).status == 200, "a decision that fails")

    def lines(self, kind):
        try:
            with open(f"{self.folder}/out/{kind}", "rb") as text:
                return text.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def shipped(self):
        return self.vaultctl_json("status").get("shipping", {})  # absent while the shipper restarts

    def all_arrived(self, kinds, seconds=60):
        last = len(self.audit())

        def is_there():
            said = self.shipped()
            return all(kind in said and said[kind]["confirmed"] >= last and "problem" not in said[kind] for kind in kinds)
        wait_until(f"{last} entries at {kinds}", is_there, seconds)
        for kind in kinds:
            need(not os.path.exists(f"{self.folder}/out/{kind}.bad"), f"{kind} was sent what is no format")
        return last


def complete(lines, entries, allow_torn=False, at_least=None):
    """Every entry, or so many of them at least, byte for byte, in order, apart from runs that come again."""
    wanted = {json.dumps(entry, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode(): entry["sequence"] for entry in entries}
    highest, repeats = 0, 0
    for line in lines:
        number = wanted.get(line)
        if number is None and allow_torn:
            continue
        need(number is not None, f"a line that is no entry of the log: {line[:200]!r}")
        need(number <= highest + 1, f"entry {highest + 1} is missing before {number}")
        repeats += number <= highest
        highest = max(highest, number)
    wanted_count = len(entries) if at_least is None else at_least
    need(highest >= wanted_count, f"only {highest} of {wanted_count} arrived")
    return repeats


def every_receiver_gets_everything():
    with ShippingLab() as lab:
        lab.receive("syslog")
        lab.receive("collector")
        lab.serve()
        lab.decide(300)
        lab.all_arrived(("syslog", "collector", "file"))
        entries = lab.audit()
        for kind in ("syslog", "collector", "file"):
            need(complete(lab.lines(kind), entries[:len(lab.lines(kind))]) == 0, f"{kind}: entries came twice without need")
        secret = SECRET.split()[-1]
        need(secret not in lab.log(), "the collector's secret is logged")
        # Reload: another file from now on, and whoever follows has both.
        os.rename(f"{lab.folder}/out/file", f"{lab.folder}/out/file.1")
        lab.process.send_signal(signal.SIGHUP)
        lab.decide(20)
        lab.all_arrived(("file",))
        with open(f"{lab.folder}/out/file.1", "rb") as old:
            both = old.read().split(b"\n")[:-1] + lab.lines("file")
        need(len(lab.lines("file")) > 0 and complete(both, lab.audit()[:len(both)]) == 0, "rotation lost or repeated entries")
        # Positions survive a restart of everything.
        lab.stop()
        lab.start()
        last = lab.all_arrived(("syslog", "collector", "file"))
        for kind in ("syslog", "collector"):  # what was on its way may come again, no more
            need(complete(lab.lines(kind), lab.audit()[:len(lab.lines(kind))]) < 100, f"{kind}: everything was shipped again")
        need(last > 320, "the restart was not recorded")


def nothing_is_missed_when_anybody_is_killed():
    with ShippingLab(seed=4) as lab:
        lab.receive("syslog")
        lab.receive("collector")
        lab.serve()
        chance = random.Random(11)
        for _ in range(KILLS):
            lab.decide(chance.randrange(20, 120))
            time.sleep(chance.uniform(0, 0.6))
            victim = chance.choice(("shipper", "shipper", "syslog", "collector"))
            if victim == "shipper":
                pid = lab.pids().get("shipper")
                if pid:
                    os.kill(pid, signal.SIGKILL)
            else:
                lab.receivers[victim].kill()
                time.sleep(chance.uniform(0, 0.4))
                lab.receivers[victim].start()
        last = lab.all_arrived(("syslog", "collector", "file"), 120)
        # What a restart of a role added meanwhile is in the log when it is in a line.
        lines = {kind: lab.lines(kind) for kind in ("syslog", "collector", "file")}
        entries = lab.audit()
        # A receiver that was killed while it wrote may have half a line on its disk.
        found = {kind: complete(lines[kind], entries, allow_torn=kind != "file", at_least=last) for kind in lines}
        print(f"     {KILLS} kills, {last} entries, came again: {found}", flush=True)


def a_receiver_that_stalls_holds_up_nobody():
    with ShippingLab() as lab:
        lab.receivers["syslog"] = Receiver("silent", lab.ports["syslog"])  # and no collector at all
        lab.serve()
        began = clock()
        lab.decide(200)
        need(clock() - began < 10, "decisions wait for receivers")
        lab.all_arrived(("file",))
        wait_until("the collector's trouble", lambda: "problem" in lab.shipped().get("collector", {}), 30)
        for _ in range(4):  # what it does not have is known at once, however long the sink waits before it tries again
            lab.decide(30)
            last = lab.all_arrived(("file",))
            said = lab.shipped()
            need(said["collector"]["behind"] >= last and said["collector"]["confirmed"] == 0, said)
        need( said["collector"]["failures"] > 0 and said["syslog"]["confirmed"] == 0, said)
        need("Behind:" in lab.vaultctl("status").stdout, "people can not see it")
        answered = lab.admin("GET", "/v1/ready")
        need(answered.status == 200 and answered.json["status"] == "degraded" and "the collector is" in answered.json["reason"], answered)
        # A receiver with a certificate of somebody else is sent nothing.
        lab.receivers.pop("syslog").kill()
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{lab.folder}/forged.key", "-out", f"{lab.folder}/forged.pem")
        lab.receivers["syslog"] = Receiver("syslog", lab.ports["syslog"], f"{lab.folder}/forged.pem", f"{lab.folder}/forged.key", lab.ca,
                                           f"{lab.folder}/out/forged")
        wait_until("the refusal", lambda: "no TLS" in lab.shipped()["syslog"].get("problem", ""), 60)
        need(lab.lines("forged") == [], "a receiver that is not who it says got entries")


def a_pipe_is_followed():
    with ShippingLab(kinds=("file",)) as lab:
        pipe = f"{lab.folder}/out/file"
        os.mkfifo(pipe, 0o666)
        os.chmod(pipe, 0o666)
        lab.serve()
        wait_until("the trouble", lambda: "nobody reads the pipe" in lab.shipped()["file"].get("problem", ""), 15)
        with open(pipe, "rb") as reader:
            wanted = len(lab.audit())
            lines = [reader.readline().rstrip(b"\n") for _ in range(wanted)]
        need(complete(lines, lab.audit()[:wanted]) == 0, "the pipe had something else")


def rsyslog_takes_it():
    """A receiver that we did not write."""
    with ShippingLab(kinds=("syslog",)) as lab:
        f, port = lab.folder, lab.ports["syslog"]
        conf = lab.put_file("rsyslog.conf", f'''
global(workDirectory="{f}/rsyslog" maxMessageSize="128k" defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{lab.ca}"
       defaultNetstreamDriverCertFile="{f}/receiver.pem" defaultNetstreamDriverKeyFile="{f}/receiver.key" preserveFQDN="on")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imtcp" port="{port}" address="127.0.0.1")
template(name="raw" type="string" string="%msg%\\n")
action(type="omfile" file="{f}/out/rsyslog" template="raw" flushOnTXEnd="on")
''')
        os.mkdir(f"{f}/rsyslog")
        process = subprocess.Popen(["rsyslogd", "-n", "-f", conf, "-i", f"{f}/rsyslog/pid"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            lab.serve()
            lab.decide(100)
            last = lab.all_arrived(("syslog",))
            wait_until("rsyslog's file", lambda: len(lab.lines("rsyslog")) >= last, 20)
            lines = lab.lines("rsyslog")
            complete(lines, lab.audit(), at_least=last)
        finally:
            process.terminate()
            process.wait(HANGS_S)


if __name__ == "__main__":
    run_cases(every_receiver_gets_everything, nothing_is_missed_when_anybody_is_killed, a_receiver_that_stalls_holds_up_nobody,
              a_pipe_is_followed, rsyslog_takes_it)
