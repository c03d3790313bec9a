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
cat >stop <<STOP
#!/bin/sh
# Stops what the quick start left running, newest first, and removes this folder.
for pid in $(printf '%s\n' "${pids[@]}" | tac | xargs); do
  grep -qzF '$work' /proc/\$pid/environ 2>/dev/null || continue
  kill \$pid
  for i in \$(seq 150); do
    pgrep -s \$pid >/dev/null || break
    sleep 0.1
  done
done
rm -rf '$work'
STOP
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
