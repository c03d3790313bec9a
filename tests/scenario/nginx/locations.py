# SPDX-License-Identifier: Apache-2.0
"""The configuration that most tests share."""


def tls_location(path, upstream, host, extra=""):
    return f"""
    location {path} {{
      vault_redeem on; vault_destination https://{host}; {extra}
      proxy_ssl_name {host}; proxy_pass https://{upstream}/;
    }}"""


UPSTREAMS = "".join(f"  upstream {name} {{{{ server 127.0.0.1:{{tls}}; keepalive 8; }}}}\n"
                    for name in ("openai", "anthropic", "gemini", "azure", "mcp", "query"))

LOCATIONS = "".join([
    tls_location("/openai/", "openai", "api.openai.com", "vault_profile openai;"),
    tls_location("/pathonly/", "openai", "api.openai.com", "vault_profile openai; vault_model path;"),
    tls_location("/cached/", "openai", "api.openai.com", "vault_profile openai; vault_cache max=30s;"),
    tls_location("/short/", "openai", "api.openai.com", "vault_profile openai; vault_cache max=1s;"),
    tls_location("/impatient/", "openai", "api.openai.com", "vault_profile openai; vault_timeout 300ms;"),
    tls_location("/mirrored/", "openai", "api.openai.com", "vault_profile openai; mirror /mirror;"),
    tls_location("/anysat/", "openai", "api.openai.com", "vault_profile openai; satisfy any; allow all;"),
    tls_location("/setbody/", "openai", "api.openai.com", "vault_profile openai; proxy_set_body '{\"model\":\"x\"}';"),
    tls_location("/setmethod/", "openai", "api.openai.com", "vault_profile openai; proxy_method DELETE;"),
    # Without its own Connection the provider would be asked to close, and the next test could get that connection.
    tls_location("/sethost/", "openai", "api.openai.com", "vault_profile openai; proxy_set_header Host $host; "
                 "proxy_set_header Authorization $http_x_mine; proxy_set_header Connection '';"),
    tls_location("/upgrade/", "openai", "api.openai.com", "vault_profile openai; "
                 "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"),
    tls_location("/unbuffered/", "openai", "api.openai.com", "vault_profile openai; proxy_request_buffering off;"),
    tls_location("/anthropic/", "anthropic", "api.anthropic.com", "vault_profile anthropic;"),
    tls_location("/gemini/", "gemini", "generativelanguage.googleapis.com", "vault_profile gemini;"),
    tls_location("/always/", "gemini", "generativelanguage.googleapis.com", "vault_profile gemini; vault_max_tokens on;"),
    tls_location("/azure/", "azure", "mine.openai.azure.com", "vault_profile azure-openai;"),
    tls_location("/mcp/", "mcp", "mcp.example", "vault_profile generic-mcp;"),
    tls_location("/query/", "query", "query.example", "vault_profile generic-query;"),
]).replace("{", "{{").replace("}", "}}") + """
    location /v1/ {{ vault_redeem on; vault_destination https://api.openai.com; vault_profile openai;
      proxy_ssl_name api.openai.com; proxy_pass https://openai; }}
    location ~ ^/rewritten/ {{ vault_redeem on; vault_destination https://api.openai.com; vault_profile openai;
      rewrite ^/rewritten/(.*)$ /v1/$1 break; proxy_ssl_name api.openai.com; proxy_pass https://openai; }}
    location /plain/ {{ vault_redeem on; vault_require_verified_tls off; vault_destination http://127.0.0.1:{plain};
      proxy_pass http://127.0.0.1:{plain}/; }}
    location /other/ {{ access_log off; proxy_pass http://127.0.0.1:{plain}/; }}
    location /sneaky/ {{ access_log off; set $name openai; rewrite ^/sneaky(/.*)$ $1 break; proxy_pass https://$name; }}
    location /tried/ {{ try_files /nonexistent @tried; }}
    location @tried {{ vault_redeem on; vault_destination https://generativelanguage.googleapis.com; vault_profile gemini;
      rewrite ^/tried(/.*)$ $1 break; proxy_ssl_name generativelanguage.googleapis.com; proxy_pass https://gemini; }}
    location /triedother/ {{ access_log off; try_files /nonexistent @triedother; }}
    location @triedother {{ access_log off; proxy_pass http://127.0.0.1:{plain}; }}
    location /closed/ {{ deny all; error_page 403 = @closed; }}
    location @closed {{ vault_redeem on; vault_destination https://generativelanguage.googleapis.com; vault_profile gemini;
      rewrite ^/closed(/.*)$ $1 break; proxy_ssl_name generativelanguage.googleapis.com; proxy_pass https://gemini; }}
    location /falling/ {{ vault_redeem on; vault_destination https://api.openai.com; vault_profile openai;
      proxy_intercept_errors on; error_page 429 = @fallen; proxy_ssl_name api.openai.com; proxy_pass https://openai/; }}
    location @fallen {{ vault_redeem on; vault_destination https://api.anthropic.com; vault_profile anthropic;
      proxy_ssl_name api.anthropic.com; proxy_pass https://anthropic; }}
    location /internal/ {{ internal; return 200 "internal location\\n"; }}
    location = /mirror {{ internal; proxy_pass http://127.0.0.1:{plain}/mirrored; }}
"""

SERVER = UPSTREAMS + """
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{port_h2} http2; server_name llm.example.com;
    client_max_body_size 64m; client_body_buffer_size 64k;
    large_client_header_buffers 4 16k; vault_origin https://llm.example.com;
""" + LOCATIONS + """
  }}
"""
