# SPDX-License-Identifier: Apache-2.0
"""A whole vault for one scenario: fresh device, fresh store, real programs.

    with Lab("softhsm") as lab:
        lab.start()
        lab.init_with_issuer()
        ...

Everything lives in one temporary folder, listens on loopback or on unix sockets
only, and is gone when the block ends. VAULT_PREFIX names the installed tree
under test (tests/run makes it).
"""

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

from jose import Signer, new_client_key, new_rsa_key
from pace import clock
from ports import free_port

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
ROLES = ("broker", "admin", "redeemer", "keeper", "auditor", "rotator")  # the shipper runs only where something is shipped


class Failure(Exception):
    pass


def need(condition, message):
    if not condition:
        raise Failure(message)


PATIENCE = 3  # a machine that does other work beside the tests is given so many times as long
HANGS_S = 120  # what has not answered or ended after so long never will


def wait_until(what, condition, seconds=15.0):
    end = clock() + seconds * PATIENCE
    while not condition():
        need(clock() < end, f"{what}: not within {seconds * PATIENCE} s")
        time.sleep(0.02)


def run(*argv, **options):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=HANGS_S, text=True, **options)
    need(done.returncode == 0, f"{' '.join(argv)}: {done.stdout}")
    return done.stdout


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=HANGS_S):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Device:
    """A fresh SoftHSM or swtpm, owned by the user as which the keeper runs."""

    def __init__(self, kind, folder, owner):
        self.kind, self.folder, self.owner, self.process = kind, folder, owner, None
        os.mkdir(folder, 0o755)
        getattr(self, f"_make_{kind}")()

    def _own(self):
        if self.owner:
            run("chown", "-R", f"{self.owner}:vaultd", self.folder)

    def _make_softhsm(self):
        os.mkdir(f"{self.folder}/tokens", 0o700)
        with open(f"{self.folder}/softhsm2.conf", "w") as conf:
            conf.write(f"directories.tokendir = {self.folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
        run("softhsm2-util", "--init-token", "--free", "--label", "vaultd", "--so-pin", "12345678", "--pin", "87654321",
            env={**os.environ, "SOFTHSM2_CONF": f"{self.folder}/softhsm2.conf"})
        with open(f"{self.folder}/pin", "w") as pin:
            pin.write("87654321\n")
        os.chmod(f"{self.folder}/pin", 0o600)
        self._own()
        self.settings = {"kind": "pkcs11", "module": "/usr/lib/softhsm/libsofthsm2.so", "uri": "pkcs11:token=vaultd",
                         "pin_file": f"{self.folder}/pin", "environment": [f"SOFTHSM2_CONF={self.folder}/softhsm2.conf"]}

    def _make_swtpm(self):
        self._own()
        self.settings = {"kind": "tpm", "tcti": f"swtpm:path={self.folder}/tpm.sock"}
        self.start()

    def _make_tpm2pkcs11(self):
        """libtpm2-pkcs11: a PKCS#11 device whose keys are a swtpm's, with a store of its own."""
        os.mkdir(f"{self.folder}/store", 0o700)
        self.start()
        environment = {"TPM2_PKCS11_TCTI": f"swtpm:path={self.folder}/tpm.sock", "TPM2_PKCS11_STORE": f"{self.folder}/store", "TSS2_LOG": "all+none"}
        tool = ["pkcs11-tool", "--module", "libtpm2_pkcs11.so.1"]
        run(*tool, "--init-token", "--slot-index", "0", "--label", "vaultd", "--so-pin", "12345678", env={**os.environ, **environment})
        run(*tool, "--token-label", "vaultd", "--login", "--so-pin", "12345678", "--init-pin", "--new-pin", "87654321",
            env={**os.environ, **environment})
        with open(f"{self.folder}/pin", "w") as pin:
            pin.write("87654321\n")
        os.chmod(f"{self.folder}/pin", 0o600)
        self._own()
        self.settings = {"kind": "pkcs11", "module": "libtpm2_pkcs11.so", "uri": "pkcs11:token=vaultd", "pin_file": f"{self.folder}/pin",
                         "environment": [f"{name}={value}" for name, value in environment.items()]}

    def start(self):
        if self.kind not in ("swtpm", "tpm2pkcs11") or self.process:
            return
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}", "--server", f"type=unixio,path={self.folder}/tpm.sock",
             "--ctrl", f"type=unixio,path={self.folder}/tpm.sock.ctrl", "--flags", "not-need-init,startup-clear"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("swtpm", lambda: os.path.exists(f"{self.folder}/tpm.sock"))
        for name in ("tpm.sock", "tpm.sock.ctrl") if self.owner else ():
            run("chown", f"{self.owner}:vaultd", f"{self.folder}/{name}")

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
            for name in ("tpm.sock", "tpm.sock.ctrl"):
                if os.path.exists(f"{self.folder}/{name}"):
                    os.unlink(f"{self.folder}/{name}")


class Lab:
    def __init__(self, device="softhsm", users=None, config=None):
        self.prefix = os.environ.get("VAULT_PREFIX") or sys.exit("VAULT_PREFIX: the installed tree under test is not set")
        self.users = os.getuid() == 0 if users is None else users
        self.folder = tempfile.mkdtemp(prefix="vaultlab.")
        os.chmod(self.folder, 0o755)
        self.process = None
        self.before_exec = None  # called in the child, before it becomes vaultd
        self.device = Device(device, f"{self.folder}/device", "vault-keeper" if self.users else None)
        self.broker_port = free_port()
        self.origin = f"https://localhost:{self.broker_port}"
        self.admin_socket = f"{self.folder}/run/admin.sock"
        self.redeem_socket = f"{self.folder}/run/redeem.sock"
        self.audit_folder = f"{self.folder}/audit"
        self.store_folder = f"{self.folder}/store"
        self.extra = config or {}
        self._make_certificates()
        self.idp = Signer(new_rsa_key(), "RS256", "rsa-1")
        self.issuer = "https://idp.example.test"
        self.write_config()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind and os.environ.get("VAULT_LAB_LOG", "1") == "1":
            sys.stderr.write(self.log()[-6000:])
        self.stop(signal.SIGKILL)
        self.device.stop()
        if os.environ.get("VAULT_LAB_KEEP") == "1":
            sys.stderr.write(f"kept: {self.folder}\n")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- Set-up ----

    def _make_certificates(self):
        self.ca, f = f"{self.folder}/ca.pem", self.folder
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=lab CA", "-keyout", f"{f}/ca.key", "-out", self.ca)
        self.make_certificate("broker", "localhost")

    def make_certificate(self, name, common_name, client=False):
        f = self.folder
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={common_name}",
            "-keyout", f"{f}/{name}.key", "-out", f"{f}/{name}.csr")
        with open(f"{f}/{name}.ext", "w") as ext:
            ext.write(f"subjectAltName=DNS:{common_name},IP:127.0.0.1\n")
        run("openssl", "x509", "-req", "-in", f"{f}/{name}.csr", "-CA", f"{f}/ca.pem", "-CAkey", f"{f}/ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", f"{f}/{name}.ext", "-out", f"{f}/{name}.pem")
        return f"{f}/{name}.pem", f"{f}/{name}.key"

    def config(self):
        f = self.folder
        config = {
            "issuer": self.origin, "store": self.store_folder, "profiles": f"{self.prefix}/share/vaultd/profiles",
            "recipes": f"{self.prefix}/share/vaultd/recipes",
            "log_level": "info", "drain_ms": 5000, "device": dict(self.device.settings),
            "broker": {"listen": f"127.0.0.1:{self.broker_port}", "tls_certificate": f"{f}/broker.pem", "tls_key": f"{f}/broker.key",
                       "issuer_ca": self.ca},
            "admin": {"socket": self.admin_socket}, "redeemer": {"socket": self.redeem_socket},
            "audit": {"directory": self.audit_folder}, "tokens": {"lifetime_s": 300, "max_lifetime_s": 3600}}
        if self.users:
            config["users"] = {"group": "vaultd", **{role: f"vault-{role}" for role in (*ROLES, "shipper")}}
        for section, values in self.extra.items():
            config[section] = {**config.get(section, {}), **values} if isinstance(values, dict) else values
        return config

    def write_config(self, text=None):
        self.config_path = f"{self.folder}/vaultd.conf"
        with open(self.config_path, "w") as out:
            out.write(text if text is not None else json.dumps(self.config(), indent=2) + "\n")  # JSON is YAML

    def start(self, wait=True):
        ready = self.log().count("every role is ready")
        with open(f"{self.folder}/log", "ab") as log:
            self.process = subprocess.Popen([f"{self.prefix}/sbin/vaultd", "--config", self.config_path], stdout=log, stderr=log,
                                            preexec_fn=self.before_exec)
        if wait:
            wait_until("vaultd", lambda: self.process.poll() is not None or self.log().count("every role is ready") > ready)
            need(self.process.poll() is None, f"vaultd did not start:\n{self.log()}")

    def stop(self, number=signal.SIGTERM):
        if not self.process:
            return None
        children = list(self.pids().values())
        self.process.send_signal(number)
        status = self.process.wait(HANGS_S)
        self.process = None
        for pid in children:
            wait_until(f"end of process {pid}", lambda: not os.path.exists(f"/proc/{pid}") or is_zombie(pid), 5)
        return status

    def log(self):
        try:
            with open(f"{self.folder}/log", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def pids(self):
        """Process of each role (the first worker)."""
        found = {}
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/stat") as stat:
                    rest = stat.read().rsplit(")", 1)[1].split()
                with open(f"/proc/{name}/comm") as comm:
                    program = comm.read().strip()
            except OSError:
                continue
            if self.process and int(rest[1]) == self.process.pid and program.startswith("vaultd-") and rest[0] != "Z":
                found.setdefault(program[len("vaultd-"):], int(name))
        return found

    # ---- Talking to it ----

    def vaultctl(self, *argv, input=None, check=True, env=None):
        done = subprocess.run([f"{self.prefix}/bin/vaultctl", *argv], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=HANGS_S, text=True,
                              env={**os.environ, "VAULTCTL_SERVER": f"unix:{self.admin_socket}", "VAULTCTL_BROKER": self.origin,
                                   "VAULTCTL_CA": self.ca, **(env or {})})
        if check:
            need(done.returncode == 0, f"vaultctl {' '.join(argv)} exited {done.returncode}: {done.stderr}{done.stdout}")
        return done

    def vaultctl_json(self, *argv, **options):
        return json.loads(self.vaultctl("--json", *argv, **options).stdout)

    def broker(self, method, path, body=None, headers=None, certificate=None):
        context = ssl.create_default_context(cafile=self.ca)
        if certificate:
            context.load_cert_chain(*certificate)
        connection = http.client.HTTPSConnection("localhost", self.broker_port, context=context, timeout=HANGS_S)
        return self._ask(connection, method, path, body, headers)

    def redeemer(self, method, path, body=None, headers=None):
        return self._ask(UnixConnection(self.redeem_socket), method, path, body, headers)

    def admin(self, method, path, body=None, headers=None, seconds=HANGS_S):
        return self._ask(UnixConnection(self.admin_socket, seconds), method, path, body, headers)

    @staticmethod
    def _ask(connection, method, path, body, headers):
        headers = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body)
            headers.setdefault("content-type", "application/json")
        try:
            connection.request(method, path, body=body, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    # ---- The main job ----

    POLICY = ('@id("team-uses-openai")\npermit(principal in Group::"ml", action in Action::"use", resource in Provider::"openai");\n'
              '@id("bearer-for-ci")\n@bearer("allow")\npermit(principal in Group::"ci", action in Action::"use", resource in Provider::"openai");\n')

    def issuer_record(self, signer=None):
        return {"name": "corp", "issuer": self.issuer, "jwks": {"keys": [(signer or self.idp).public_jwk()]}, "audiences": ["vaultd"],
                "algorithms": ["RS256", "ES256"], "kind": "user",
                "groups": [{"claim": "groups", "value": "*"}]}

    def put_file(self, name, text):
        path = f"{self.folder}/{name}"
        with open(path, "w") as out:
            out.write(text)
        return path

    def init_with_issuer(self, policy=None, init=()):
        self.shares = self.vaultctl_json("init", *init).get("shares")
        self.vaultctl("issuer", "add", "corp", "--file", self.put_file("issuer.json", json.dumps(self.issuer_record())))
        self.vaultctl("policy", "put", self.put_file("main.cedar", policy or self.POLICY))

    def put_credential(self, name="openai-prod", value="sk-real-secret-0001", profile="openai", *more):
        self.vaultctl("credential", "put", name, "-", "--profile", profile, *more, input=value)

    def enrol(self, name="nginx", uid=None):
        self.vaultctl("forwarder", "enrol", name, "--uid", str(os.getuid() if uid is None else uid))

    def subject_token(self, subject="alice", groups=("ml",), **claims):
        now = int(time.time())
        return self.idp.sign({"iss": self.issuer, "sub": subject, "aud": "vaultd", "iat": now, "exp": now + 600, "groups": list(groups),
                              **claims})

    def serve(self, policy=None, init=()):
        """Unsealed, with an issuer, a policy, a credential, and whoever runs this as a forwarder."""
        self.start()
        self.init_with_issuer(policy, init)
        self.put_credential()
        self.enrol()

    def start_ready(self, policy=None, init=()):
        """Up to the first token; returns a client's key and its token."""
        self.serve(policy, init)
        key = new_client_key()
        return key, self.token(key=key)

    def works(self, token, key):
        """The vault answers as it should: that token is redeemed, another one is issued."""
        try:
            return self.redeem(token, key).status == 200 and self.exchange(key=key).status == 200
        except OSError:
            return False

    def exchange(self, subject=None, details=None, key=None, path="/oauth2/token", certificate=None, **form):
        """One token exchange; with a key: DPoP, and the nonce dance."""
        details = details or [{"type": "credential_use", "credential": "openai-prod"}]
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": subject or self.subject_token(),
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "authorization_details": json.dumps(details), **form}
        headers = {"content-type": "application/x-www-form-urlencoded"}
        nonce = None
        for _ in range(2):
            if key:
                headers["dpop"] = key.dpop("POST", f"{self.origin}{path}", nonce=nonce)
            answer = self.broker("POST", path, urllib.parse.urlencode(form), headers, certificate)
            nonce = answer.headers.get("dpop-nonce")
            if not (key and answer.status == 400 and answer.json.get("error") == "use_dpop_nonce"):
                break
        return answer

    def token(self, *argv, **form):
        answer = self.exchange(*argv, **form)
        need(answer.status == 200, f"no token: {answer}")
        return answer.json["access_token"]

    def redeem(self, token, key=None, scheme=None, host="api.openai.com", method="POST", path="/v1/chat/completions",
               uri="https://llm.example.test/openai/v1/chat/completions", model="gpt-4o-mini", **more):
        body = {"token": token, "scheme": scheme or ("dpop" if key else "bearer"), "destination": host, "method": method, "path": path,
                "uri": uri, "source": "127.0.0.1", **more}
        if model:
            body["model"] = model
        if key and "proof" not in more:
            body["proof"] = key.dpop(method, uri, access_token=token)
        return self.redeemer("POST", "/v1/redeem", body)

    def audit(self):
        """Every entry: those in full tiles, then what the journal holds beyond them."""
        for _ in range(20):
            try:
                return self._audit()
            except FileNotFoundError:
                continue  # a journal file that is in tiles now was removed between two looks
        raise Failure("the audit folder does not hold still")

    def _audit(self):
        entries = {}
        for bundle in self._full_bundles():
            while bundle:
                size = int.from_bytes(bundle[:2], "big")
                entry = json.loads(bundle[2:2 + size])
                entries[entry["sequence"]] = entry
                bundle = bundle[2 + size:]
        for name in sorted(os.listdir(self.audit_folder)):
            if name.endswith(".jsonl"):
                with open(f"{self.audit_folder}/{name}", "rb") as journal:
                    lines = journal.read().split(b"\0", 1)[0].split(b"\n")[:-1]  # zeros are room, written ahead
                entries.update((entry["sequence"], entry) for entry in map(json.loads, lines))
        return [entries[sequence] for sequence in sorted(entries)]

    def _full_bundles(self):
        for folder, _, names in sorted(os.walk(f"{self.audit_folder}/tile/entries")):
            for name in sorted(names):
                if not folder.endswith(".p"):
                    with open(f"{folder}/{name}", "rb") as file:
                        yield file.read()


def lab_with_listener(section, port, **more):
    """One whose admin role or redeemer listens on the network, too."""
    lab = Lab(config={section: {"listen": f"127.0.0.1:{port}", **more}})
    lab.extra[section]["tls_certificate"], lab.extra[section]["tls_key"] = lab.make_certificate(section, "localhost")
    lab.write_config()
    return lab


def stands_for(entries):
    """How many decisions these entries of the audit log are about."""
    return sum(entry.get("repeats", 1) for entry in entries)


def is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def run_cases(*cases):
    """Runs functions; prints a line each and the closing line; exits."""
    passed = failed = 0
    only = sys.argv[1:]
    for case in cases:
        if only and case.__name__ not in only:
            continue
        try:
            case()
            passed += 1
            print(f"ok   {case.__name__}", flush=True)
        except Exception as error:  # a broken case must not hide the others
            failed += 1
            print(f"FAIL {case.__name__}: {type(error).__name__}: {error}", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not passed else 0)
