# SPDX-License-Identifier: Apache-2.0
"""Enough JOSE to play an identity provider and a client with a key of its own."""

import base64
import hashlib
import json
import os
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token_id(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"]


def number(value, size=None):
    return b64u(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def new_rsa_key():
    return rsa.generate_private_key(65537, 2048)


def new_ec_key(curve=None):
    return ec.generate_private_key(curve or ec.SECP256R1())


def new_ed25519_key():
    return ed25519.Ed25519PrivateKey.generate()


class Signer:
    def __init__(self, key, alg, kid=None):
        self.key, self.alg, self.kid = key, alg, kid

    def public_jwk(self):
        public = self.key.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            jwk = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        elif isinstance(public, ec.EllipticCurvePublicKey):
            numbers, size = public.public_numbers(), (public.curve.key_size + 7) // 8
            name = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}[public.curve.name]
            jwk = {"kty": "EC", "crv": name, "x": number(numbers.x, size), "y": number(numbers.y, size)}
        else:
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64u(raw)}
        if self.kid:
            jwk["kid"] = self.kid
        return jwk

    def thumbprint(self):
        jwk = self.public_jwk()
        jwk.pop("kid", None)
        return b64u(hashlib.sha256(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()).digest())

    def _signature(self, message):
        if self.alg.startswith("RS"):
            return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        if self.alg.startswith("PS"):
            return self.key.sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        if self.alg == "EdDSA":
            return self.key.sign(message)
        size = (self.key.curve.key_size + 7) // 8
        digest = {"ES256": hashes.SHA256(), "ES384": hashes.SHA384(), "ES512": hashes.SHA512()}[self.alg]
        r, s = utils.decode_dss_signature(self.key.sign(message, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def sign(self, claims, **header):
        header = {"alg": self.alg, "typ": "JWT", **({"kid": self.kid} if self.kid else {}), **header}
        message = b64u(json.dumps(header).encode()) + "." + b64u(json.dumps(claims).encode())
        return message + "." + b64u(self._signature(message.encode()))

    def dpop(self, method, uri, access_token=None, nonce=None, **claims):
        claims = {"jti": b64u(os.urandom(12)), "htm": method, "htu": uri, "iat": int(time.time()), **claims}
        if access_token:
            claims["ath"] = b64u(hashlib.sha256(access_token.encode()).digest())
        if nonce:
            claims["nonce"] = nonce
        jwk = self.public_jwk()
        jwk.pop("kid", None)
        header = {"alg": self.alg, "typ": "dpop+jwt", "jwk": jwk}
        message = b64u(json.dumps(header).encode()) + "." + b64u(json.dumps(claims).encode())
        return message + "." + b64u(self._signature(message.encode()))


def new_client_key():
    return Signer(new_ec_key(), "ES256")


def seal(jwk, plaintext):
    """JWE (RFC 7516) with ECDH-ES and A256GCM to a P-256 key, as vaultctl makes it."""
    def decode(text):
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    point = ec.EllipticCurvePublicNumbers(int.from_bytes(decode(jwk["x"]), "big"), int.from_bytes(decode(jwk["y"]), "big"), ec.SECP256R1())
    ephemeral = ec.generate_private_key(ec.SECP256R1())
    shared = ephemeral.exchange(ec.ECDH(), point.public_key())
    name = b"A256GCM"
    party = (0).to_bytes(4, "big")
    key = hashlib.sha256((1).to_bytes(4, "big") + shared + len(name).to_bytes(4, "big") + name + party + party + (256).to_bytes(4, "big")).digest()
    epk = Signer(ephemeral, "ES256").public_jwk()
    header = b64u(json.dumps({"alg": "ECDH-ES", "enc": "A256GCM", "kid": jwk["kid"], "epk": epk}, separators=(",", ":")).encode())
    iv = os.urandom(12)
    sealed = AESGCM(key).encrypt(iv, plaintext, header.encode())
    return f"{header}..{b64u(iv)}.{b64u(sealed[:-16])}.{b64u(sealed[-16:])}"
