# SPDX-License-Identifier: Apache-2.0
"""What is in front of a vault and behind it: a real nginx with the module, and a
provider over TLS that knows which keys are good and streams when asked to."""

import http.client
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import time

from lab import HANGS_S, need, wait_until
from pace import clock
from ports import free_port

NGINX = os.environ.get("VAULT_NGINX", "/usr/sbin/nginx")
EVENTS, EVENT_EACH_S = 10, 0.08  # of a stream
CONFIG = """
load_module {module};
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log warn;
{user}
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream off;
  proxy_ssl_verify on; proxy_ssl_server_name on; proxy_ssl_trusted_certificate {ca};
  vault_profiles {profiles}; vault_zone 1m; vault_watch unix:{redeem}; vault_socket unix:{redeem}; vault_timeout 60s;
  upstream api.openai.com {{ server 127.0.0.1:{provider}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ vault_redeem on; vault_cache max=30s; vault_profile openai; vault_cover_echoes on;
      vault_destination https://api.openai.com; proxy_pass https://api.openai.com; }}
    location /v1/realtime {{ vault_redeem on; vault_profile openai; vault_destination https://api.openai.com;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_pass https://api.openai.com; }}
  }}
}}
"""


class Provider:
    """Answers 200 to the keys in `good`, 401 to others; notes when it saw which, and the names of what is `open`."""

    def __init__(self, certificate, key):
        self.good, self.seen, self.open, self.lock = set(), [], [], threading.Lock()
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                value = self.headers.get("authorization", "").removeprefix("Bearer ")
                with provider.lock:
                    provider.seen.append((clock(), value))
                if value not in provider.good:
                    self._answer(401, b'{"error":"a key that is not good"}')
                elif body.get("stream") == "endless":
                    self._endless(body["user"])
                elif body.get("stream"):
                    self._stream()
                elif body.get("user") == "mirror":
                    self._answer(200, json.dumps(dict(self.headers.items())).encode())
                else:
                    self._answer(200, b'{"choices":[]}')

            def do_GET(self):
                """A websocket, as far as a proxy sees one: what comes goes back."""
                name = self.path.rsplit("/", 1)[1]
                self.send_response(101)
                self.send_header("upgrade", "websocket")
                self.send_header("connection", "upgrade")
                self.end_headers()
                self.close_connection = True
                provider.open.append(name)
                try:
                    while piece := self.connection.recv(100):
                        self.connection.sendall(piece)
                finally:
                    provider.open.remove(name)

            def _endless(self, name):
                """Until the other side does not take it any more."""
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                self.close_connection = True
                provider.open.append(name)
                try:
                    while True:
                        self.wfile.write(b"b\r\ndata: tick\n\r\n")
                        time.sleep(0.03)
                finally:
                    provider.open.remove(name)

            def _answer(self, status, text):
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def _stream(self):
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for number in range(EVENTS):
                    event = f"data: {number}\n\n".encode()
                    self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                    self.wfile.flush()
                    time.sleep(EVENT_EACH_S)
                self.wfile.write(b"0\r\n\r\n")

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def seen_since(self, moment):
        """From so long by the clock of pace on."""
        with self.lock:
            return [value for at, value in self.seen if at >= moment]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Front:
    def __init__(self, lab):
        self.lab, self.port, self.nginx = lab, free_port(), None
        certificate, key = lab.make_certificate("provider", "api.openai.com")
        self.provider = Provider(certificate, key)

    def __enter__(self):
        folder = f"{self.lab.folder}/front"
        os.mkdir(folder)
        with open(f"{folder}/nginx.conf", "w") as out:
            out.write(CONFIG.format(
                module=f"{self.lab.prefix}/lib/nginx/modules/ngx_http_vault_module.so", folder=folder, ca=self.lab.ca,
                profiles=f"{self.lab.prefix}/share/vaultd/profiles", redeem=self.lab.redeem_socket, provider=self.provider.port,
                port=self.port, user="user root;" if os.getuid() == 0 else ""))
        self.nginx = subprocess.Popen([NGINX, "-c", f"{folder}/nginx.conf", "-e", f"{folder}/nginx.log"], stderr=subprocess.DEVNULL)
        wait_until("nginx", self._listens)
        return self

    def __exit__(self, kind, value, trace):
        if self.nginx:
            self.nginx.terminate()
            self.nginx.wait(HANGS_S)
        self.provider.stop()

    def _listens(self):
        need(self.nginx.poll() is None, "nginx does not start")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def call(self, connection, token, stream=False, **members):
        """Status and body of one call, on a kept connection of http.client."""
        body = json.dumps({"model": "gpt-4o-mini", "messages": [], "stream": stream, **members})
        connection.request("POST", "/v1/chat/completions", body,
                           {"content-type": "application/json", "authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANGS_S)
