#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The TLS certificate of each listener is replaced: new connections get the new
one, those that are open stay, and no call fails."""

import http.client
import json
import os
import signal
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from lab import HANGS_S, Lab, lab_with_listener, need, run_cases, wait_until  # noqa: E402
from ports import free_port  # noqa: E402
from staff import Staff  # noqa: E402

RELOADS = 4
REDEEM = {"destination": "api.openai.com", "method": "POST", "path": "/v1/chat/completions", "uri": "https://llm.test/v1", "model": "gpt-4o"}


def connect(lab, port, certificate=None):
    context = ssl.create_default_context(cafile=lab.ca)
    if certificate:
        context.load_cert_chain(*certificate)
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=HANGS_S)
    connection.connect()
    return connection


def shown(connection):
    return connection.sock.getpeercert(binary_form=True)


class Callers:
    """Calls on connections that stay open, and on one anew for each call, until it is stopped."""

    def __init__(self, open_one, call):
        self.open_one, self.call, self.ending, self.failures, self.count = open_one, call, threading.Event(), [], 0
        self.threads = [threading.Thread(target=self._run, args=(keeps,)) for keeps in (True, True, False)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.ending.set()
        for thread in self.threads:
            thread.join(HANGS_S)

    def _run(self, keeps):
        try:
            connection = self.open_one()
            socket = connection.sock
            while not self.ending.is_set():
                self.call(connection)
                self.count += 1
                if not keeps:
                    connection.close()
                    connection = self.open_one()
                elif connection.sock is not socket:
                    self.failures.append("a connection was dropped")
                    return
                time.sleep(0.005)
        except Exception as error:  # whatever it is, a client has noticed
            self.failures.append(repr(error))


def replace(lab, section, open_one, call):
    """Several certificates, one after the other, under load."""
    old = open_one()
    seen = [shown(old)]
    with Callers(open_one, call) as callers:
        time.sleep(0.3)
        for _ in range(RELOADS):
            lab.make_certificate(section, "localhost")
            done = lab.log().count("configuration reloaded")
            lab.process.send_signal(signal.SIGHUP)
            wait_until("the reload", lambda: lab.log().count("configuration reloaded") > done)

            def is_new():
                connection = open_one()
                try:
                    return shown(connection) not in seen and not seen.append(shown(connection))
                finally:
                    connection.close()
            wait_until(f"the new certificate of the {section}", is_new, 10)
            call(old)
        time.sleep(0.3)
    need(not callers.failures, callers.failures[:3])
    need(callers.count > 50 and len(seen) == RELOADS + 1, f"{callers.count} calls, {len(seen)} certificates")
    # One that can not be used changes nothing.
    with open(f"{lab.folder}/{section}.pem", "w") as file:
        file.write("no certificate\n")
    lab.process.send_signal(signal.SIGHUP)
    wait_until("the refusal", lambda: f"the configuration stays as it was: {section}.tls_certificate: {lab.folder}/{section}.pem holds no certificate in PEM" in lab.log())
    call(old)
    last = open_one()
    need(shown(last) == seen[-1], "another certificate after a reload that failed")
    call(last)


def answered(connection, method, path, body=None, headers=None):
    connection.request(method, path, json.dumps(body) if body is not None else None, {"content-type": "application/json", **(headers or {})})
    response = connection.getresponse()
    text = response.read()
    need(response.status == 200, f"{path}: {response.status} {text[:200]}")


def the_brokers_is_replaced():
    with Lab() as lab:
        lab.start()
        lab.init_with_issuer()
        replace(lab, "broker", lambda: connect(lab, lab.broker_port), lambda connection: answered(connection, "GET", "/oauth2/jwks"))


def the_redeemers_is_replaced():
    port = free_port()
    with lab_with_listener("redeemer", port) as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential(value="sk-remote")
        edge = lab.make_certificate("edge", "edge-1")
        lab.vaultctl("forwarder", "enrol", "edge-1", "--certificate", edge[0])
        key = new_client_key()
        token = lab.token(key=key)

        def call(connection):
            proof = key.dpop("POST", REDEEM["uri"], access_token=token)
            answered(connection, "POST", "/v1/redeem", {"token": token, "scheme": "dpop", "proof": proof, **REDEEM})
        replace(lab, "redeemer", lambda: connect(lab, port, edge), call)


def the_admins_is_replaced():
    port = free_port()
    with lab_with_listener("admin", port, oidc_tenant="operators") as lab:
        lab.start()
        lab.init_with_issuer()
        staff = Staff(lab, '@id("readers") permit(principal in Group::"readers", action == Action::"readStatus", resource);\n')
        headers = staff.olga(["readers"])
        replace(lab, "admin", lambda: connect(lab, port),
                lambda connection: answered(connection, "GET", "/v1/status", headers=headers))


if __name__ == "__main__":
    run_cases(the_brokers_is_replaced, the_redeemers_is_replaced, the_admins_is_replaced)
