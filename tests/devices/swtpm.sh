#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A fresh software TPM 2.0 in a folder, for tests and the quick start.
#
#   swtpm.sh start FOLDER   makes FOLDER/tpm when absent, starts swtpm on
#                           FOLDER/tpm.sock and prints settings as NAME=VALUE
#                           lines: DEVICE_KIND, DEVICE_TCTI, DEVICE_PID.
#                           Started again in the same folder it is the same TPM.
#   swtpm.sh stop FOLDER    ends that swtpm; FOLDER/tpm stays.
set -eu

usage() {
    sed -n '3,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# Is the process in the pid file ours, and not a later one with its number?
running() {
    [ -s "$1/swtpm.pid" ] && pid=$(cat "$1/swtpm.pid") &&
        tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$1/tpm.sock"
}

start() {
    command -v swtpm >/dev/null || {
        echo "swtpm.sh: swtpm is not installed: apt-get install swtpm" >&2
        exit 1
    }
    if running "$1"; then
        echo "swtpm.sh: a swtpm runs in $1 already (pid $pid)" >&2
        exit 1
    fi
    mkdir -p -m 0700 "$1/tpm"
    rm -f "$1/tpm.sock" "$1/swtpm.pid"
    swtpm socket --tpm2 --daemon --tpmstate "dir=$1/tpm" --pid "file=$1/swtpm.pid" \
        --server "type=unixio,path=$1/tpm.sock,mode=0600" \
        --flags not-need-init,startup-clear --log "file=$1/swtpm.log,level=1"
    for _ in $(seq 100); do
        [ -S "$1/tpm.sock" ] && [ -s "$1/swtpm.pid" ] && break
        sleep 0.05
    done
    running "$1" || {
        echo "swtpm.sh: swtpm does not start, see $1/swtpm.log" >&2
        exit 1
    }
    echo "DEVICE_KIND=tpm"
    echo "DEVICE_TCTI=swtpm:path=$1/tpm.sock"
    echo "DEVICE_PID=$(cat "$1/swtpm.pid")"
}

stop() {
    if running "$1"; then
        kill "$pid"
        for _ in $(seq 100); do
            running "$1" || break
            sleep 0.05
        done
    fi
    rm -f "$1/tpm.sock" "$1/swtpm.pid"
}

[ $# -eq 2 ] || usage
folder=$(realpath -m "$2")
case $1 in
start | stop) "$1" "$folder" ;;
*) usage ;;
esac
