#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Crashes, reloads, drains, and an audit log that can not be written."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from lab import HANGS_S, Lab, UnixConnection, need, run_cases, wait_until  # noqa: E402
from pace import clock  # noqa: E402
from ports import free_port  # noqa: E402


class Watch:
    """What a forwarder hears: it drops its answers when the epoch is another one."""

    def __init__(self, lab):
        connection = UnixConnection(lab.redeem_socket)
        connection.request("GET", "/v1/watch")
        self.stream = connection.getresponse()
        need(self.stream.status == 200, self.stream.status)
        self.epoch = self.hear()

    def hear(self):
        return int(self.stream.readline().split()[1])

    def need_another(self, why):
        deadline = clock() + 5
        while (epoch := self.hear()) == self.epoch:
            need(clock() < deadline, f"forwarders keep their answers although {why}")
        self.epoch = epoch


def forwarders_drop_answers_after_a_seal_and_with_a_new_keeper():
    with Lab() as lab:
        key, token = lab.start_ready()
        watch = Watch(lab)
        os.kill(lab.pids()["keeper"], signal.SIGKILL)
        watch.need_another("a keeper died, and nobody knows what it could not tell")
        wait_until("service", lambda: lab.works(token, key))
        watch = Watch(lab)
        lab.vaultctl("seal")
        watch.need_another("the vault is sealed")


def a_killed_role_is_replaced():
    with Lab() as lab:
        key, token = lab.start_ready()
        for role in ("broker", "admin", "redeemer", "keeper", "auditor"):
            before = lab.pids()
            os.kill(before[role], signal.SIGKILL)
            wait_until(f"a new {role}", lambda: lab.pids().get(role) not in (None, before[role]))
            wait_until(f"service after the {role} died", lambda: lab.works(token, key))
            after = lab.pids()
            same = [other for other in before if other != role and after.get(other) == before[other]]
            need(len(same) == len(before) - 1, f"more than the {role} was replaced: {before} {after}")
            lab.vaultctl("status")
        operations = [entry["operation"] for entry in lab.audit()]
        need(operations.count("role.restart") >= 4, operations)
        need("admin: vault.init by uid " in lab.log() and "  by" not in lab.log(), "words of the log stand apart")
        need(lab.admin("GET", "/v1/rotate/signing").status == 200, "a look at a rotation")
        need("rotation.read" not in lab.log() and "admin: rotate." not in lab.log(), "who only looks is not among those who did something")


def who_follows_the_log_waits_for_a_restart():
    with Lab() as lab:
        lab.start_ready()
        follower = subprocess.Popen([f"{lab.prefix}/bin/vaultctl", "--json", "audit", "tail", "-f", "--count", "1"], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, env={**os.environ, "VAULTCTL_SERVER": f"unix:{lab.admin_socket}"})
        need(follower.stdout.readline(), "the follower shows nothing")
        try:
            lab.stop()
            waits = follower.stderr.readline()
            need("waiting for it" in waits, waits)
            lab.start()
            wait_until("an unsealed vault", lambda: lab.vaultctl("tenant", "create", "last", check=False).returncode == 0)
            followed = iter(follower.stdout.readline, "")
            need(any(json.loads(line).get("subject") == "last" for line in followed), "the follower stopped")
        finally:
            follower.kill()
            follower.communicate()


def who_follows_the_log_ends_with_its_reader():
    with Lab() as lab:
        lab.start_ready()

        def ends(ignores, while_away=False):
            follower = subprocess.Popen([f"{lab.prefix}/bin/vaultctl", "audit", "tail", "-f", "--count", "1"], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env={**os.environ, "VAULTCTL_SERVER": f"unix:{lab.admin_socket}"},
                                        restore_signals=not ignores)
            try:
                need(follower.stdout.readline(), "the follower shows nothing")
                if while_away:
                    lab.stop()
                    need(b"waiting for it" in follower.stderr.readline(), "it says that it waits")
                began = clock()
                follower.stdout.close()
                follower.wait(HANGS_S)
                took = clock() - began
                need(took < 1.5, f"after {took:.1f} s")
                # As any other verb; quietly.
                need(follower.returncode == (1 if ignores else -signal.SIGPIPE), follower.returncode)
                need(follower.stderr.read() == b"", "quietly")
            finally:
                follower.kill()
                follower.wait()
                follower.stderr.close()

        ends(False)
        ends(True)
        ends(False, while_away=True)


def acknowledged_writes_survive_kill():
    with Lab("swtpm") as lab:
        key, token = lab.start_ready()
        for i in range(15):
            lab.put_credential(f"credential-{i}", f"sk-{i}")
            os.kill(lab.pids()["keeper"], signal.SIGKILL)
            wait_until("service", lambda: lab.works(token, key))
        names = [row["name"] for row in lab.vaultctl_json("credential", "list")["credentials"]]
        need(all(f"credential-{i}" in names for i in range(15)), names)


def a_reload_keeps_connections():
    with Lab() as lab:
        key, token = lab.start_ready()
        connection = UnixConnection(lab.redeem_socket)

        def call():
            body = json.dumps({"token": token, "scheme": "dpop", "destination": "api.openai.com", "method": "POST",
                               "path": "/v1/chat/completions", "uri": "https://x.test/y", "model": "gpt-4o",
                               "proof": key.dpop("POST", "https://x.test/y", access_token=token)})
            connection.request("POST", "/v1/redeem", body, {"content-type": "application/json"})
            response = connection.getresponse()
            response.read()
            return response.status

        need(call() == 200, "before")
        old = connection.sock
        for i in range(5):
            lab.make_certificate("broker", "localhost")
            lab.process.send_signal(signal.SIGHUP)
            wait_until("reload", lambda: lab.log().count("configuration reloaded") > i)
            need(call() == 200, "after a reload")
        need(connection.sock is old, "the connection was dropped")
        need(lab.exchange(key=key).status == 200, "with the new certificate")


def secrets_that_everybody_can_read_are_warned_of():
    with Lab() as lab:
        key = f"{lab.folder}/broker.key"
        said = f"broker.tls_key: {key} has mode 0644: every user of this machine may read it; run chmod o-rwx {key} "

        def check():
            done = subprocess.run([f"{lab.prefix}/sbin/vaultd", "--config", lab.config_path, "--check"], capture_output=True, text=True, timeout=HANGS_S)
            need(done.returncode == 0 and "is acceptable" in done.stdout, done)
            return done.stderr

        lab.write_config()
        need(check() == "", "a key of the administrator's alone")
        os.chmod(key, 0o640)
        need(check() == "", "a key of a group")
        os.chmod(key, 0o644)
        need(check().count(said) == 1, check())
        lab.start()
        need(lab.log().count(said) == 1, lab.log())
        os.chmod(key, 0o600)
        for mode, count in ((0o600, 1), (0o644, 2)):
            os.chmod(key, mode)
            reloads = lab.log().count("configuration reloaded")
            lab.process.send_signal(signal.SIGHUP)
            wait_until("reload", lambda: lab.log().count("configuration reloaded") > reloads)
            need(lab.log().count(said) == count, f"{mode:o}")
        # vaultctl's own.
        lab.init_with_issuer()
        lab.put_credential()
        own, who = f"{lab.folder}/alice.pem", lab.put_file("who", lab.subject_token())
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", own], check=True, timeout=HANGS_S,
                       capture_output=True)
        for mode, shown in ((0o640, ""), (0o644, f"vaultctl: warning: --key: {own} has mode 0644: every user")):
            os.chmod(own, mode)
            got = lab.vaultctl("token", "get", "--credential", "openai-prod", "--key", own, "--subject-token-file", who)
            need(got.stderr.startswith(shown) and bool(got.stderr) == bool(shown), got)
        lab.stop()
        # Every other secret of the configuration, each by its name.
        secrets = {("audit", "pseudonym_key"): "k" * 40, ("shipping", "collector_header_file"): "Authorization: Bearer x\n"}
        lab.extra = {"shipping": {"positions": f"{lab.folder}/positions", "collector": "https://localhost:1/", "syslog": "localhost:1"}}
        for (section, name), text in secrets.items():
            path = lab.put_file(name, text)
            os.chmod(path, 0o644)
            lab.extra.setdefault(section, {})[name] = path
        os.chmod(f"{lab.device.folder}/pin", 0o644)
        for section, listen in (("admin", "listen"), ("redeemer", "listen"), ("shipping", None)):
            certificate, path = lab.make_certificate(section, "localhost")
            os.chmod(path, 0o644)
            names = ("syslog_certificate", "syslog_key") if section == "shipping" else ("tls_certificate", "tls_key")
            lab.extra.setdefault(section, {}).update(zip(names, (certificate, path)))
            if listen:
                lab.extra[section][listen] = "127.0.0.1:1"
        lab.extra["admin"]["oidc_tenant"] = "default"
        lab.write_config()
        warned = check()
        for name in ("broker.tls_key", "admin.tls_key", "redeemer.tls_key", "shipping.syslog_key", "audit.pseudonym_key",
                     "shipping.collector_header_file", "device.pin_file"):
            need(warned.count(f": {name}: ") == 1, f"{name}: {warned}")
        need(warned.count("chmod o-rwx") == 7, warned)


def at_debug_the_log_tells_what_goes_on_and_no_secret():
    with Lab(config={"log_level": "debug"}) as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential(value="sk-PLANTED")
        lab.enrol()
        key, subject = new_client_key(), lab.subject_token()
        token = lab.token(subject, key=key)
        proof = key.dpop("POST", "https://x.test/y", access_token=token)
        good = {"uri": "https://x.test/y", "proof": proof}
        need(lab.redeem(token, key, **good).json["inject"][0]["value"].endswith("sk-PLANTED"), "redeem")
        need(lab.redeem(token, key, **good).status in (401, 403), "a proof is good once")
        # What a client sends by mistake: a token as path, in the query, as method of a malformed request.
        need(lab.broker("GET", f"/{token}").status == 404, "a path that is none")
        need(lab.broker("GET", f"/v1/health?access_token={token}").status == 200, "a query")
        need(lab.redeemer("GET", "/v1/ready", headers={"authorization": f"Bearer {token}"}).status == 200, "a header")
        with socket.create_connection(("127.0.0.1", lab.broker_port), HANGS_S) as plain, contextlib.suppress(ConnectionResetError):
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            plain.recv(1)
        with socket.socket(socket.AF_UNIX) as malformed:
            malformed.connect(lab.redeem_socket)
            malformed.sendall(f"{token} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            need(malformed.recv(20).startswith(b"HTTP/1.1 "), "a method that is none")
        need(lab.admin("GET", "/v1/rotate/signing").status == 200, "a look at a rotation")
        nobody = free_port()
        lab.vaultctl("issuer", "add", "away", "--issuer", f"https://localhost:{nobody}", "--audience", "vaultd", "--group", "groups=*")
        lab.write_config(json.dumps({**lab.config(), "hang_s": 29}))
        lab.make_certificate("broker", "localhost")
        lab.process.send_signal(signal.SIGHUP)
        wait_until("reload", lambda: "configuration reloaded" in lab.log())
        entry = next(entry for entry in lab.audit() if entry["operation"] == "token.issue" and entry["outcome"] == "allow")
        for line in (rf"broker: POST /oauth2/token from 127\.0\.0\.1: 200 in \d+ ms, request {re.escape(entry['correlation'])}, "
                     rf"audit entry {entry['sequence']}", r"broker: GET \(no route\) from 127\.0\.0\.1: 404 in \d+ ms",
                     r"broker: GET /v1/health from 127\.0\.0\.1: 200 in \d+ ms", r"broker: no TLS with 127\.0\.0\.1: http request",
                     r"redeemer: POST /v1/redeem from unix: 200 in \d+ ms, audit entry \d+", r"redeemer: GET /v1/ready from unix: 200 in \d+ ms",
                     r"redeemer: unix sent no request that can be read: \d+",
                     r"admin: POST /v1/tenants/\{tenant\}/credentials/\{name\} from unix: 20\d in \d+ ms",
                     r"admin: rotation\.read by uid 0 \(root\)", r"admin: credential\.put default openai-prod by uid 0 \(root\)",
                     r"broker: ask_sign to keeper: ok in \d+ ms", r"redeemer: ask_open to keeper: denied in \d+ ms: .+",
                     r"keeper: ask_record to auditor: ok in \d+ ms", r"keeper: device main: create: ok in \d+ ms",
                     r"keeper: device main: unwrap: ok in \d+ ms", rf"admin: GET to localhost:{nobody}: failed in \d+ ms: .+onnect.*",
                     r"vaultd: what the reload changes: hang_s, the file of broker\.tls_certificate, the file of broker\.tls_key"):
            need(re.search(rf"(?m)^{line}$", lab.log()), f"no line {line}")
        for what, secret in (("credential", "sk-PLANTED"), ("token", token), ("subject token", subject), ("proof", proof)):
            parts = [secret] if what == "credential" else [secret.split(".")[1], secret.split(".")[2]]
            need(not any(part in lab.log() for part in parts), f"the {what} is in the log")


def a_reload_changes_what_is_logged():
    roles = ("vaultd", "broker", "admin", "redeemer", "keeper", "auditor", "rotator", "shipper")
    with Lab(config={"log_level": "debug", "hang_s": 3}) as lab:
        shipped = f"{lab.folder}/shipped"
        os.mkdir(shipped, 0o777)
        os.chmod(shipped, 0o777)
        lab.extra["shipping"] = {"positions": f"{lab.folder}/positions", "file": f"{shipped}/log"}
        lab.write_config()
        key, token = lab.start_ready()

        def reload(level):
            reloads = sum(1 for entry in lab.audit() if entry["operation"] == "vault.reload")
            lab.extra["log_level"] = level
            lab.write_config()
            lab.process.send_signal(signal.SIGHUP)
            wait_until("reload", lambda: sum(1 for entry in lab.audit() if entry["operation"] == "vault.reload") > reloads)

        def work():
            """Gives every role something to do; the shipper is the last to hear of it."""
            name = f"t{time.monotonic_ns()}"
            need(lab.works(token, key), "service")
            lab.vaultctl("tenant", "create", name)
            wait_until("an entry that is shipped", lambda: os.path.exists(f"{shipped}/log") and name in open(f"{shipped}/log").read())

        def heard_since(mark):
            return {line.split(":")[0] for line in lab.log()[mark:].splitlines()}

        def everybody_is_heard(mark):
            work()
            return heard_since(mark).issuperset(roles)

        def nobody_is_heard():
            mark = len(lab.log())
            before = lab.pids()["broker"]
            os.kill(before, signal.SIGKILL)  # what the supervisor says of that is a warning, and of the next one an info
            wait_until("a new broker", lambda: lab.pids().get("broker") not in (None, before))
            wait_until("service", lambda: lab.works(token, key))
            work()
            return not heard_since(mark)

        wait_until("every role in the log", lambda: everybody_is_heard(0))
        reload("error")
        wait_until("silence", nobody_is_heard)
        mark = len(lab.log())
        reload("debug")
        wait_until("every role in the log again", lambda: everybody_is_heard(mark))
        reload("notice")
        mark = len(lab.log())
        reload("notice")
        wait_until("a notice", lambda: "vaultd: configuration reloaded\n" in lab.log()[mark:])
        need(" ask_alive " not in lab.log()[mark:], "what is for debug comes at level notice")


def a_bad_reload_changes_nothing():
    with Lab() as lab:
        key, token = lab.start_ready()
        lab.write_config("issuer: https://x.test\nnonsense: 1\n")
        lab.process.send_signal(signal.SIGHUP)
        wait_until("a message", lambda: "nonsense" in lab.log())
        need(lab.works(token, key), "after a bad reload")
        # Where roles are that run is fixed: a role that dies comes back to the same place.
        for section, values in (("audit", {"directory": f"{lab.folder}/elsewhere"}), ("issuer", "https://elsewhere.test"),
                                ("store", f"{lab.folder}/elsewhere"), ("users", {"broker": "nobody"}),
                                ("keeper", {"secret_heap_kib": 8192}), ("device", {"environment": ["MODULE=/elsewhere"]})):
            refusals = lab.log().count("needs a restart of vaultd")
            lab.extra = {section: values}
            lab.write_config()
            lab.process.send_signal(signal.SIGHUP)
            wait_until("a refusal", lambda: lab.log().count("needs a restart of vaultd") > refusals)
        before = lab.pids()["auditor"]
        os.kill(before, signal.SIGKILL)
        wait_until("an auditor", lambda: lab.pids().get("auditor") not in (None, before))
        wait_until("service", lambda: lab.works(token, key))
        need(not os.path.exists(f"{lab.folder}/elsewhere"), "another log was begun")


def the_keepers_memory_is_as_large_as_configured():
    for kib in (5000, 7000):  # any system lets a process lock so much
        with Lab(config={"keeper": {"secret_heap_kib": kib}}) as lab:
            lab.start()
            with open(f"/proc/{lab.pids()['keeper']}/status") as status:
                locked = int(re.search(r"VmLck:\s+(\d+)", status.read()).group(1))
            need(kib <= locked < kib + 512, f"{locked} KiB are locked, configured were {kib}")


def sigterm_finishes_what_is_in_flight():
    with Lab() as lab:
        key, token = lab.start_ready()
        results, stop = [], threading.Event()

        def load():
            while not stop.is_set():
                try:
                    results.append(lab.redeem(token, key).status)
                except (ConnectionRefusedError, FileNotFoundError):
                    return
                except (OSError, http.client.HTTPException) as error:
                    results.append(repr(error))
                    return

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        status = lab.stop()
        stop.set()
        for thread in threads:
            thread.join(HANGS_S)
        need(status == 0, f"exit status {status}")
        good = sum(1 for result in results if result == 200)
        need(good > 10, f"only {good} answers")
        # A connection that the server closes before it has read the request is
        # no request in flight; half an answer would be one.
        bad = [result for result in results if result != 200 and "RemoteDisconnected" not in str(result)
               and "ConnectionResetError" not in str(result) and result != 503]
        need(not bad, f"{bad[:5]}")


def readiness(lab):
    """What a load balancer sees."""
    return [ask("GET", "/v1/ready").status for ask in (lab.broker, lab.redeemer, lab.admin)]


def decisions_stop_when_the_audit_log_is_full():
    if os.getuid() != 0:
        return
    with Lab() as lab:
        os.makedirs(lab.audit_folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0750", "tmpfs", lab.audit_folder], check=True)
        try:
            key, token = lab.start_ready()
            need(lab.works(token, key), "while there is room")
            filler = f"{lab.audit_folder}/filler"
            descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
            try:
                while True:
                    os.write(descriptor, b"x" * 512)
            except OSError:
                os.close(descriptor)  # full
            wait_until("refusal", lambda: lab.redeem(token, key).status == 503)
            answer = lab.exchange(key=key)
            need(answer.status == 503 and "access_token" not in answer.body.decode(), answer)
            need(readiness(lab) == [503, 503, 503], f"ready, although nothing can be recorded: {readiness(lab)}")
            need("No space left" in lab.log(), "the log does not say why")
            os.unlink(filler)
            wait_until("service after space came back", lambda: lab.works(token, key))
            need(readiness(lab) == [200, 200, 200], f"not ready: {readiness(lab)}")
            lab.audit()  # every line is whole
        finally:
            lab.stop(signal.SIGKILL)
            subprocess.run(["umount", lab.audit_folder], check=False)


def nothing_is_released_without_an_auditor():
    with Lab() as lab:
        key, token = lab.start_ready()
        os.kill(lab.pids()["auditor"], signal.SIGSTOP)
        auditor = lab.pids()["auditor"]
        try:
            try:
                status = lab.redeem(token, key).status
            except OSError:
                status = "none"
            need(status in (503, "none"), f"released without a record: {status}")
            # Nor is anything refused that can not be recorded, however cheap that is.
            too_large, form = "token=" + "x" * 70000, {"content-type": "application/x-www-form-urlencoded"}
            need(lab.broker("POST", "/oauth2/introspect", too_large, form).status == 503, "broker: a body that is too large")
            need(lab.redeemer("POST", "/v1/redeem", {"token": "x" * 40000}).status == 503, "redeemer: a body that is too large")
            # Administration is not kept waiting for ever either, and is told why.
            began = clock()
            answer = lab.admin("POST", "/v1/tenants", {"name": "late"})
            need(answer.status == 503 and "can not be recorded" in answer.json["detail"], answer)
            need(clock() - began < 20, "it took too long")
            need(lab.redeemer("GET", "/v1/ready").status == 503, "ready")
            need(lab.admin("GET", "/v1/ready").status == 503 and "the auditor does not answer" in lab.log(), "nobody is told")
        finally:
            os.kill(auditor, signal.SIGCONT)
        wait_until("service", lambda: lab.works(token, key))
        need("the auditor answers again" in lab.log() and readiness(lab) == [200, 200, 200], f"not as before: {readiness(lab)}")


def a_replaced_audit_file_is_noticed():
    with Lab() as lab:
        key, token = lab.start_ready()
        name = sorted(name for name in os.listdir(lab.audit_folder) if name.endswith(".jsonl"))[-1]
        path = f"{lab.audit_folder}/{name}"
        os.rename(path, path + ".away")
        with open(path, "w"):
            pass
        need(lab.redeem(token, key).status == 503, "written to a file that nobody will see")
        os.rename(path + ".away", path)
        wait_until("service", lambda: lab.works(token, key))


def seal_ends_every_release():
    with Lab() as lab:
        key, token = lab.start_ready()
        lab.vaultctl("seal")
        need(lab.redeem(token, key).status == 503, "redeemed while sealed")
        need(lab.exchange(key=key).status == 503, "issued while sealed")
        need(readiness(lab) == [503, 503, 503], f"ready while sealed: {readiness(lab)}")
        need(lab.vaultctl_json("status")["state"] == "sealed", "state")
        lab.vaultctl("unseal")
        wait_until("service", lambda: lab.works(token, key))


if __name__ == "__main__":
    run_cases(forwarders_drop_answers_after_a_seal_and_with_a_new_keeper, a_killed_role_is_replaced,
              who_follows_the_log_waits_for_a_restart, who_follows_the_log_ends_with_its_reader,
              acknowledged_writes_survive_kill, a_reload_keeps_connections, a_reload_changes_what_is_logged,
              at_debug_the_log_tells_what_goes_on_and_no_secret, secrets_that_everybody_can_read_are_warned_of, a_bad_reload_changes_nothing,
              the_keepers_memory_is_as_large_as_configured, sigterm_finishes_what_is_in_flight, decisions_stop_when_the_audit_log_is_full, nothing_is_released_without_an_auditor,
              a_replaced_audit_file_is_noticed, seal_ends_every_release)
