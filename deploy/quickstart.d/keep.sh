# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# --keep: leaves everything up, with a file of settings and a program that stops it.
cat >settings <<SETTINGS
export PATH=$prefix/bin:\$PATH
export VAULTCTL_SERVER=$VAULTCTL_SERVER VAULTCTL_BROKER=$VAULTCTL_BROKER VAULTCTL_CA=$VAULTCTL_CA
export VAULTCTL_FORWARDER=$FORWARDER VAULTCTL_PROFILES=$VAULTCTL_PROFILES FORWARDER=$FORWARDER
export NODE_EXTRA_CA_CERTS=$NODE_EXTRA_CA_CERTS
cd $work
SETTINGS
# A process is its number and the time of its start: numbers are used again.
started() { sed 's/^.*) //' "/proc/$1/stat" | cut -d ' ' -f 20; }
{
  cat <<'STOP'
#!/bin/sh
# Stops what the quick start left running, newest first, and removes this folder.
stop() {
  [ "$(sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20)" = "$2" ] || return 0
  kill "$1"
  for i in $(seq 150); do
    pgrep -s "$1" >/dev/null || return 0
    sleep 0.1
  done
  echo "process $1 does not end" >&2
  exit 1
}
STOP
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do echo "stop ${pids[i]} $(started "${pids[i]}")"; done
  echo "rm -rf '$work'"
} >stop
chmod +x stop
kept=yes
step "Explore" "everything is still up, in $work"
cat <<TEXT | indented
. $work/settings
vaultctl status
vaultctl policy explain --principal '$people|alice' --group engineers --credential openai-prod --model gpt-4o
node $here/sign-in.mjs person $people > alice.jwt
vaultctl token get --credential openai-prod --subject-token-file alice.jwt --key alice.pem > openai.token
TOKEN=openai.token KEY=alice.pem node $here/client.mjs openai chat gpt-4o-mini
vaultctl audit tail -f
TEXT
note "stop it: $work/stop"
