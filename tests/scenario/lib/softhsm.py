# SPDX-License-Identifier: Apache-2.0
"""Unwraps data keys with SoftHSM itself, by PKCS#11 calls of the test's own: what the vault's programs hold in memory can
then be searched for. Reads wrapped keys from the store's file, where each begins with the id of its wrapping key."""

import ctypes
import json
import os
import struct
import subprocess
import sys

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
CKA_CLASS, CKA_LABEL, CKO_SECRET_KEY, CKU_USER = 0x0, 0x3, 0x4, 1
CKM_AES_GCM, CKF_SERIAL_SESSION = 0x1087, 0x4


class Attribute(ctypes.Structure):
    _fields_ = [("type", ctypes.c_ulong), ("value", ctypes.c_void_p), ("size", ctypes.c_ulong)]


class Mechanism(ctypes.Structure):
    _fields_ = [("type", ctypes.c_ulong), ("parameter", ctypes.c_void_p), ("size", ctypes.c_ulong)]


class GcmParameters(ctypes.Structure):
    _fields_ = [("iv", ctypes.c_char_p), ("iv_bytes", ctypes.c_ulong), ("iv_bits", ctypes.c_ulong), ("aad", ctypes.c_char_p),
                ("aad_bytes", ctypes.c_ulong), ("tag_bits", ctypes.c_ulong)]


def text(value):
    return struct.pack(">I", len(value)) + value


def wrapped_keys(store, key_id):
    """(header, iv, ciphertext and tag) of everything that this wrapping key has wrapped."""
    with open(f"{store}/data.mdb", "rb") as file:
        content = file.read()
    found, at = set(), -1
    while (at := content.find(key_id, at + 1)) >= 0:
        header, body = content[at - 2:at + 16], content[at + 16:at + 16 + 12 + 48]
        if header[1:2] == b"\x02" and len(body) == 60:  # HSM_MECHANISM_GCM
            found.add((header, body[:12], body[12:]))
    return found


class Session:
    def __init__(self, pin):
        self.module = ctypes.CDLL(MODULE)
        self.call("C_Initialize", None)
        slots, count = (ctypes.c_ulong * 16)(), ctypes.c_ulong(16)
        self.call("C_GetSlotList", ctypes.c_ubyte(1), slots, ctypes.byref(count))
        self.session = ctypes.c_ulong()
        self.call("C_OpenSession", ctypes.c_ulong(slots[0]), ctypes.c_ulong(CKF_SERIAL_SESSION), None, None, ctypes.byref(self.session))
        self.call("C_Login", self.session, ctypes.c_ulong(CKU_USER), pin, ctypes.c_ulong(len(pin)))

    def call(self, name, *arguments):
        code = getattr(self.module, name)(*arguments)
        if code:
            raise OSError(f"{name}: {code:#x}")

    def keys(self):
        kind = ctypes.c_ulong(CKO_SECRET_KEY)
        template = Attribute(CKA_CLASS, ctypes.cast(ctypes.byref(kind), ctypes.c_void_p), ctypes.sizeof(kind))
        found, count = (ctypes.c_ulong * 16)(), ctypes.c_ulong()
        self.call("C_FindObjectsInit", self.session, ctypes.byref(template), ctypes.c_ulong(1))
        self.call("C_FindObjects", self.session, found, ctypes.c_ulong(16), ctypes.byref(count))
        self.call("C_FindObjectsFinal", self.session)
        return list(found[:count.value])

    def decrypt(self, key, iv, aad, sealed):
        """None when the tag does not fit."""
        parameters = GcmParameters(iv, len(iv), len(iv) * 8, aad, len(aad), 128)
        mechanism = Mechanism(CKM_AES_GCM, ctypes.cast(ctypes.byref(parameters), ctypes.c_void_p), ctypes.sizeof(parameters))
        out, size = ctypes.create_string_buffer(128), ctypes.c_ulong(128)
        try:
            self.call("C_DecryptInit", self.session, ctypes.byref(mechanism), ctypes.c_ulong(key))
            self.call("C_Decrypt", self.session, sealed, ctypes.c_ulong(len(sealed)), out, ctypes.byref(size))
        except OSError:
            return None
        return out.raw[:size.value]


def data_keys(store, key_id, pin, tenants):
    """{(tenant, number): data key}, of numbers up to 3."""
    session, found = Session(pin), {}
    for header, iv, sealed in wrapped_keys(store, key_id):
        for key in session.keys():
            for tenant in tenants:
                for number in range(1, 4):
                    context = text(b"vaultd data key 1") + struct.pack(">II", tenant, number)
                    plain = session.decrypt(key, iv, text(b"vaultd wrap v1") + text(header) + text(context), sealed)
                    if plain and len(plain) == 32:
                        found[(tenant, number)] = plain
    return found


def data_keys_of(lab, tenants):
    """In a process of its own: a module keeps the environment that it was loaded with."""
    key_id = [key["key"] for key in lab.vaultctl_json("key", "list")["keys"] if key["kind"] == "wrapping"][0]
    with open(lab.device.settings["pin_file"]) as pin:
        arguments = [lab.store_folder, key_id, pin.read().strip(), json.dumps(tenants)]
    done = subprocess.run([sys.executable, os.path.abspath(__file__), *arguments], stdout=subprocess.PIPE, timeout=30, check=True,
                          env={**os.environ, "SOFTHSM2_CONF": f"{lab.device.folder}/softhsm2.conf"})
    return {tuple(map(int, name.split("/"))): bytes.fromhex(value) for name, value in json.loads(done.stdout).items()}


if __name__ == "__main__":
    keys = data_keys(sys.argv[1], bytes.fromhex(sys.argv[2]), sys.argv[3].encode(), json.loads(sys.argv[4]))
    print(json.dumps({f"{tenant}/{number}": key.hex() for (tenant, number), key in keys.items()}))
