# SPDX-License-Identifier: Apache-2.0
"""The store's file: what is stored now (mdb_dump), and what can be found in it beyond that."""

import os

from lab import run

SECRET = b"kGNs"  # classes of libvault/store/store.h: wrapped data keys, keys of the vault, credentials
PIECE = 16


def records(lab):
    """{key: value without its header} of everything that is stored."""
    lines = run("mdb_dump", lab.store_folder).split("HEADER=END\n", 1)[1].split("DATA=END")[0].split()
    return {bytes.fromhex(lines[i]): bytes.fromhex(lines[i + 1])[9:] for i in range(0, len(lines) - 1, 2)}


def pieces(values):
    """Parts of these values that nothing else looks like."""
    found = set()
    for value in values:
        for at in range(0, len(value) - PIECE + 1, PIECE):
            piece = value[at:at + PIECE]
            if len(set(piece)) >= 13:
                found.add(piece)
    return found


class Destroyed:
    """Remembers every wrapped key and ciphertext that was ever seen; those that are stored no more must be found nowhere."""

    def __init__(self, lab):
        self.lab, self.seen = lab, {}

    def look(self):
        for key, value in records(self.lab).items():
            if key[4] in SECRET:
                self.seen.setdefault(key, set()).update(pieces([value]))

    def gone(self):
        """{key: pieces} of records that are not stored any more."""
        live = records(self.lab)
        # Keys, too: a wrapped key names the key that wraps it, which may live on, and so does its record's.
        everything = b"\n".join([*live.keys(), *live.values()])
        return {key: {piece for piece in seen if piece not in everything} for key, seen in self.seen.items() if key not in live}

    def traces(self):
        """Which records that are gone can be found in the file."""
        gone = self.gone()
        with open(os.path.join(self.lab.store_folder, "data.mdb"), "rb") as file:
            content = file.read()
        return {key for key, seen in gone.items() if any(piece in content for piece in seen)}
