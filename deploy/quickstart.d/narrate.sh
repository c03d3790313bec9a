# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How the quick start tells what it does, ends what it started, and fails.
# Used by deploy/quickstart only. $work: its folder, where everything lives.

number=0
pids=()
phase=

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
else
  bold='' dim='' plain=''
fi

# step TITLE WHAT…: a numbered line; each WHAT is a line of its own.
step() {
  phase=$1
  number=$((number + 1))
  printf '\n%s%2d  %-20s%s%s\n' "$bold" "$number" "$1" "$plain" "$2"
  shift 2
  local line
  for line in "$@"; do printf '%24s%s\n' '' "$line"; done
}

note() { printf '%24s%s\n' '' "$*"; }

# Reads ninja's lines, writes how far it is.
progress() {
  awk -v room="$(printf '%24s' '')" '
    /^\[[0-9]+\/[0-9]+\]/ {
      split(substr($1, 2), part, "/")
      percent = int(part[1] * 10 / (part[2] + 0)) * 10
      if (percent > last) { printf "%s%d %%", last ? ", " : room, percent; fflush(); last = percent }
    }
    END { if (last) print "" }'
}

indented() { sed 's/^/      /'; }

# The command line as somebody would type it, into $typed: a signal that arrives while
# bash 5.2 waits for a command substitution ends the script with "unexpected EOF".
words() {
  local word
  typed=
  for word in "$@"; do
    case $word in
    '>' | '|') ;;
    *[\ \*\|\'\"\&\;\<\>\(\)\$]* | '') word="'$word'" ;;
    esac
    typed+=" $word"
  done
  typed=${typed# }
}

shown() {
  words "$@"
  printf '    %s$ %s%s\n' "$dim" "$typed" "$plain"
}

# run COMMAND…: shows the command, runs it, shows what it says. Input stays ours.
run() {
  shown "$@"
  local status=0
  "$@" >"$work/said" 2>&1 || status=$?
  indented <"$work/said"
  [ "$status" = 0 ] || fail "$1 ended with exit status $status" vault.log
}

# glance LINES COMMAND…: the same, but shows only the first lines of what it says.
glance() {
  local lines=$1
  shift
  shown "$@" '|' head "-$lines"
  "$@" >"$work/said" 2>&1 || fail "$1 ended with exit status $?: $(cat "$work/said")" vault.log
  head -n "$lines" "$work/said" | indented
}

# must_exit STATUS COMMAND…: the same for a command that ends with that status.
must_exit() {
  local wanted=$1 status=0
  shift
  shown "$@"
  "$@" >"$work/said" 2>&1 || status=$?
  indented <"$work/said"
  echo "exit status $status" | indented
  [ "$status" = "$wanted" ] || fail "exit status $status instead of $wanted" vault.log nginx.log
}

# fail REASON [LOG…]: names of logs are relative to $work.
fail() {
  local reason=$1 log
  shift
  trap - ERR
  printf '\n%sFAILED%s in step %d, %s: %s\n' "$bold" "$plain" "$number" "${phase:-start}" "$reason" >&2
  for log in "$@"; do
    [ -s "$work/$log" ] || continue
    printf '%s\n' "--- last lines of $log" >&2
    tail -n 25 "$work/$log" >&2
  done
  if [ -S "$work/run/admin.sock" ]; then
    echo "--- newest entries of the audit log" >&2
    timeout 5 vaultctl audit tail --count 5 >&2 || true
  fi
  exit 1
}

# background LOG COMMAND…: a process in a session of its own. An interrupt from the
# keyboard does not reach it, and whatever it starts is found again by the session.
background() {
  local log=$1
  shift
  setsid "$@" >>"$log" 2>&1 </dev/null &
  pids+=($!)
}

is_running() { kill -0 "$1" 2>/dev/null; }

# await WHAT LOG COMMAND…: until COMMAND succeeds, while the newest process lives.
await() {
  local what=$1 log=$2 i
  shift 2
  for ((i = 0; i < 300; i++)); do
    "$@" >/dev/null 2>&1 && return 0
    is_running "${pids[-1]}" || fail "$what ended at once" "$log"
    sleep 0.05
  done
  fail "$what does not answer after 15 seconds" "$log"
}

# Ends what was started, newest first, and waits for it and all that it started.
end_all() {
  local i j pid
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    pid=${pids[i]}
    kill -TERM "$pid" 2>/dev/null || true
    for ((j = 0; j < 300; j++)); do
      is_running "$pid" || pgrep -s "$pid" >/dev/null || break
      sleep 0.05
    done
    if [ "$j" = 300 ]; then
      printf 'process %s did not end by itself\n' "$pid" >&2
      pkill -KILL -s "$pid" || true
    fi
    wait "$pid" 2>/dev/null || true
  done
  pids=()
}
