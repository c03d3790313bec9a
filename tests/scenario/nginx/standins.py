# SPDX-License-Identifier: Apache-2.0
"""A redeemer and a provider to test the nginx module against.

Both do exactly what a test told them, and remember what they were sent."""
import base64
import hashlib
import http.server
import json
import os
import socket
import socketserver
import ssl
import threading

HELD_S = 60  # at most: a test that has not let go by then has failed
SECRET = "sk-MARKER-never-seen-by-a-client-0123456789"


def token(name="alice", max_tokens=None):
    """A text of the shape of our tokens; the stand-in knows them by name."""
    claims = {"sub": name}
    if max_tokens:
        claims["authorization_details"] = [{"credential": "c", "max_tokens": max_tokens}]
    part = lambda text: base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    return ".".join([part('{"typ":"at+jwt","alg":"ES256"}'), part(json.dumps(claims, separators=(",", ":"))), part("s" * 64)])


def grant(upstream="https://api.openai.com", **changes):
    answer = {
        "inject": [{"in": "header", "name": "authorization", "value": "Bearer " + SECRET,
                    "secret_from": len("Bearer "), "secret_to": len("Bearer " + SECRET)}],
        "remove": ["authorization", "x-api-key"], "upstream": upstream, "credential": "openai-prod",
        "cache_s": 30, "epoch": 1, "txn": "txn-1", "model_required": False}
    answer.update(changes)
    return 200, answer


class SmallChunks(bytes):
    """A piece of a script that is sent as chunks of a byte (or a few), in one write."""

    def __new__(cls, text, size=1):
        parts = (text[i:i + size] for i in range(0, len(text), size))
        return super().__new__(cls, b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts))


def deny(status, code, kind="permission_error", message="no", **headers):
    return status, {"error": {"type": kind, "code": code, "message": message}, "status": status,
                    "headers": {name.replace("_", "-"): value for name, value in headers.items()}}


class Redeemer:
    """POST /v1/redeem, POST /v1/standing and GET /v1/watch on a unix socket."""

    def __init__(self, path):
        self.path, self.asks, self.epoch = path, [], 1
        self.answer = lambda ask: grant()
        self.standing, self.questions, self.ended = 7, [], {}  # why a grant has ended, by its text
        self.says = self.standing_answer
        self.changed, self.watches, self.heartbeat_s = threading.Condition(), 0, 1.0
        self.connections, self.server = set(), None
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                outer.connections.add(self.connection)

            def finish(self):
                outer.connections.discard(self.connection)
                super().finish()

            def address_string(self):
                return "unix"

            def log_message(self, *args):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                assert self.headers["content-type"] == "application/json"
                heard, decide = {"/v1/redeem": (outer.asks, outer.answer),
                                 "/v1/standing": (outer.questions, outer.says)}[self.path]
                heard.append(body)
                answer = decide(body)
                if answer is None:
                    self.close_connection = True
                    return
                text = answer[1] if isinstance(answer[1], bytes) else json.dumps(answer[1]).encode()
                self.send_response(answer[0])
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self):
                self.send_response(200)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                with outer.changed:
                    outer.watches += 1
                    while outer.server:
                        line = b"epoch %d\nstanding %d\n" % (outer.epoch, outer.standing)
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                        outer.changed.wait(outer.heartbeat_s)

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads, block_on_close, request_queue_size = True, False, 64

            def handle_error(self, *args):
                pass

        self.server = Server(self.path, Handler)
        os.chmod(self.path, 0o666)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        server, self.server = self.server, None
        with self.changed:
            self.changed.notify_all()
        server.shutdown()
        server.server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def push(self):
        """What a revocation does."""
        with self.changed:
            self.epoch += 1
            self.changed.notify_all()


    def standing_answer(self, question):
        asked = [item["grant"] for item in question["grants"]]
        return 200, {"standing": self.standing, "ended": [{"index": i, "reason": self.ended[text]}
                                                          for i, text in enumerate(asked) if text in self.ended]}

    def take_back(self, *grants, why="the token is revoked"):
        """A revocation that ends these grants, as the watch tells it."""
        with self.changed:
            self.ended.update(dict.fromkeys(grants, why))
            self.epoch += 1
            self.standing += 1
            self.changed.notify_all()


class Upstream:
    """A provider. `seen` has one entry for each request, `open` those that go on."""

    def __init__(self, certificate=None):
        self.seen, self.open, self.release, self.script = [], [], threading.Event(), {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def chunks(self):
                while size := int(self.rfile.readline(), 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()

            def handle_any(self):
                digest, size = hashlib.sha256(), 0
                left = int(self.headers.get("content-length", 0))
                pieces = self.chunks() if "chunked" in self.headers.get("transfer-encoding", "") else iter(
                    lambda: self.rfile.read(min(1 << 16, left - size)), b"")
                for piece in pieces:
                    digest.update(piece)
                    size += len(piece)
                outer.seen.append({"method": self.command, "path": self.path, "headers": self.headers.items(),
                                   "size": size, "sha256": digest.hexdigest()})
                name = self.path.split("?")[0].rsplit("/", 1)[-1]
                getattr(self, "route_" + name, self.route_default)()

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = handle_any

            def reply(self, status, text, **headers):
                self.send_response(status)
                for header, value in headers.items():
                    self.send_header(header.replace("_", "-"), value)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def route_default(self):
                self.reply(200, b'{"ok":true}', content_type="application/json")

            def route_mirror(self):
                """Repeats what it was sent, in the body and in a header."""
                self.reply(200, json.dumps(self.headers.items()).encode(), content_type="application/json",
                           x_repeated=self.headers.get("authorization", "none"), accept_ranges="bytes")

            def route_redirect(self):
                self.reply(307, b"", location="https://evil.example/")

            def route_limited(self):
                self.reply(429, b'{"error":"slow down"}', retry_after="7", content_type="application/json")

            def route_hangup(self):
                self.close_connection = True

            def route_accel(self):
                self.reply(200, b"from upstream", x_accel_redirect="/internal/")

            def route_scripted(self):
                """What the test wrote: headers, and pieces; None waits for `release`."""
                self.send_response(outer.script["status"])
                for header, value in outer.script["headers"].items():
                    self.send_header(header, value)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                if self.command == "HEAD":
                    return
                for piece in outer.script["pieces"]:
                    if piece is None:
                        outer.release.wait(HELD_S)
                    elif isinstance(piece, SmallChunks):
                        self.wfile.write(piece)
                    else:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                        self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

            def route_raw(self):
                """These bytes, whatever they are, and an end."""
                self.close_connection = True
                for piece in outer.script["raw"]:
                    self.wfile.write(piece)

            def route_stream(self):
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for event in (b"data: one\n\n", b"data: two\n\n"):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                    self.wfile.flush()
                    outer.release.wait(HELD_S)
                self.wfile.write(b"0\r\n\r\n")

            def begin(self, name, status, **headers):
                self.send_response(status)
                for header, value in headers.items():
                    self.send_header(header.replace("_", "-"), value)
                self.end_headers()
                self.close_connection = True
                outer.open.append(name)

            def route_ticks(self):
                """Goes on until the other side does not take it any more."""
                name = self.path.split("?")[0]
                self.begin(name, 200, content_type="text/event-stream", transfer_encoding="chunked")
                try:
                    while not outer.release.wait(0.03):
                        self.wfile.write(b"b\r\ndata: tick\n\r\n")
                finally:
                    outer.open.remove(name)

            def route_silence(self):
                """Headers, and then nothing until the other side goes."""
                name = self.path.split("?")[0]
                self.begin(name, 200, content_type="text/event-stream", transfer_encoding="chunked")
                try:
                    self.rfile.read(1)
                finally:
                    outer.open.remove(name)

            def route_thinking(self):
                """Does not even begin to answer."""
                name = self.path.split("?")[0]
                outer.open.append(name)
                self.close_connection = True
                try:
                    self.rfile.read(1)
                finally:
                    outer.open.remove(name)

            def route_echo(self):
                name = self.path.split("?")[0]
                self.begin(name, 101, upgrade="websocket", connection="upgrade")
                try:
                    while piece := self.rfile.read(4):
                        self.wfile.write(piece[::-1])
                finally:
                    outer.open.remove(name)

            def route_socket(self):
                self.send_response(101)
                self.send_header("upgrade", "websocket")
                self.send_header("connection", "upgrade")
                self.end_headers()
                self.wfile.write(self.rfile.read(4)[::-1])
                self.close_connection = True

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 64

            def handle_error(self, *args):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    def last(self):
        return self.seen[-1]
