#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is under way through nginx when something is taken back: the vault, nginx
and the provider are real programs here, the streams do not end by themselves."""

import base64
import json
import os
import signal
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/lib")
from front import Front  # noqa: E402
from jose import new_client_key, token_id  # noqa: E402
from lab import HANGS_S, Lab, need, run_cases, wait_until  # noqa: E402
from pace import clock  # noqa: E402

CUT_WITHIN_S = 1.0
PATIENCE_S = 0.4  # so long others are watched going on


class Stream:
    """One open request. With `socket_path` a websocket, else server-sent events."""

    def __init__(self, front, name, token, is_socket=False):
        self.front, self.name, self.bytes, self.is_over, self.head = front, name, 0, False, b""
        body = json.dumps({"model": "gpt-4o-mini", "messages": [], "stream": "endless", "user": name})
        line = f"GET /v1/realtime/{name}" if is_socket else "POST /v1/chat/completions"
        rest = "connection: upgrade\r\nupgrade: websocket\r\n\r\n" if is_socket else (
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}")
        self.socket = socket.create_connection(("127.0.0.1", front.port), HANGS_S)
        self.socket.sendall(f"{line} HTTP/1.1\r\nhost: llm\r\nauthorization: Bearer {token}\r\n{rest}".encode())
        threading.Thread(target=self._read, daemon=True).start()
        wait_until(f"stream {name}", lambda: b"\r\n\r\n" in self.head or self.is_over)
        need(self.head.startswith(b"HTTP/1.1 101" if is_socket else b"HTTP/1.1 200"), self.head[:500])
        wait_until(f"the provider's {name}", lambda: name in front.provider.open)
        if is_socket:
            threading.Thread(target=self._talk, daemon=True).start()

    def _read(self):
        try:
            while piece := self.socket.recv(65536):
                self.bytes += len(piece)
                self.head = (self.head + piece)[:2000]
        except OSError:
            pass
        self.is_over = True

    def _talk(self):
        try:
            while not self.is_over:
                self.socket.sendall(b"ping")
                time.sleep(0.03)
        except OSError:
            pass

    def correlation(self):
        return next(line.split(b": ")[1] for line in self.head.split(b"\r\n") if line.lower().startswith(b"x-vault-request-id")).decode()

    def need_cut(self, begin, why):
        wait_until(f"{why}: the end of {self.name}", lambda: self.is_over, CUT_WITHIN_S)
        took = clock() - begin
        need(took < CUT_WITHIN_S, f"{why}: cut after {took:.2f} s")
        wait_until(f"{why}: the provider's end of {self.name}", lambda: self.name not in self.front.provider.open, 1)
        return took

    def need_going(self, why):
        before = self.bytes
        time.sleep(PATIENCE_S)
        wait_until(f"{why}: more of {self.name}", lambda: self.bytes > before or self.is_over)
        need(not self.is_over, f"{why}: {self.name} does not go on")

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def details(credential):
    return [{"type": "credential_use", "credential": credential}]


def serve(lab):
    lab.start()
    lab.init_with_issuer()
    lab.put_credential("openai-prod", "sk-a")
    lab.put_credential("second", "sk-b")
    lab.enrol()


def bearer(lab, subject, credential="second", **more):
    return lab.token(lab.subject_token(subject, ["ml", "ci"], **more), details(credential))


def cut_times(lab, front, neighbours, begin_one, ways):
    """Begins a stream for each way, takes back, and holds the bound. Returns what it took."""
    took = {}
    for why, take_back in ways.items():
        victim, arguments = begin_one(why)
        begin = clock()
        take_back(*arguments)
        returned = clock()
        took[why] = victim.need_cut(returned, why)
        for neighbour in neighbours:
            need(not neighbour.is_over, f"{why}: a neighbour was cut")
        need(returned - begin < 30, why)
    for neighbour in neighbours:
        neighbour.need_going("afterwards")
    return took


def whatever_is_taken_back_is_cut_and_nothing_else():
    with Lab() as lab:
        serve(lab)
        with Front(lab) as front:
            front.provider.good = {"sk-a", "sk-b"}
            neighbours = [Stream(front, "neighbour", bearer(lab, "bob")), Stream(front, "neighbour-socket", bearer(lab, "bob"), True)]
            counter = iter(range(100))

            def begin_one(why):
                subject = f"alice{next(counter)}"
                token = bearer(lab, subject, "openai-prod")
                return Stream(front, subject, token, is_socket="socket" in why), (token, subject)

            def revoke_itself(token, _):
                lab.vaultctl("revoke", "--token-file", "-", input=token)

            took = cut_times(lab, front, neighbours, begin_one, {
                "token by its id": lambda token, _: lab.vaultctl("revoke", token_id(token)),
                "token by id, socket": lambda token, _: lab.vaultctl("revoke", token_id(token)),
                "token by itself": revoke_itself,
                "principal": lambda _, subject: lab.vaultctl("revoke", "--principal", f"{lab.issuer}|{subject}"),
                "principal, socket": lambda _, subject: lab.vaultctl("revoke", "--principal", f"{lab.issuer}|{subject}"),
                "tokens of a credential": lambda *_: lab.vaultctl("revoke", "--credential", "openai-prod")})
            time.sleep(1.1)  # that rule ends tokens of this second, too
            took |= cut_times(lab, front, neighbours, begin_one, {
                "credential disabled": lambda *_: lab.vaultctl("credential", "disable", "openai-prod")})
            lab.vaultctl("credential", "enable", "openai-prod")
            last = begin_one("audit")[0]
            lab.vaultctl("credential", "delete", "openai-prod", "--yes")
            took["credential deleted"] = last.need_cut(clock(), "credential deleted")
            ends = lambda: [entry for entry in lab.audit() if entry["operation"] == "request.end"]  # noqa: E731
            wait_until("the records", lambda: len(ends()) >= 8)  # for which the cut does not wait
            entries = ends()
            need(len(entries) == 8, f"{len(entries)} entries")
            need(entries[-1]["correlation"] == last.correlation() and entries[-1]["principal"] == f"{lab.issuer}|{last.name}" and
                 entries[-1]["reason"] == "the credential is deleted" and entries[-1]["forwarder"] == "nginx" and
                 entries[-1]["outcome"] == "deny", entries[-1])
            # What ends everything that there is.
            begin = clock()
            lab.vaultctl("rotate", "signing", "--emergency")
            for stream in neighbours:
                took[f"emergency, {stream.name}"] = stream.need_cut(begin, "emergency")
            after = Stream(front, "after", bearer(lab, "bob"))
            lab.vaultctl("credential", "put", "third", "-", "--profile", "openai", input="sk-c")
            after.need_going("a token of the new key")
            lab.vaultctl("forwarder", "remove", "nginx")
            took["forwarder removed"] = after.need_cut(clock(), "forwarder removed")
            print("  cut after: " + ", ".join(f"{why} {seconds * 1000:.0f} ms" for why, seconds in took.items()))
            with open(f"{lab.folder}/front/nginx.log") as log:
                text = log.read()
            need(text.count("vault: request cut: ") == 11 and "sk-" not in text and "eyJ" not in text, text[-3000:])


def a_tenant_that_is_disabled_loses_its_streams_and_no_other_does():
    with Lab() as lab:
        serve(lab)
        lab.vaultctl("tenant", "create", "acme")
        lab.vaultctl("--tenant", "acme", "issuer", "add", "corp", "--file", lab.put_file("o.json", json.dumps(lab.issuer_record())))
        lab.vaultctl("--tenant", "acme", "policy", "put", lab.put_file("o.cedar", lab.POLICY))
        lab.vaultctl("--tenant", "acme", "credential", "put", "second", "-", "--profile", "openai", input="sk-acme")
        with Front(lab) as front:
            front.provider.good = {"sk-b", "sk-acme"}
            token = lab.token(lab.subject_token("alice", ["ml", "ci"]), details("second"), path="/t/acme/oauth2/token")
            victim, neighbour = Stream(front, "alice", token), Stream(front, "neighbour", bearer(lab, "alice"))
            lab.vaultctl("tenant", "disable", "acme")
            victim.need_cut(clock(), "tenant")
            neighbour.need_going("the same person elsewhere")


def what_is_no_revocation_cuts_nothing():
    """The end of a token's life, another policy, another version, a seal, another key, another device of the watch."""
    with Lab(config={"tokens": {"lifetime_s": 3, "max_lifetime_s": 60}, "rotation": {"publication_s": 1}}) as lab:
        serve(lab)
        with Front(lab) as front:
            front.provider.good = {"sk-b"}
            token = bearer(lab, "alice")
            stream = Stream(front, "alice", token)
            socket_stream = Stream(front, "alice-socket", token, True)
            lab.vaultctl("credential", "rotate", "second", "-", "--grace", "0", input="sk-new")
            lab.vaultctl("rotate", "signing")
            lab.vaultctl("policy", "put", lab.put_file("none.cedar", '@id("no")\nforbid(principal, action, resource);\n'))
            need(lab.redeem(token).status == 403, "the policy binds the next request")
            wait_until("the token's end", lambda: lab.redeem(token).status == 401, 10)
            lab.vaultctl("seal")
            stream.need_going("sealed")
            lab.vaultctl("unseal")
            lab.vaultctl("issuer", "remove", "corp")
            for each in (stream, socket_stream):
                each.need_going("no revocation")
            # What began with a token that has expired is still its principal's.
            lab.vaultctl("revoke", "--principal", f"{lab.issuer}|alice")
            begin = clock()
            for each in (stream, socket_stream):
                each.need_cut(begin, "after the end of its token")


def a_vault_that_goes_and_comes_back_cuts_what_was_taken_back_meanwhile():
    with Lab() as lab:
        serve(lab)
        with Front(lab) as front:
            front.provider.good = {"sk-b"}
            alice, bob, carol = (Stream(front, name, bearer(lab, name)) for name in ("alice", "bob", "carol"))
            # A redeemer that does not answer: the watch falls silent, then is lost.
            os.kill(lab.pids()["redeemer"], signal.SIGSTOP)
            lab.vaultctl("revoke", "--principal", f"{lab.issuer}|alice")
            time.sleep(3.6)
            for each in (alice, bob):
                each.need_going("the watch is lost")
            stopped = lab.pids()["redeemer"]
            os.kill(stopped, signal.SIGKILL)
            wait_until("alice's end", lambda: alice.is_over, 5)
            bob.need_going("a new redeemer")
            os.kill(lab.pids()["keeper"], signal.SIGKILL)
            bob.need_going("a new keeper")
            # All of it goes; what was revoked as the last thing before is found by who comes.
            os.kill(lab.pids()["redeemer"], signal.SIGSTOP)
            lab.vaultctl("revoke", "--principal", f"{lab.issuer}|bob")
            lab.process.send_signal(signal.SIGCONT)
            children = list(lab.pids().values())
            lab.process.kill()
            lab.process.wait()
            lab.process = None
            for pid in children:
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass
                wait_until(f"end of {pid}", lambda: not os.path.exists(f"/proc/{pid}"), 15)
            bob.need_going("there is no vault")
            lab.start()
            wait_until("bob's end", lambda: bob.is_over, 5)
            carol.need_going("the vault is back")
            for each in (alice, bob, carol):
                each.close()


def a_bound_token_and_a_kept_answer_are_cut_as_well():
    with Lab() as lab:
        serve(lab)
        with Front(lab) as front:
            front.provider.good = {"sk-b"}
            token = bearer(lab, "alice")
            redeems = sum(entry["operation"] == "token.redeem" for entry in lab.audit())
            streams = [Stream(front, f"alice{i}", token) for i in range(20)]
            wait_until("records", lambda: sum(entry["operation"] == "token.redeem" for entry in lab.audit()) > redeems)
            need(sum(entry["operation"] == "token.redeem" for entry in lab.audit()) - redeems < 20, "answers are kept")
            neighbour = Stream(front, "neighbour", bearer(lab, "bob"))
            lab.vaultctl("revoke", token_id(token))
            begin = clock()
            for stream in streams:
                stream.need_cut(begin, "a kept answer")
            neighbour.need_going("the neighbour")
            # A grant says nothing to a stranger, and binds nobody.
            key = new_client_key()
            bound = lab.token(lab.subject_token("dora", ["ml"]), details("second"), key=key)
            answer = lab.redeem(bound, key).json
            need(answer["cache_s"] == 0 and answer["grant"], answer)
            ask = lambda: lab.redeemer("POST", "/v1/standing", {"grants": [{"grant": answer["grant"], "request_id": "r"}]}).json  # noqa: E731
            need(ask()["ended"] == [], "it stands")
            lab.vaultctl("revoke", token_id(bound))
            need(ask()["ended"] == [{"index": 0, "reason": "the token is revoked"}], ask())
            need(lab.redeem(answer["grant"]).status == 401, "a grant is no token")


def a_name_or_a_second_in_common_is_not_the_same_grant():
    with Lab() as lab:
        serve(lab)

        def grant():
            token = bearer(lab, "alice", "openai-prod")
            answer = lab.redeem(token)
            need(answer.status == 200, answer)
            payload = token.split(".")[1]
            return answer.json["grant"], json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["iat"]

        def ended(text):
            answer = lab.redeemer("POST", "/v1/standing", {"grants": [{"grant": text}]})
            need(answer.status == 200, answer)
            return answer.json["ended"][0]["reason"] if answer.json["ended"] else None

        # Who looks only afterwards finds an active credential of that name.
        before = grant()[0]
        lab.vaultctl("credential", "rotate", "openai-prod", "-", input="sk-b")
        need(ended(before) is None, "another version is the same credential")
        for _ in range(2):
            lab.vaultctl("credential", "delete", "openai-prod", "--yes")
            lab.put_credential("openai-prod", "sk-again")
            need(ended(before) == "the credential is deleted", ended(before))
            before = grant()[0]
            need(ended(before) is None, "the one that is there now")

        # The new key signs in the second in which the old one was withdrawn.
        for _ in range(30):
            old, _ = grant()
            time.sleep(1.02 - time.time() % 1)
            answer = lab.admin("POST", "/v1/rotate/signing", {"emergency": True})
            need(answer.status == 200, answer)
            second = int(time.time())
            new, issued_at = grant()
            need(ended(old) == "the key that signed the token is withdrawn", ended(old))
            need(ended(new) is None, ended(new))
            if issued_at == second:
                break
        else:
            need(False, "too slow a machine to do both in one second")
        # Any other way a key goes when its time has come, and nothing with it.
        lab.vaultctl("rotate", "signing")
        need(ended(new) is None, "an orderly rotation")


if __name__ == "__main__":
    run_cases(whatever_is_taken_back_is_cut_and_nothing_else, a_tenant_that_is_disabled_loses_its_streams_and_no_other_does,
              what_is_no_revocation_cuts_nothing, a_vault_that_goes_and_comes_back_cuts_what_was_taken_back_meanwhile,
              a_bound_token_and_a_kept_answer_are_cut_as_well, a_name_or_a_second_in_common_is_not_the_same_grant)
