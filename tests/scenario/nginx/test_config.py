# SPDX-License-Identifier: Apache-2.0
"""`nginx -t` with configurations that could leak a credential."""
import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import jsonschema

from fixture import HEAD, MODULE, NGINX, PROFILES, certificate_new, nginx_environment

GOOD = {"upstream": "server 127.0.0.1:1; keepalive 4;", "redeem": "vault_redeem on;",
        "destination": "vault_destination https://api.openai.com;", "profile": "vault_profile openai;",
        "name": "proxy_ssl_name api.openai.com;", "pass": "proxy_pass https://openai/;", "more": "", "http": "",
        "server": "", "events": ""}
LAYOUT = """%(http)s
  upstream openai {{ %(upstream)s }}
  server {{ listen 127.0.0.1:1; %(server)s
    location /openai/ {{ %(redeem)s %(destination)s %(profile)s %(name)s %(pass)s %(more)s }}
  }}
}}
%(events)s
"""


class Config(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="vault-nginx-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.certificate = certificate_new(cls.folder, "provider", ["api.openai.com"])

    def check(self, head=HEAD, **changes):
        text = (head + LAYOUT % {**GOOD, **changes}).format(
            module=MODULE, folder=self.folder, profiles=PROFILES, certificate=self.certificate, workers=1, user="", logged="")
        path = self.folder + "/nginx.conf"
        pathlib.Path(path).write_text(text)
        done = subprocess.run([NGINX, "-t", "-c", path, "-e", self.folder + "/error.log"], capture_output=True,
                              text=True, timeout=60, env=nginx_environment())
        self.assertNotIn("Sanitizer", done.stderr)
        return done.returncode == 0, done.stderr

    def accepts(self, **changes):
        good, output = self.check(**changes)
        self.assertTrue(good, output)

    def rejects(self, why, **changes):
        good, output = self.check(**changes)
        self.assertFalse(good, changes)
        self.assertIn(why, output)

    def test_accepts_the_documented_ones(self):
        self.accepts()
        self.accepts(more="vault_cache max=30s; vault_timeout 2s; vault_model path;")
        self.accepts(name="", http="upstream api.openai.com {{ server 127.0.0.1:1; }}",
                     **{"pass": "proxy_pass https://api.openai.com;"})
        self.accepts(more="if ($request_method = TRACE) {{ return 405; }}")
        self.accepts(more="limit_except GET {{ deny all; }}")
        self.accepts(destination="vault_destination http://127.0.0.1:1;", name="", profile="",
                     more="vault_require_verified_tls off;", **{"pass": "proxy_pass http://127.0.0.1:1/;"})
        self.accepts(server="location /two/ {{ vault_redeem on; vault_destination https://api.openai.com; "
                            "proxy_ssl_name api.openai.com; proxy_pass https://openai/; }}")

    def test_meters_only_where_the_profile_says_how(self):
        self.accepts(more="vault_meter on;")
        self.accepts(server="vault_meter on; location /two/ {{ proxy_pass http://127.0.0.1:1/; }}")
        other = {"destination": "vault_destination https://mcp.example;", "name": "proxy_ssl_name mcp.example;"}
        for profile in ("", "vault_profile generic-mcp;"):
            self.rejects('location "/openai/": vault_meter needs a vault_profile that says where "usage" stands',
                         profile=profile, more="vault_meter on;", **other)
            self.rejects("vault_meter off", profile=profile, server="vault_meter on;", **other)
            self.accepts(profile=profile, server="vault_meter on;", more="vault_meter off;", **other)
        self.rejects("vault_meter", more="vault_meter maybe;")

    def test_refuses_the_same_usage_as_the_schema(self):
        profiles = pathlib.Path(self.folder, "profiles")
        profiles.mkdir()
        schema = json.loads(pathlib.Path(__file__).parents[3].joinpath("schemas/profile.schema.json").read_text())
        openai = json.loads(pathlib.Path(PROFILES, "openai.json").read_text())
        good = {"objects": ["usage", "a.b"], "input": ["in"], "output": ["out"]}
        wrong = ({"objects": []}, {"objects": ["a.b.c"]}, {"objects": ["a"] * 5}, {"objects": "usage"}, {"input": []}, {"input": ["a.b"]},
                 {"input": None}, {"output": [""]}, {"output": ["x" * 64]}, {"output": [5]}, {"output_besides": []}, {"besides": ["a"]})
        for changes, is_good in (({}, True), ({"input_besides": ["a", "b"]}, True), *((case, False) for case in wrong)):
            profile = {**openai, "usage": {**good, **changes}}
            profiles.joinpath("openai.json").write_text(json.dumps(profile))
            accepted, output = self.check(head=HEAD.replace("{profiles}", str(profiles)), more="vault_meter on;")
            self.assertEqual(accepted, is_good, (changes, output))
            self.assertEqual(jsonschema.Draft202012Validator(schema).is_valid(profile), is_good, changes)
            self.assertTrue(is_good or str(profiles) + "/openai.json" in output, output)

    def test_rejects_what_keeps_or_repeats_a_request(self):
        self.rejects("proxy_cache", http="proxy_cache_path {folder}/cache keys_zone=c:1m;", more="proxy_cache c;")
        self.rejects("proxy_store", more="proxy_store on;")
        self.rejects("client_body_in_file_only", more="client_body_in_file_only on;")
        self.rejects("client_body_in_file_only", server="client_body_in_file_only clean;")
        self.rejects("proxy_next_upstream off", more="proxy_next_upstream error;")
        self.rejects("proxy_next_upstream off", head=HEAD.replace("proxy_next_upstream off;", ""))

    def test_rejects_unverified_tls(self):
        self.rejects("proxy_ssl_verify", more="proxy_ssl_verify off;")
        self.rejects("proxy_ssl_server_name", more="proxy_ssl_server_name off;")
        self.rejects("another name", name="")
        self.rejects("another name", name="proxy_ssl_name evil.example;")
        self.rejects("variable", name="proxy_ssl_name $host;")
        self.rejects("not https", destination="vault_destination http://api.openai.com;",
                     **{"pass": "proxy_pass http://openai/;"})
        self.rejects("differ in http", **{"pass": "proxy_pass http://openai/;"})

    def test_rejects_another_way_upstream(self):
        self.rejects("proxy_pass", **{"pass": ""})
        self.rejects("proxy_pass", **{"pass": "grpc_pass grpcs://openai;"})
        self.rejects("proxy_pass", **{"pass": "fastcgi_pass openai;"})
        self.rejects("variable", **{"pass": "proxy_pass https://$host;"})
        self.rejects("variable", **{"pass": "proxy_pass https://openai$request_uri;"})
        self.rejects("query", **{"pass": "proxy_pass https://openai/?a=b;"})

    def test_rejects_shared_connections(self):
        self.rejects("used for more than one", server="location /two/ {{ proxy_pass https://openai/; }}")
        self.rejects("used for more than one",
                     server="location /two/ {{ proxy_ssl_verify off; proxy_pass https://openai/; }}")
        self.rejects("used for more than one",
                     server="location /two/ {{ vault_redeem on; vault_destination https://api.other.example; "
                            "proxy_ssl_name api.other.example; proxy_pass https://openai/; }}")

    def test_rejects_what_is_missing_or_wrong(self):
        self.rejects("vault_destination is missing", destination="")
        self.rejects("vault_socket is missing", head=HEAD.replace("vault_socket unix:{folder}/vault.sock;", ""))
        self.rejects("needs vault_zone", head=HEAD.replace("vault_zone 1m;", ""), more="vault_cache max=3s;")
        self.rejects("needs vault_zone", head=HEAD.replace("vault_watch unix:{folder}/vault.sock;", ""),
                     more="vault_cache max=3s;")
        self.rejects("on the same socket", more="vault_cache max=3s; vault_socket unix:{folder}/other.sock;")
        self.rejects("no profile", profile="vault_profile nobody;")
        self.rejects("not a host of the profile", profile="vault_profile anthropic;")
        self.rejects("vault_profiles", head=HEAD.replace("vault_profiles {profiles}", "vault_profiles /nonexistent"))
        for bad in ("api.openai.com", "https://api.openai.com/", "https://API.openai.com", "https://a@b",
                    "https://api.openai.com:443", "ftp://x", "https://"):
            self.rejects("vault_destination", destination=f"vault_destination {bad};")
        self.rejects("vault_cache", more="vault_cache max=0;")
        self.rejects("vault_cache", more="vault_cache on;")
        self.rejects("vault_socket", more="vault_socket 127.0.0.1:80;")
        self.rejects("vault_origin", more="vault_origin https://x/;")
        self.rejects("vault_redeem", redeem="", server="vault_redeem on;")
        self.rejects("debug_connection", head=HEAD.replace("worker_connections 512;",
                                                          "worker_connections 512; debug_connection 127.0.0.1;"))

    def test_does_not_touch_other_locations(self):
        self.accepts(redeem="", destination="", profile="", name="", **{"pass": "proxy_pass http://openai/;"},
                     head=HEAD.replace("proxy_next_upstream off;", ""))


if __name__ == "__main__":
    unittest.main()
