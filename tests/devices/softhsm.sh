#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A fresh software HSM (SoftHSM 2, PKCS#11) in a folder, for tests and the quick
# start. Nothing runs: the module reads the folder that SOFTHSM2_CONF names.
#
#   softhsm.sh start FOLDER [LABEL]  makes configuration, device and PIN file in
#       FOLDER (kept when they are there) and prints settings as NAME=VALUE
#       lines: DEVICE_KIND, SOFTHSM2_CONF (export it to who uses the device),
#       DEVICE_URI, DEVICE_MODULE, DEVICE_PIN_FILE.
set -eu

[ $# -ge 2 ] && [ "$1" = start ] || {
    sed -n '3,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
folder=$(realpath -m "$2")
label=${3:-vault-test}
module=/usr/lib/softhsm/libsofthsm2.so
[ -e "$module" ] && command -v softhsm2-util >/dev/null || {
    echo "softhsm.sh: SoftHSM is not installed: apt-get install softhsm2" >&2
    exit 1
}
mkdir -p -m 0700 "$folder/tokens"
export SOFTHSM2_CONF="$folder/softhsm2.conf"
cat >"$SOFTHSM2_CONF" <<END
directories.tokendir = $folder/tokens
objectstore.backend = file
log.level = ERROR
END
if [ ! -e "$folder/pin" ]; then
    umask 077
    od -An -N12 -tx1 /dev/urandom | tr -d ' \n' >"$folder/pin"
    od -An -N12 -tx1 /dev/urandom | tr -d ' \n' >"$folder/so-pin"
    # On the command line of softhsm2-util for a moment: fine for a test device.
    softhsm2-util --init-token --free --label "$label" \
        --pin "$(cat "$folder/pin")" --so-pin "$(cat "$folder/so-pin")" >/dev/null
fi
echo "DEVICE_KIND=pkcs11"
echo "SOFTHSM2_CONF=$SOFTHSM2_CONF"
echo "DEVICE_URI=pkcs11:token=$label"
echo "DEVICE_MODULE=$module"
echo "DEVICE_PIN_FILE=$folder/pin"
