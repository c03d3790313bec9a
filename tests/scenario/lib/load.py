# SPDX-License-Identifier: Apache-2.0
"""Redeems by the thousand, under which a vault stands while something happens to it; and whether every
answer that they got is in the audit log."""

import json
import os
import socket

from auditlog import correlations, published, verifier, vkey
from lab import HANGS_S, need, run, wait_until

PIPELINE = 32
CONNECTIONS = 64


def serve(lab):
    """Returns a token that is redeemed without a proof of possession."""
    lab.serve()
    return lab.token(lab.subject_token(groups=("ml", "ci")))


class Load:
    """Redeems, many at a time; knows which were answered."""

    def __init__(self, lab, token):
        self.lab, self.token, self.sent, self.answered = lab, token, 0, []

    def _request(self, number):
        # Every third one is refused: another host than the credential's.
        host = "api.openai.com" if number % 3 else "elsewhere.example"
        body = json.dumps({"token": self.token, "scheme": "bearer", "destination": host, "method": "POST", "path": "/v1/chat/completions",
                           "uri": "https://llm.example.test/v1/chat/completions", "source": "127.0.0.1", "model": "gpt-4o-mini",
                           "request_id": f"load-{number}"}).encode()
        return (b"POST /v1/redeem HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: "
                + str(len(body)).encode() + b"\r\n\r\n" + body)

    @staticmethod
    def _take_answer(reader):
        line = reader.readline()
        if not line:
            raise ConnectionError("closed")
        size, status = 0, int(line.split()[1])
        while True:
            line = reader.readline()
            if line in (b"\r\n", b""):
                break
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        if len(reader.read(size)) != size:
            raise ConnectionError("cut short")
        return status

    def run(self, count, until=None):
        """Over many connections, so that the vault has much to sync at once. Ends
        early when the vault does, or when `until` is true."""
        links = []
        try:
            for _ in range(min(CONNECTIONS, (count + PIPELINE - 1) // PIPELINE)):
                link = socket.socket(socket.AF_UNIX)
                links.append(link)
                link.settimeout(HANGS_S)
                link.connect(self.lab.redeem_socket)
            readers = [link.makefile("rb") for link in links]
            while count > 0 and not (until and until()):
                batches = []
                for link in links:
                    numbers = range(self.sent, self.sent + min(PIPELINE, count))
                    self.sent += len(numbers)
                    count -= len(numbers)
                    batches.append(numbers)
                    link.sendall(b"".join(self._request(n) for n in numbers))
                for numbers, reader in zip(batches, readers):
                    self._take_answers(numbers, reader)
        except OSError:
            pass
        finally:
            for link in links:
                link.close()

    def _take_answers(self, numbers, reader):
        for number in numbers:
            if self._take_answer(reader) in (200, 403):  # decided; anything else says that it was not
                self.answered.append(number)


def serves(lab, load):
    before = len(load.answered)
    load.run(1)
    return len(load.answered) > before


def victims(lab, which):
    wait_until("that role", lambda: which == "everything" or which in lab.pids(), 10)  # it may be starting again
    pids = lab.pids()
    return " ".join(str(pid) for pid in ([lab.process.pid, *pids.values()] if which == "everything" else [pids[which]]))


def gone(pids):
    """Nobody of them holds a socket any more. Their parent may be dead, so lab.pids does not know them."""
    def holds(pid):
        try:
            return bool(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            return False
    return not any(map(holds, pids.split()))


def all_recorded(lab, load):
    recorded = len(lab.audit())
    published(lab, recorded)
    found = correlations(lab)
    missing = [n for n in load.answered if f"load-{n}" not in found]
    need(not missing, f"{len(missing)} of {len(load.answered)} answers have no record, first {missing[:5]}")
    print(f"     {len(load.answered)} answers, all recorded", flush=True)
    run(verifier(lab), "verify", lab.audit_folder, vkey(lab))
    lab.vaultctl("audit", "verify", lab.audit_folder)
