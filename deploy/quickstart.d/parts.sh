# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The parts that the quick start starts: certificates, device, identity provider,
# the providers' stand-in, the vault, nginx. Used by deploy/quickstart only; the
# current folder is $work.

# certificate NAME HOST…: a key and a certificate of the quick start's own CA.
certificate() {
  local name=$1 host names=
  shift
  for host in "$@"; do names+=",DNS:$host"; done
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
    -keyout "$name.key" -out "$name.csr" 2>/dev/null
  openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
    -extfile <(echo "subjectAltName=${names#,}") -out "$name.pem" 2>/dev/null
}

make_certificates() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
    -subj "/CN=quick start CA" -keyout ca.key -out ca.pem 2>/dev/null
  certificate localhost localhost
  certificate provider api.openai.com api.anthropic.com
}

# As whom the keeper runs: the device belongs to that user.
keeper_owns() {
  if [ "$(id -u)" = 0 ]; then chown -R vault-keeper:vaultd "$@"; fi
}

make_swtpm() {
  mkdir device
  background device.log swtpm socket --tpm2 --tpmstate dir="$work/device" \
    --server type=unixio,path="$work/device/tpm.sock" --ctrl type=unixio,path="$work/device/ctrl.sock" \
    --flags not-need-init,startup-clear
  await "the TPM" device.log test -S device/tpm.sock
  keeper_owns device
  device_settings="kind: tpm
  tcti: swtpm:path=$work/device/tpm.sock"
}

make_softhsm() {
  mkdir -p device/tokens
  cat >device/softhsm2.conf <<CONF
directories.tokendir = $work/device/tokens
objectstore.backend = file
log.level = ERROR
CONF
  openssl rand -hex 8 >device/pin
  chmod 600 device/pin
  SOFTHSM2_CONF=$work/device/softhsm2.conf softhsm2-util --init-token --free --label vaultd \
    --so-pin "$(openssl rand -hex 8)" --pin "$(cat device/pin)" >device.log 2>&1 ||
    fail "SoftHSM makes no device" device.log
  keeper_owns device
  device_settings="kind: pkcs11
  uri: pkcs11:token=vaultd
  module: /usr/lib/softhsm/libsofthsm2.so
  pin_file: $work/device/pin
  environment: [\"SOFTHSM2_CONF=$work/device/softhsm2.conf\"]"
}

# node_program LOG FILE ARGUMENT…: in the folder that has node_modules.
node_program() {
  local log=$1 file=$2
  shift 2
  background "$log" node "$here/$file" "$@"
}

start_identity_provider() {
  mkdir -m 700 identity
  node_program identity.log identity-provider.mjs localhost.pem localhost.key identity
  await "the identity provider" identity.log test -f identity/people.url -a -f identity/builds.url
  people=$(cat identity/people.url)
  builds=$(cat identity/builds.url)
}

# new_key PROVIDER: a key as that provider would make one; ends its older ones.
new_key() {
  local prefix
  case $1 in
  openai) prefix=sk-proj- ;;
  anthropic) prefix=sk-ant-api03- ;;
  esac
  touch provider.keys
  printf '%s%s' "$prefix" "$(openssl rand -hex 24)" >"$1.key.txt"
  sed -i "/^api\.$1\.com /d" provider.keys
  printf 'api.%s.com %s\n' "$1" "$(cat "$1.key.txt")" >>provider.keys
  printf '%s\n' "$(cat "$1.key.txt")" >>planted # searched for at the end
}

start_provider() {
  node_program provider.log provider.mjs provider.pem provider.key provider.keys .
  await "the provider's stand-in" provider.log test -f provider.port
}

users_settings() {
  [ "$(id -u)" = 0 ] || return 0
  cat <<CONF
users:
  group: vaultd
  broker: vault-broker
  admin: vault-admin
  redeemer: vault-redeemer
  keeper: vault-keeper
  auditor: vault-auditor
  shipper: vault-shipper
  rotator: vault-rotator
CONF
}

# A port that nobody uses now, and none of those that the kernel gives to clients: one of them
# could have it before the server is up. A program that finds it taken says so and ends.
free_port() {
  node -e '
    const first = parseInt(require("fs").readFileSync("/proc/sys/net/ipv4/ip_local_port_range"));
    const from = first >> 1;
    (function attempt() {
      const port = require("crypto").randomInt(from, first);
      const server = require("net").createServer().on("error", attempt);
      server.listen(port, "127.0.0.1", () => { console.log(port); server.close(); });
    })();'
}

write_vault_settings() {
  cat >vaultd.conf <<CONF
# The quick start's vault. Every key is explained in deploy/vaultd.conf.
issuer: $VAULTCTL_BROKER
store: $work/store
profiles: $prefix/share/vaultd/profiles
$(users_settings)
device:
  $device_settings
broker:
  listen: 127.0.0.1:${VAULTCTL_BROKER##*:}
  tls_certificate: $work/localhost.pem
  tls_key: $work/localhost.key
  issuer_ca: $work/ca.pem
admin:
  socket: $work/run/admin.sock
redeemer:
  socket: $work/run/redeem.sock
audit:
  directory: $work/audit
CONF
}

start_vault() {
  write_vault_settings
  background vault.log "$prefix/sbin/vaultd" --config vaultd.conf
  await "the vault" vault.log grep -q "every role is ready" vault.log
}

write_nginx_settings() {
  local user=
  [ "$(id -u)" = 0 ] && user="user $forwarder_user;"
  cat >nginx.conf <<CONF
load_module $prefix/lib/nginx/modules/ngx_http_vault_module.so;
$user
daemon off;
worker_processes 1;
pid $work/nginx.pid;
events {}
http {
  client_body_temp_path $work/nginx/body;
  proxy_temp_path $work/nginx/proxy;
  fastcgi_temp_path $work/nginx/fastcgi;
  uwsgi_temp_path $work/nginx/uwsgi;
  scgi_temp_path $work/nginx/scgi;
  log_format vault '\$request \$status \$vault_decision \$vault_credential \$vault_model \$vault_code';
  access_log $work/nginx-access.log vault;

  vault_profiles $prefix/share/vaultd/profiles;
  vault_zone 4m;
  vault_watch unix:$work/run/redeem.sock;
  vault_socket unix:$work/run/redeem.sock;

  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_next_upstream off;
  proxy_buffering off;
  proxy_ssl_server_name on;
  proxy_ssl_verify on;
  proxy_ssl_trusted_certificate $work/ca.pem;

  # The only lines that differ from real use: the providers' names lead to the
  # stand-in. Its certificate, for these names, is by the quick start's CA.
  upstream api.openai.com { server 127.0.0.1:$(cat provider.port); keepalive 8; }
  upstream api.anthropic.com { server 127.0.0.1:$(cat provider.port); keepalive 8; }

  server {
    listen 127.0.0.1:${FORWARDER##*:} ssl;
    server_name localhost;
    ssl_certificate $work/localhost.pem;
    ssl_certificate_key $work/localhost.key;
    vault_origin $FORWARDER;
    client_max_body_size 16m;
    client_body_buffer_size 1m;

    location /openai/ {
      vault_redeem on;
      vault_profile openai;
      vault_destination https://api.openai.com;
      proxy_pass https://api.openai.com/;
    }
    location /anthropic/ {
      vault_redeem on;
      vault_profile anthropic;
      vault_destination https://api.anthropic.com;
      proxy_pass https://api.anthropic.com/;
    }
  }
}
CONF
}

start_forwarder() {
  mkdir nginx
  write_nginx_settings
  background nginx.log nginx -c "$work/nginx.conf" -e "$work/nginx.log"
  await "nginx" nginx.log test -s nginx.pid
}
