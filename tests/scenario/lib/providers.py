# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for providers whose keys are rotated: a REST API, OpenAI's admin API
and AWS IAM with STS, over TLS on loopback. `fail` makes a step go wrong."""

import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time
import urllib.parse

HANG_S = 12  # longer than any driver waits
STEPS = ("list", "mint", "verify", "revoke")


class Provider:
    """Keys by id: {"name": …, "value": …}. Every request is kept in `seen`."""

    def __init__(self, certificate, first="first"):
        self.keys, self.seen, self.faults, self.used = {}, [], {}, []
        self.lock, self.next, self.hold = threading.Lock(), 0, 0.0
        self.first = self.add(first)
        handler = type("Handler", (Handler,), {"provider": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.host = f"localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, name):
        with self.lock:
            self.next += 1
            key_id = f"key-{self.next}"
            self.keys[key_id] = {"name": name, "value": f"sk-{self.next}-{hashlib.sha256(str(self.next).encode()).hexdigest()[:16]}"}
            return key_id

    def fail(self, step, *how):
        """The next calls of that step: 500, 403, "garbage", "missing", "hang", "close", "lost" (done, answer lost)."""
        self.faults.setdefault(step, []).extend(how)

    def count(self, step):
        return sum(1 for entry in self.seen if entry == step)

    def by_value(self, value):
        for key_id, key in self.keys.items():
            if key["value"] == value:
                return key_id
        return None

    # ---- What is done, whatever the API looks like ----

    def act(self, step, argument=None):
        """(status, body); the body is what `shape` makes of it."""
        with self.lock:
            self.seen.append(step)
            how = self.faults.get(step, []).pop(0) if self.faults.get(step) else None
        if how in (500, 403):
            return how, "error"
        if how == "hang":
            time.sleep(HANG_S)
            return None, None
        if how == "close":
            return None, None
        if how == "garbage":
            if step == "mint":
                self.add(argument)
            return 200, "garbage"
        result = self.do(step, argument)
        if how == "lost":
            return None, None
        if step == "mint" and self.hold:
            time.sleep(self.hold)
        return (200, "missing") if how == "missing" else result

    def do(self, step, argument):
        if step == "mint":
            return 200, self.add(argument)
        if step == "revoke":
            with self.lock:
                return (200, None) if self.keys.pop(argument, None) else (404, "error")
        return 200, None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider = None

    def log_message(self, *arguments):
        pass

    def send(self, status, body, media="application/json"):
        if status is None:
            self.close_connection = True
            self.connection.close()
            return
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", media)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (OSError, ValueError):
            self.close_connection = True

    def do_GET(self):
        self.route("GET")

    def do_POST(self):
        self.route("POST")

    def do_DELETE(self):
        self.route("DELETE")

    def route(self, method):
        self.sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
            self.aws()
        else:
            self.rest(method)

    # ---- REST, and OpenAI's admin API ----

    def rest(self, method):
        provider, path = self.provider, self.path.split("?")[0]
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        who = provider.by_value(key)
        openai = path.startswith("/v1/organization/projects/proj_1/service_accounts")
        if path in ("/v1/me", "/v1/models"):
            status, body = provider.act("verify")
            if status == 200 and not who:
                status = 401
            self.send(status, {"ok": True})
        elif not who:
            self.send(401, {"error": "no such key"})
        elif method == "GET":
            status, body = provider.act("list")
            self.send(status, b"<html>" if body == "garbage" else {} if body == "missing" else
                      {"data": [{"id": k, "name": v["name"]} for k, v in provider.keys.items()]})
        elif method == "POST":
            status, body = provider.act("mint", json.loads(self.sent)["name"])
            if status == 200 and body not in ("garbage", "missing"):
                value = provider.keys[body]["value"]
                answer = {"id": body, "api_key": {"value": value, "id": "x"}} if openai else {"id": body, "key": value}
            else:
                answer = b"{\"id\":" if body == "garbage" else {"id": "x"}
            self.send(status, answer)
        else:
            status, body = provider.act("revoke", path.rsplit("/", 1)[1])
            self.send(status, {})

    # ---- AWS ----

    def aws(self):
        provider, form = self.provider, dict(urllib.parse.parse_qsl(self.sent.decode()))
        action = form["Action"]
        step = {"ListAccessKeys": "list", "CreateAccessKey": "mint", "GetCallerIdentity": "verify", "DeleteAccessKey": "revoke"}[action]
        service = "sts" if step == "verify" else "iam"
        key_id = self.signed_by(service)
        if not key_id:
            self.send(403, b"<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>", "text/xml")
            return
        status, body = provider.act(step, form.get("AccessKeyId") or form.get("UserName"))
        head = f'<?xml version="1.0"?>\n<{action}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        inside = ""
        if step == "list":
            inside = "<AccessKeyMetadata>" + "".join(
                f"<member><UserName>ci</UserName><AccessKeyId>{k}</AccessKeyId><Status>Active</Status></member>"
                for k in provider.keys) + "</AccessKeyMetadata>"
        elif step == "mint" and status == 200 and body not in ("garbage", "missing"):
            inside = (f"<AccessKey><UserName>ci</UserName><AccessKeyId>{body}</AccessKeyId>"
                      f"<SecretAccessKey>{provider.keys[body]['value']}</SecretAccessKey></AccessKey>")
        text = f"{head}<{action}Result>{inside}</{action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>"
        self.send(status, b"<broken" if body == "garbage" else text.encode(), "text/xml")

    def signed_by(self, service):
        """The id of the key that made this signature, computed anew from what arrived; None: it does not fit."""
        parts = dict(part.strip().split("=", 1) for part in self.headers["authorization"].split(" ", 1)[1].split(","))
        key_id, day, region, named, ending = parts["Credential"].split("/")
        key = self.provider.keys.get(key_id)
        if not key or named != service or ending != "aws4_request":
            return None
        signed = parts["SignedHeaders"].split(";")
        canonical = "\n".join(["POST", "/", "", *(f"{name}:{self.headers[name].strip()}" for name in signed), "", ";".join(signed),
                               hashlib.sha256(self.sent).hexdigest()])
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers["x-amz-date"], f"{day}/{region}/{service}/aws4_request",
                          hashlib.sha256(canonical.encode()).hexdigest()])
        secret = ("AWS4" + key["value"]).encode()
        for step in (day, region, service, "aws4_request"):
            secret = hmac.new(secret, step.encode(), hashlib.sha256).digest()
        signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        return key_id if hmac.compare_digest(signature, parts["Signature"]) else None
