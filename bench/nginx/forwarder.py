# SPDX-License-Identifier: Apache-2.0
"""nginx with the module in front of a vault, and a provider over TLS behind it, for
the loads of bench/run and bench/nginx/vault. Needs tests/scenario/lib in sys.path."""
import json
import os
import re
import signal
import subprocess
import tempfile
import time

from front import NGINX
from lab import free_port, wait_until

ORIGIN = "https://llm.example.test"
BODY = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x" * 1024}]})
FRONT = """
load_module {prefix}/lib/nginx/modules/ngx_http_vault_module.so;
daemon off; worker_processes 1; pid {folder}/front.pid; error_log {folder}/front.log warn; {user}
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; client_body_buffer_size 64k;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 1000000;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream off; proxy_buffering off;
  proxy_ssl_verify on; proxy_ssl_server_name on; proxy_ssl_trusted_certificate {ca}; proxy_ssl_name api.openai.com;
  vault_profiles {prefix}/share/vaultd/profiles; vault_zone 4m; vault_watch unix:{redeem}; vault_socket unix:{redeem};
  vault_origin {origin};
  upstream bare {{ server 127.0.0.1:{back}; keepalive 64; keepalive_requests 1000000; }}
  upstream vault {{ server 127.0.0.1:{back}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location /bare/ {{ proxy_set_header Host api.openai.com; proxy_set_header Connection ""; proxy_pass https://bare/; }}
    location /cached/ {{ vault_redeem on; vault_cache max=300s; vault_profile openai;
      vault_destination https://api.openai.com; proxy_pass https://vault/; }}
    location /asked/ {{ vault_redeem on; vault_profile openai; vault_destination https://api.openai.com; proxy_pass https://vault/; }}
  }}
}}
"""
BACK = """
daemon off; worker_processes 1; pid {folder}/back.pid; error_log {folder}/back.log warn;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {folder}/b2; proxy_temp_path {folder}/p2; fastcgi_temp_path {folder}/f2;
  uwsgi_temp_path {folder}/u2; scgi_temp_path {folder}/s2; keepalive_requests 1000000;
  server {{ listen 127.0.0.1:{back} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
    location / {{ default_type application/json; return 200 '{{"choices":[]}}'; }} }} }}
"""
# Ends by itself when the proofs are used up.
SCRIPT = """
local at, heads, once = 0, {%(heads)s}, %(once)s
local headers = {["content-type"] = "application/json"}
wrk.method, wrk.body = "POST", %(body)s
function request()
  at = at + 1
  if once and at >= #heads then wrk.thread:stop() end
  local head = heads[(at - 1) %% #heads + 1]
  headers["authorization"], headers["dpop"] = head[1], head[2]
  return wrk.format(nil, nil, headers)
end
"""




class Forwarder:
    """Locations: bare (proxy_pass without the module), cached, asked (the vault, each time)."""

    def __init__(self, lab, prefix):
        self.lab, self.prefix, self.port, self.programs = lab, prefix, free_port(), []

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="vault-bench-")
        certificate, key = self.lab.make_certificate("provider", "api.openai.com")
        values = {"prefix": self.prefix, "folder": self.folder.name, "port": self.port, "back": free_port(), "ca": self.lab.ca,
                  "redeem": self.lab.redeem_socket, "certificate": certificate, "key": key, "origin": ORIGIN,
                  "user": "user root;" if os.getuid() == 0 else ""}
        for name, text in (("back", BACK), ("front", FRONT)):
            path = f"{self.folder.name}/{name}"
            with open(path, "w") as out:
                out.write(text.format(**values))
            self.programs.append(subprocess.Popen([NGINX, "-c", path, "-e", path + ".err"]))
        wait_until("nginx", lambda: all(os.path.exists(f"{self.folder.name}/{name}.pid") for name in ("front", "back")))
        time.sleep(1)
        return self

    def __exit__(self, *_):
        for program in self.programs:
            program.send_signal(signal.SIGTERM)
            program.wait(10)
        self.folder.cleanup()

    def worker(self):
        """Process of the worker in front."""
        with open(f"{self.folder.name}/front.pid") as at:
            master = at.read().strip()
        with open(f"/proc/{master}/task/{master}/children") as at:
            return at.read().split()[0]

    def load(self, location, heads, connections, seconds, once=False):
        """Sends requests with these values of Authorization and DPoP, one after the other; with `once` until there
        are no more. Returns answers, requests/s and p99 in microseconds."""
        path = f"{self.folder.name}/wrk.lua"
        with open(path, "w") as out:
            out.write(SCRIPT % {"heads": ",".join("{" + ",".join(json.dumps(h) for h in head) + "}" for head in heads),
                                "once": "true" if once else "false", "body": json.dumps(BODY)})
        done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{int(seconds)}s", "--latency", "-s", path,
                               f"http://127.0.0.1:{self.port}/{location}/v1/chat/completions"],
                              capture_output=True, text=True, check=True).stdout
        count = int(re.search(r"(\d+) requests in", done).group(1))
        if "Non-2xx" in done or not count:
            raise SystemExit(f"{location}: refused requests\n{done}")
        value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", done).groups()
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done).group(1))
        return count, rate, float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]
