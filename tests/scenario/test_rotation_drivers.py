#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Credentials are rotated at their providers: recipes and programs, failures at
every step, kill -9 at any instant. What is in use works throughout, and no key
stays behind that nobody has."""

import json
import os
import random
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from lab import HANGS_S, Lab, need, run_cases, wait_until  # noqa: E402
from providers import Provider  # noqa: E402

CALL_MS = 4000  # the machine may hold up a provider that does its work
KILLS = int(os.environ.get("DRIVER_KILLS", "5"))
POLICY = '@bearer("allow")\npermit(principal in Group::"ml", action in Action::"use", resource);\n'


class Drivers(Lab):
    def __init__(self, **rotator):
        super().__init__("softhsm")
        self.extra = {"log_level": "debug", "rotator": {"provider_ca": self.ca, "call_timeout_ms": CALL_MS, "retry_s": 1, **rotator}}
        self.write_config()
        self.providers = {}

    def __exit__(self, *error):
        super().__exit__(*error)
        for provider in self.providers.values():
            provider.close()

    def ready(self):
        self.start()
        self.init_with_issuer(POLICY)
        self.enrol()
        return self

    def provider(self, name):
        self.providers[name] = Provider((f"{self.folder}/broker.pem", f"{self.folder}/broker.key"))
        return self.providers[name]

    def rest(self, name, grace=2):
        """A credential at a REST provider of its own, rotated by recipe."""
        provider = self.provider(name)
        self.put_credential(name, provider.keys[provider.first]["value"], "generic-bearer", "--host", provider.host)
        self.automate(name, "generic-rest", grace, host=provider.host, keys="/v1/keys", check="/v1/me", **{"--key-id": provider.first})
        return provider

    def automate(self, name, recipe, grace=2, **more):
        options = [part for key, value in more.items() if key.startswith("--") for part in (key, value)]
        parameters = [part for key, value in more.items() if not key.startswith("--")
                      for part in ("--parameter", f"{key.replace('_', '-')}={value}")]
        self.vaultctl("credential", "automate", name, "--recipe", recipe, "--grace", str(grace), *parameters, *options)

    def job(self, name):
        return self.admin("GET", f"/v1/tenants/default/credentials/{name}/rotation").json["job"]

    def value(self, name, tokens):
        answer = self.redeem(tokens[name], host=self.providers[name].host, path="/v1/me", uri="https://x.example.test/v1/me", model=None)
        need(answer.status == 200, f"{name}: {answer}")
        return answer.json["inject"][0]["value"].removeprefix("Bearer ")

    def token_for(self, names):
        return {name: self.token(details=[{"type": "credential_use", "credential": name}]) for name in names}

    def settled(self, name, seconds=40):
        wait_until(f"the end of the rotation of {name}: {self.job(name)}", lambda: not self.job(name)["is_under_way"], seconds)
        return self.job(name)

    def operations(self, name):
        return [entry["operation"].removeprefix("rotate.credential.") for entry in self.audit()
                if entry.get("credential") == name and entry.get("operation", "").startswith("rotate.credential.")]


class Watch:
    """Redeems every credential again and again; each value must work at its provider at that moment."""

    def __init__(self, lab, names):
        self.lab, self.names, self.tokens = lab, names, lab.token_for(names)
        self.stopping, self.failures, self.count = threading.Event(), [], 0
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.stopping.set()
        self.thread.join(HANGS_S)

    def _run(self):
        while not self.stopping.is_set():
            for name in self.names:
                try:
                    value = self.lab.value(name, self.tokens)
                    if not self.lab.providers[name].by_value(value):
                        self.failures.append(f"{name}: {value} does not work at its provider")
                except Exception as error:  # whatever it is, a client would have noticed
                    self.failures.append(f"{name}: {error!r}")
                self.count += 1

    def check(self):
        need(not self.failures, f"{len(self.failures)} of {self.count}: {self.failures[:3]}")
        need(self.count > 20, f"too few requests: {self.count}")


def only_key_of(lab, name, tokens):
    """The provider has one key, and it is the one in use."""
    provider, value = lab.providers[name], lab.value(name, tokens)
    need([key["value"] for key in provider.keys.values()] == [value], f"{name}: {provider.keys}, in use {value}")


def a_key_is_made_tried_used_and_its_predecessor_revoked():
    with Drivers().ready() as lab:
        provider = lab.rest("rest")
        dry = lab.vaultctl("rotate", "credential", "rest", "--dry-run").stdout
        need("would be rotated" in dry and not provider.seen, dry)
        with Watch(lab, ["rest"]) as watch:
            said = lab.vaultctl("rotate", "credential", "rest").stdout
            need("version 2 is in use" in said, said)
            need(len(provider.keys) == 2, "the old key must work during its grace")
            need(lab.vaultctl_json("credential", "show", "rest")["rotation"]["job"]["state"] == "revoking", "show")
            need(lab.settled("rest")["state"] == "idle", lab.job("rest"))
            time.sleep(0.3)
        watch.check()
        need(provider.seen == ["list", "mint", "verify", "revoke"], provider.seen)
        only_key_of(lab, "rest", watch.tokens)
        need(lab.operations("rest") == ["open", "minting", "minted", "open", "verified", "promote", "open", "revoked"], lab.operations("rest"))
        text = lab.log() + json.dumps(lab.audit())
        need("sk-1-" not in text and "sk-2-" not in text, "a value is in the log or the audit log")
        for line in (rf"rotator: POST to {provider.host}: 20\d in \d+ ms\n", r"rotator: rest: mint by generic-rest: 20\d\n",
                     r"rotator: ask_job_minted to keeper: ok in \d+ ms\n"):
            need(re.search(line, text), f"the log at level debug has no {line}")
        lab.vaultctl("credential", "automate", "rest", "--off")
        need(lab.vaultctl("rotate", "credential", "rest", "--dry-run", check=False).returncode == 2, "by hand from now on")
        lab.vaultctl("rotate", "credential", "rest", "-", input="sk-by-hand")
        need(lab.value("rest", lab.token_for(["rest"])) == "sk-by-hand", "by hand")


def openai_service_accounts_are_made_by_an_admin_key():
    with Drivers().ready() as lab:
        provider = lab.provider("prod")
        boss = provider.add("boss")
        lab.put_credential("boss", provider.keys[boss]["value"], "generic-bearer", "--host", provider.host)
        lab.put_credential("prod", provider.keys[provider.first]["value"], "generic-bearer", "--host", provider.host)
        refused = lab.vaultctl("credential", "automate", "prod", "--recipe", "openai-service-account", "--parameter", "project=proj_1", check=False)
        need(refused.returncode != 0 and "manager" in refused.stderr, refused.stderr)
        lab.automate("prod", "openai-service-account", project="proj_1", host=provider.host, **{"--manager": "boss"})
        lab.vaultctl("rotate", "credential", "prod")
        # Nobody said what the provider calls the first key: it stays, and the audit log says so.
        need("unrevoked" in lab.operations("prod") and lab.settled("prod")["state"] == "idle", lab.operations("prod"))
        lab.vaultctl("rotate", "credential", "prod")
        lab.settled("prod")
        need(sorted(provider.keys) == [provider.first, boss, "key-4"], provider.keys)
        opened = [entry["credential"] for entry in lab.audit() if entry.get("operation") == "rotate.credential.open"]
        need(opened == ["boss", "prod", "boss", "prod", "boss"], f"what the rotator saw: {opened}")


def aws_keys_sign_and_replace_themselves():
    with Drivers().ready() as lab:
        provider = lab.provider("aws")

        def value(key_id):
            return json.dumps({"AccessKeyId": key_id, "SecretAccessKey": provider.keys[key_id]["value"]}, separators=(",", ":"))

        lab.put_credential("aws", value(provider.first), "generic-bearer", "--host", provider.host)
        lab.automate("aws", "aws-iam", user="ci", host=provider.host, sts_host=provider.host)
        for turn in range(2):  # ids are in the values: the first key is revoked, too
            provider.fail("mint", "lost") if turn else None
            lab.vaultctl("rotate", "credential", "aws")
            need(lab.settled("aws")["state"] == "idle", lab.job("aws"))
            need(len(provider.keys) == 1, provider.keys)
            need(lab.value("aws", lab.token_for(["aws"])) == value(next(iter(provider.keys))), "the value in use")
        need("orphan" in lab.operations("aws"), "the key whose answer was lost")


def every_failure_of_every_step_heals_and_nothing_is_left_behind():
    faults = {"list": (500, "hang", "garbage", "missing", "close"), "mint": (500, "hang", "garbage", "missing", "close", "lost"),
              "verify": (500, 403, "close"), "revoke": (500, "close", "lost")}
    with Drivers().ready() as lab:
        for step, kinds in faults.items():
            for how in kinds:
                lab.rest(f"{step}-{how}", grace=1).fail(step, how)
        names = list(lab.providers)
        with Watch(lab, names) as watch:
            lab.vaultctl("rotate", "credential", "--all", "--detach")
            for name in names:
                need(lab.settled(name)["state"] == "idle", f"{name}: {lab.job(name)}")
        watch.check()
        for name in names:
            only_key_of(lab, name, watch.tokens)
            need("failed" in lab.operations(name), f"{name}: the failure is not in the audit log: {lab.operations(name)}")


def a_provider_that_is_not_there_costs_nothing_but_time():
    with Drivers().ready() as lab:
        lab.rest("gone").close()
        lab.rest("here")
        said = lab.vaultctl("rotate", "credential", "gone", check=False)
        need(said.returncode == 6 and "the vault goes on" in said.stdout, f"{said.returncode} {said.stdout}{said.stderr}")
        need(lab.job("gone")["state"] == "ordered" and "list" in lab.job("gone")["error"], lab.job("gone"))
        lab.vaultctl("rotate", "credential", "here")  # others do not wait for it
        need(lab.value("gone", lab.token_for(["gone"])).startswith("sk-1-"), "the old value serves")


def a_key_that_does_not_work_is_given_up_and_revoked():
    with Drivers().ready() as lab:
        provider = lab.rest("bad")
        provider.fail("verify", *[403] * 5)
        with Watch(lab, ["bad"]) as watch:
            lab.vaultctl("rotate", "credential", "bad", "--detach")
            job = lab.settled("bad")
        watch.check()
        need(job["state"] == "failed" and "403" in job["error"], job)
        need(list(provider.keys) == [provider.first], provider.keys)
        shown = lab.vaultctl_json("credential", "show", "bad")
        need(shown["version"] == 1 and "staged_version" not in shown, shown)
        lab.vaultctl("rotate", "credential", "bad")  # and again, when somebody says so
        need(lab.vaultctl_json("credential", "show", "bad")["version"] == 3, "the number of what was given up is not used again")


def what_the_driver_staged_can_be_given_up_and_what_it_promoted_rolled_back():
    with Drivers().ready() as lab:
        provider = lab.rest("rest", grace=30)
        provider.fail("verify", *[500] * 50)
        lab.vaultctl("rotate", "credential", "rest", "--detach")
        wait_until("staged", lambda: lab.job("rest")["state"] == "staged")
        need(lab.vaultctl("credential", "verify", "rest", "--tested", check=False).returncode == 5, "the driver verifies")
        lab.vaultctl("credential", "abandon", "rest")
        need(lab.settled("rest")["state"] == "failed" and list(provider.keys) == [provider.first], provider.keys)
        provider.faults.clear()
        lab.vaultctl("rotate", "credential", "rest")
        lab.vaultctl("credential", "rollback", "rest", "--grace", "1")
        need(lab.settled("rest")["state"] == "idle" and list(provider.keys) == [provider.first], provider.keys)
        only_key_of(lab, "rest", lab.token_for(["rest"]))


def a_value_goes_to_no_host_that_it_is_not_for():
    with Drivers().ready() as lab:
        provider = lab.provider("mine")
        evil = lab.provider("evil")
        lab.put_credential("mine", provider.keys[provider.first]["value"], "generic-bearer", "--host", provider.host)
        lab.automate("mine", "generic-rest", host=evil.host, keys="/v1/keys", check="/v1/me")
        lab.vaultctl("rotate", "credential", "mine", "--detach")
        wait_until("refusal", lambda: "not for this host" in lab.job("mine").get("error", ""))
        need(not evil.seen, evil.seen)
        denied = [entry for entry in lab.audit() if entry.get("operation") == "rotate.credential.open"]
        need(denied and all(entry["outcome"] == "deny" for entry in denied), denied)


PROGRAM = '''#!/usr/bin/python3
import json, os, sys
ask, path = json.load(sys.stdin), sys.argv[1]
keys = json.load(open(path))
need = {"mint", "list", "verify", "revoke"}
known = [k for k, v in keys.items() if v["value"] == ask["value"]]
answer = {"refused": True}
if ask["step"] == "mint" and known:
    k = "p%d" % (len(keys) + 100 + os.getpid())
    keys[k] = {"name": ask["mark"], "value": "secret-" + k}
    answer = {"id": k, "value": keys[k]["value"]}
elif ask["step"] == "list" and known:
    answer = {"keys": [{"id": k, "name": v["name"]} for k, v in keys.items()]}
elif ask["step"] == "revoke" and known:
    keys.pop(ask["id"], None)
    answer = {}
elif ask["step"] == "verify" and known:
    answer = {"environment": sorted(os.environ), "session": os.getsid(0) == os.getpid(), "open": sorted(map(int, os.listdir("/proc/self/fd")))}
    open(path + ".seen", "w").write(json.dumps(answer))
json.dump(keys, open(path, "w"))
json.dump(answer, sys.stdout)
'''


# Its mint notes that it began, waits as long as there is FILE.hold, and says when
# another one does the same at that time.
ONE_AT_A_TIME = PROGRAM.replace("keys = json.load(open(path))", '''
import fcntl, time
def note(text):
    with open(path + ".said", "a") as said:
        said.write(text + "\\n")
if ask["step"] == "mint":
    mine = open(sys.argv[2], "w")
    for _ in range(75):  # one that is killed needs a moment to end
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            time.sleep(0.02)
    else:
        note("beside another one")
    note("minting")
    while os.path.exists(path + ".hold"):
        time.sleep(0.02)
keys = json.load(open(path))
''')


class OneAtATime(Drivers):
    """Credentials whose driver is ONE_AT_A_TIME, each with files of its own."""

    def __init__(self, names, **rotator):
        super().__init__(**rotator)
        program, lock = self.put_file("driver", ONE_AT_A_TIME), self.writable("lock", "")
        os.chmod(program, 0o755)
        for name in names:
            self.writable(name, json.dumps({"p1": {"name": "x", "value": "secret-1"}}))
            self.writable(f"{name}.said", "")
            self.writable(f"{name}.seen", "")
            self.put_file(f"{name}.hold", "")
        self.extra["rotator"]["programs"] = [f"{name}={program} {self.folder}/{name} {lock}" for name in names]
        self.write_config()
        self.ready()
        for name in names:
            self.put_credential(name, "secret-1", "generic-bearer", "--host", "files.example")
            self.automate(name, f"exec:{name}", **{"--key-id": "p1"})

    def writable(self, name, text):
        path = self.put_file(name, text)
        os.chmod(path, 0o666)
        return path

    def said(self, name):
        with open(f"{self.folder}/{name}.said") as said:
            return said.read().splitlines()

    def order(self, name):
        self.vaultctl("rotate", "credential", name, "--detach")

    def go_on(self, name):
        """What it was held for ends well, and it never ran twice."""
        os.unlink(f"{self.folder}/{name}.hold")
        need(self.settled(name)["state"] == "idle", self.job(name))
        need("beside another one" not in self.said(name), self.said(name))
        with open(f"{self.folder}/{name}") as keys:
            need(len(json.load(keys)) == 1, "a key stays behind")


def a_program_ends_with_the_rotator_that_asked_for_it():
    with OneAtATime(["held"], call_timeout_ms=60000) as lab:
        lab.order("held")
        wait_until("a program", lambda: lab.said("held") == ["minting"])
        before = lab.pids()["rotator"]
        os.kill(before, signal.SIGKILL)
        wait_until("the step is taken up again", lambda: lab.said("held").count("minting") == 2)
        need(lab.pids()["rotator"] != before, "by another rotator")
        lab.go_on("held")


def a_program_that_was_given_up_ends_before_the_next_begins():
    with OneAtATime(["slow", "next"], call_timeout_ms=2000) as lab:
        os.unlink(f"{lab.folder}/next.hold")
        lab.order("slow")
        wait_until("a program", lambda: "minting" in lab.said("slow"))
        lab.order("next")
        wait_until("the next one", lambda: "minting" in lab.said("next"))
        need("beside another one" not in lab.said("next"), lab.said("next"))
        lab.go_on("slow")


def a_program_of_the_configuration_is_a_driver():
    with Drivers() as lab:
        program, keys = lab.put_file("driver", PROGRAM), lab.put_file("keys.json", json.dumps({"p1": {"name": "x", "value": "secret-1"}}))
        os.chmod(program, 0o755)
        open(f"{keys}.seen", "w").close()
        os.chmod(keys, 0o666)
        os.chmod(f"{keys}.seen", 0o666)
        lab.extra["rotator"].update(call_timeout_ms=5000, programs=[f"files={program} {keys}", "sleeper=/bin/sleep 60"])
        lab.write_config()
        lab.ready()
        lab.put_credential("exec", "secret-1", "generic-bearer", "--host", "files.example")
        need(lab.vaultctl("credential", "automate", "exec", "--recipe", "exec:sh", check=False).returncode != 0, "only what is configured")
        lab.automate("exec", "exec:files", **{"--key-id": "p1"})
        lab.vaultctl("rotate", "credential", "exec")
        need(lab.settled("exec")["state"] == "idle", lab.job("exec"))
        with open(keys) as text:
            need(len(json.load(text)) == 1, "the old key is revoked")
        with open(f"{keys}.seen") as text:
            seen = json.load(text)
        need(seen["environment"] == ["LC_ALL", "PATH"] and seen["session"] and seen["open"][:3] == [0, 1, 2] and len(seen["open"]) <= 5, seen)
        lab.automate("exec", "exec:sleeper")
        lab.vaultctl("rotate", "credential", "exec", "--detach")
        wait_until("the program's time is over", lambda: "no answer in time" in lab.job("exec").get("error", ""))
        for line in (rf"vaultd: driver program {program} runs as process \d+\n", r"vaultd: driver program, process \d+, exited with status 0\n",
                     r"vaultd: driver program, process \d+, was ended by signal 9\n", r"rotator: exec: verify by exec:files: 200\n"):
            wait_until(line, lambda line=line: re.search(line, lab.log()))
        need("secret-" not in lab.log(), "a value is in the log")


def kills_at_any_instant_lose_and_leave_nothing():
    with Drivers().ready() as lab:
        names = [f"k{i}" for i in range(3)]
        for name in names:
            lab.rest(name, grace=1).hold = 0.15
        tokens = lab.token_for(names)
        order = random.Random(os.environ.get("DRIVER_SEED", "7"))
        killed = 0
        while killed < KILLS:
            lab.vaultctl("rotate", "credential", "--all", "--detach", check=False)
            time.sleep(order.random() * 0.8)
            role = order.choice(("rotator", "rotator", "keeper"))
            pid = lab.pids().get(role)
            if pid:
                os.kill(pid, signal.SIGKILL)
                killed += 1
            wait_until(f"{role} again", lambda: lab.pids().get(role) not in (None, pid))
            wait_until("unsealed", lambda: lab.admin("GET", "/v1/ready").status == 200)
            for name in names:  # what is in use works
                value = lab.value(name, tokens)
                need(lab.providers[name].by_value(value), f"{name} has {value}, the provider {lab.providers[name].keys}")
        for name in names:
            need(lab.settled(name, 60)["state"] == "idle", f"{name}: {lab.job(name)}")
            only_key_of(lab, name, tokens)


if __name__ == "__main__":
    run_cases(a_key_is_made_tried_used_and_its_predecessor_revoked, openai_service_accounts_are_made_by_an_admin_key,
              aws_keys_sign_and_replace_themselves, every_failure_of_every_step_heals_and_nothing_is_left_behind,
              a_provider_that_is_not_there_costs_nothing_but_time, a_key_that_does_not_work_is_given_up_and_revoked,
              what_the_driver_staged_can_be_given_up_and_what_it_promoted_rolled_back, a_value_goes_to_no_host_that_it_is_not_for,
              a_program_of_the_configuration_is_a_driver, a_program_ends_with_the_rotator_that_asked_for_it,
              a_program_that_was_given_up_ends_before_the_next_begins, kills_at_any_instant_lose_and_leave_nothing)
