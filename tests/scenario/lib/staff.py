# SPDX-License-Identifier: Apache-2.0
"""Administrators who sign in with OIDC: an issuer of the tenant `operators`, and olga."""

import json
import time

from jose import Signer, new_ec_key

ISSUER = "https://staff.example.test"


class Staff:
    def __init__(self, lab, policy):
        """Started with an issuer already: makes the tenant, its issuer and what it may do."""
        self.signer = Signer(new_ec_key(), "ES256", "staff-1")
        record = {**lab.issuer_record(self.signer), "name": "staff", "issuer": ISSUER}
        lab.vaultctl("tenant", "create", "operators")
        lab.vaultctl("--tenant", "operators", "issuer", "add", "staff", "--file", lab.put_file("staff.json", json.dumps(record)))
        lab.vaultctl("--tenant", "operators", "policy", "put", lab.put_file("ops.cedar", policy))

    def olga(self, groups, signer=None, **claims):
        """The headers with which olga asks."""
        now = int(time.time())
        token = (signer or self.signer).sign({"iss": ISSUER, "sub": "olga", "aud": "vaultd", "iat": now, "exp": now + 300, "groups": groups, **claims})
        return {"authorization": f"Bearer {token}"}
