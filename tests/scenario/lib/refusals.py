# SPDX-License-Identifier: Apache-2.0
"""Bad input: a vault in which it may change nothing, and what each answer that refuses it must be like."""

import contextlib

from jose import new_client_key
from lab import Lab, need

FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json"}


def records(lab):
    """Everything that administration can see, with the revision of each record.
    The store's own revision also counts the checkpoints of the audit log."""
    found = {path: lab.admin("GET", path).json for path in ("/v1/tenants", "/v1/forwarders")}
    for tenant in [item["name"] for item in found["/v1/tenants"]["items"]]:
        for kind in ("issuers", "credentials", "policies?text=1"):
            path = f"/v1/tenants/{tenant}/{kind}"
            answer = lab.admin("GET", path)
            found[path] = (answer.json, answer.headers.get("etag"))
    return found


def works(lab):
    key = new_client_key()
    answer = lab.redeem(lab.token(key=key), key)
    need(answer.status == 200, f"the service does not work afterwards: {answer}")


@contextlib.contextmanager
def bad_input(extra=None):
    """A lab in which nothing may change, and which must work at the end."""
    with Lab(config=extra) as lab:
        lab.serve()
        before, pids = records(lab), lab.pids()
        yield lab
        works(lab)
        need(records(lab) == before, f"the store changed: {before} {records(lab)}")
        need(lab.pids() == pids, "a process was replaced")


def check(what, answer, status, *words):
    need(answer.status == status, f"{what}: {answer} and not {status}")
    text = answer.body.decode(errors="replace")
    for word in words:
        need(word in text, f"{what}: {word!r} is not in {answer}")
    need("sk-real" not in text, f"{what}: holds the credential")
    need(answer.status < 400 or answer.headers.get("cache-control") == "no-store", f"{what}: may be cached: {answer.headers}")
