# SPDX-License-Identifier: Apache-2.0
"""A real nginx with the module, between the two stand-ins, in a folder of its own."""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from pace import clock  # noqa: E402
from ports import free_port  # noqa: E402
from standins import SECRET, Redeemer, Upstream, grant, token

MODULE = os.environ["VAULT_NGINX_MODULE"]
NGINX = os.environ.get("VAULT_NGINX", "/usr/sbin/nginx")
HANGS_S = 60  # what has not happened after so long never will
KILLED_AFTER_S = 1.5  # are workers that do not end when nginx has to
PROFILES = os.environ["VAULT_PROFILES"]
HOSTS = ["api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com", "mine.openai.azure.com",
         "mcp.example", "query.example"]


def nginx_environment():
    environment = dict(os.environ)
    if os.environ.get("VAULT_NGINX_PRELOAD"):  # the sanitizer's library comes before nginx
        environment["LD_PRELOAD"] = os.environ["VAULT_NGINX_PRELOAD"]
        environment["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=0:halt_on_error=1"
    return environment


def body_until_closed(s):
    """Of the answer that comes over this socket, however long it takes."""
    received = bytearray()
    while piece := s.recv(1 << 20):
        received += piece
    return bytes(received).split(b"\r\n\r\n", 1)[1]


def certificate_new(folder, name, hosts):
    """A self-signed certificate that is also its own authority."""
    path = os.path.join(folder, name + ".pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", path + ".key", "-out", path + ".crt", "-days", "2", "-subj", "/CN=" + name,
                    "-addext", "subjectAltName=" + ",".join("DNS:" + host for host in hosts)],
                   check=True, capture_output=True)
    key, certificate = (pathlib.Path(path + end).read_text() for end in (".key", ".crt"))
    pathlib.Path(path).write_text(key + certificate)
    return path


HEAD = """
load_module {module};
daemon off; worker_processes {workers}; pid {folder}/nginx.pid; error_log {folder}/error.log debug;
{user}
events {{ worker_connections 512; }}
http {{
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  log_format all '$request $status {logged} [$vault_decision $vault_code '
                 '$vault_credential $vault_model $vault_tool $vault_txn]';
  access_log {folder}/access.log all;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream off;
  proxy_ssl_verify on; proxy_ssl_server_name on; proxy_ssl_trusted_certificate {certificate}.crt;
  vault_profiles {profiles}; vault_zone 1m; vault_watch unix:{folder}/vault.sock; vault_socket unix:{folder}/vault.sock;
  vault_timeout 60s;
"""


class Case(unittest.TestCase):
    """Starts everything once for a class; `server` is the inside of http{}."""
    server, workers, logged = "", 1, "$http_authorization $http_x_api_key $http_dpop $arg_key"

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="vault-nginx-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.certificate = certificate_new(cls.folder, "provider", HOSTS)
        cls.redeemer = Redeemer(os.path.join(cls.folder, "vault.sock"))
        cls.provider = Upstream(cls.certificate)
        cls.addClassCleanup(cls.provider.stop)
        cls.plain = Upstream()
        cls.addClassCleanup(cls.plain.stop)
        cls.port, cls.port_h2 = free_port(), free_port()
        cls.nginx = cls.nginx_start()
        cls.wait(lambda: cls.redeemer.watches > 0, "the watch")

    @classmethod
    def fill(cls, text):
        values = {"module": MODULE, "folder": cls.folder, "profiles": PROFILES, "certificate": cls.certificate,
                  "tls": cls.provider.port, "plain": cls.plain.port, "port": cls.port, "port_h2": cls.port_h2,
                  "workers": cls.workers, "logged": cls.logged, "user": "user root;" if os.getuid() == 0 else ""}
        return text.format(**values)

    @classmethod
    def nginx_start(cls):
        path = os.path.join(cls.folder, "nginx.conf")
        pathlib.Path(path).write_text(cls.fill(HEAD + cls.server + "}}\n"))
        with open(os.path.join(cls.folder, "output"), "w") as output:
            nginx = subprocess.Popen([NGINX, "-c", path, "-e", os.path.join(cls.folder, "error.log")],
                                     stdout=output, stderr=subprocess.STDOUT, env=nginx_environment())
        end = clock() + HANGS_S
        while clock() < end and nginx.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", cls.port), HANGS_S).close()
                return nginx
            except OSError:
                time.sleep(0.05)
        nginx.kill()
        raise AssertionError("nginx does not start: " + cls.read("output") + cls.read("error.log")[-2000:])

    @classmethod
    def read(cls, name):
        return pathlib.Path(cls.folder, name).read_text(errors="replace")

    @classmethod
    def tearDownClass(cls):
        begin = clock()
        cls.nginx.send_signal(signal.SIGTERM)
        try:
            cls.nginx.wait(HANGS_S)
        except subprocess.TimeoutExpired:
            cls.nginx.kill()
            raise AssertionError("nginx does not end")
        if cls.redeemer.server:
            cls.redeemer.stop()
        cls.check_logs(clock() - begin)

    @classmethod
    def check_logs(cls, end_took_s):
        """Trap 14: whatever a class did, no log holds a credential, a token or a crash."""
        for name in ("error.log", "access.log", "output"):
            text = cls.read(name)
            if end_took_s < KILLED_AFTER_S:  # workers that nginx killed were held up by the machine
                text = re.sub(r".*worker process \d+ exited on signal 9\n", "", text)
            for secret in (SECRET, "MARKER", token()[:40]):
                if secret in text:
                    raise AssertionError(f"{name} holds {secret!r}: {text[max(0, text.index(secret) - 200):][:300]}")
            for trouble in ("AddressSanitizer", "runtime error", "exited on signal", "[alert]", "[emerg]"):
                if trouble in text:
                    raise AssertionError(f"{name}: {text[max(0, text.index(trouble) - 500):][:3000]}")

    @staticmethod
    def wait(condition, what, seconds=HANGS_S):
        end = clock() + seconds
        while not condition():
            if clock() > end:
                raise AssertionError("timed out waiting for " + what)
            time.sleep(0.01)

    def setUp(self):
        self.redeemer.asks.clear()
        self.provider.seen.clear()
        self.plain.seen.clear()
        self.provider.release.clear()
        self.redeemer.answer = lambda ask: grant()

    def send(self, path, method="POST", body=None, headers=None, authorize=True, encode_chunked=False,
             source="127.0.0.1"):
        """(status, headers, body) of one request; JSON bodies may be given as objects."""
        sent = {"authorization": "Bearer " + token()} if authorize else {}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if body is not None:
            sent["content-type"] = "application/json"
        sent.update(headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANGS_S, source_address=(source, 0))
        try:
            connection.request(method, path, body, sent, encode_chunked=encode_chunked)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def raw(self, text):
        """Sends bytes as they are and returns everything that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), HANGS_S) as s:
            s.sendall(text.encode("latin-1"))
            answer = b""
            while piece := s.recv(65536):
                answer += piece
            return answer

    def refused(self, result, status, code):
        self.assertEqual(result[0], status, result)
        self.assertEqual(json.loads(result[2])["error"]["code"], code)
        self.assertEqual(self.provider.seen, [])

    def header(self, name):
        """Values of a header in the last request that the provider saw."""
        return [v for k, v in self.provider.last()["headers"] if k.lower() == name]


class Scripted(Case):
    """A provider that answers what the test wrote, and what the access log then says: `logged` is NAME=$variable."""
    asked = 0

    def script(self, *pieces, content_type="application/json", status=200, **headers):
        self.provider.script = {"status": status, "pieces": pieces,
                                "headers": {"content-type": content_type, **{k.replace("_", "-"): v for k, v in headers.items()}}}

    def path(self, location, route="scripted"):
        Scripted.asked += 1
        return f"/{location}/v1/{route}?id={Scripted.asked}."

    def logged_for(self, path):
        """What the access log's line for the request says."""
        found = lambda: [line for line in self.read("access.log").splitlines() if path + " " in line]
        self.wait(found, "the access log")
        return found()[0].split(self.logged.split("=")[0] + "=")[1].split(" ")[0]

    def slowly(self, location, answer):
        """Path and received body of a client that reads only when the provider has said all: nginx has it in a file."""
        over = threading.Event()

        def pieces():
            yield from (answer[i:i + 100_000] for i in range(0, len(answer), 100_000))
            over.set()
        self.script()
        self.provider.script["pieces"] = pieces()
        path = self.path(location)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.settimeout(HANGS_S)
            s.connect(("127.0.0.1", self.port))
            s.sendall(f"GET {path} HTTP/1.0\r\nhost: a\r\nauthorization: Bearer {token()}\r\n\r\n".encode())
            self.assertTrue(over.wait(HANGS_S))
            self.assertIn("buffered to a temporary file", self.read("error.log"))
            return path, body_until_closed(s)
