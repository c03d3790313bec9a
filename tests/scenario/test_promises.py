#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""DESIGN section 2, looked at from outside the processes."""

import base64
import ctypes
import errno
import json
import os
import re
import signal
import subprocess
import sys

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from front import Front  # noqa: E402
from jose import new_client_key  # noqa: E402
from lab import ROLES, TREE, Lab, need, run_cases, wait_until  # noqa: E402
from memory import search_memory  # noqa: E402
from softhsm import data_keys_of  # noqa: E402

MARKER = "sk-MARKER-7f3a91c2d4e8b605"


def exercise(lab):
    """Everything that could bring a credential near a process."""
    lab.start()
    lab.init_with_issuer()
    lab.put_credential(value=MARKER)
    lab.enrol()
    key = new_client_key()
    token = lab.token(key=key)
    for _ in range(20):
        need(lab.redeem(token, key).status == 200, "redeem")
    lab.redeem(token)
    lab.vaultctl("credential", "rotate", "openai-prod", "-", input=MARKER)
    lab.vaultctl("credential", "show", "openai-prod")
    lab.vaultctl("credential", "list")
    lab.vaultctl("status")
    lab.vaultctl("audit", "tail")
    lab.vaultctl("backup", f"{lab.folder}/backup")
    lab.redeem(token, key)


def no_credential_outside_keeper_and_redeemer():
    with Lab() as lab:
        exercise(lab)
        keys = data_keys_of(lab, [0, 1])
        need({(0, 1), (1, 1)} <= set(keys), f"unwrapped by SoftHSM: {sorted(keys)}")
        pids = {**lab.pids(), "supervisor": lab.process.pid}
        for role in ("broker", "admin", "auditor", "supervisor"):
            # What every process was told, in plain memory: the search finds what is there.
            found, searched = search_memory(pids[role], lab.folder.encode())
            need(searched > 1 << 20 and found, f"{searched} bytes of the {role} could be searched, its settings are not in them")
            for what, needle in {"the credential": MARKER.encode(), **keys}.items():
                found, _ = search_memory(pids[role], needle)
                need(found == 0, f"the {role}'s memory holds {what} {found} times")


def keeper_and_redeemer_keep_it_hidden():
    with Lab() as lab:
        exercise(lab)
        status = lab.vaultctl_json("status")
        if "memfd_secret" not in json.dumps(status):
            return  # locked memory can be read by root: nothing to prove from outside
        for role in ("keeper", "redeemer"):
            found, searched = search_memory(lab.pids()[role], MARKER.encode())
            need(searched > 1 << 20, f"only {searched} bytes of the {role} could be searched")
            need(found == 0, f"root reads the credential {found} times in the {role}'s memory")


def no_credential_in_files_logs_or_answers():
    with Lab(config={"log_level": "debug"}) as lab:
        exercise(lab)
        lab.stop()
        for folder, _, names in os.walk(lab.folder):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as file:
                        need(MARKER.encode() not in file.read(), f"{path} holds the credential")


def paths_that_are_read():
    """Of every server, as the API is described; names are of things that are there."""
    with open(f"{TREE}/schemas/openapi.yaml") as text:
        described = yaml.safe_load(text)["paths"]
    values = {"tenant": "default", "kind": "signing", "number": "1"}
    for path, item in described.items():
        things = {"issuers": "corp", "credentials": "openai-prod", "forwarders": "nginx"}
        values["name"] = next((name for thing, name in things.items() if f"/{thing}/" in path), "main")
        if "get" in item and path != "/v1/watch":  # which has no end
            yield path.format(**values)


VERBS_THAT_READ = (
    "status", "tenant list", "tenant show default", "issuer list", "issuer show corp", "policy show", "credential list",
    "credential show openai-prod", "key list --all", "device list", "forwarder list", "rotate signing --dry-run", "audit tail", "audit search",
    "audit inventory", "audit unused --days 1", "audit export", "audit show x")


def no_call_returns_a_credential():
    with Lab() as lab:
        exercise(lab)

        def is_clean(what, text):
            need(MARKER not in text and base64.b64encode(MARKER.encode()).decode().rstrip("=") not in text, f"{what} returns the credential")
        answered = set()
        for path in paths_that_are_read():
            for server in (lab.admin, lab.broker, lab.redeemer):
                answer = server("GET", path)
                answered |= {path} if answer.status == 200 else set()
                is_clean(path, answer.body.decode() + str(answer.headers))
        need(len(answered) > 25, f"only {len(answered)} paths were answered: {sorted(answered)}")
        for verb in VERBS_THAT_READ:
            for options in ((), ("--json",)):
                log = ("--log", lab.audit_folder) if verb.split()[0] == "audit" and verb != "audit tail" else ()
                done = lab.vaultctl(*options, *verb.split(), *log, check=False)
                need(done.returncode != 2, f"{verb}: {done.stderr}")
                is_clean(verb, done.stdout + done.stderr)
        # What is refused quotes no value either.
        for words in (("put", "openai-prod", "-", "--profile", "openai"), ("put", "fresh", "-", "--profile", "none"),
                      ("rotate", "absent", "-"), ("rotate", "openai-prod", "-", "--host", "Not A Host")):
            done = lab.vaultctl("credential", *words, input=MARKER, check=False)
            need(done.returncode != 0, words)
            is_clean(words, done.stdout + done.stderr)
        # Nor does a redeem that is not to be answered: without authority, or by a stranger.
        key = new_client_key()
        token = lab.token(key=key)
        lab.vaultctl("forwarder", "remove", "nginx")
        for answer in (lab.redeem(token, key), lab.redeem("x.y.z")):
            need(answer.status in (401, 403), answer)
            is_clean("a refusal", answer.body.decode())


def a_debugger_is_refused():
    with Lab() as lab:
        exercise(lab)
        libc = ctypes.CDLL(None, use_errno=True)
        attach = 16
        for role in ROLES:
            pid = lab.pids()[role]
            uid = os.stat(f"/proc/{pid}/maps").st_uid
            with open(f"/proc/{pid}/status") as status:
                text = status.read()
            real_uid = int(re.search(r"Uid:\s+(\d+)", text).group(1))
            need(uid == 0, f"{role}: /proc/{pid}/maps belongs to uid {uid}, so it is dumpable")
            child = os.fork()
            if child == 0:
                if real_uid:
                    os.setgid(os.stat(lab.folder).st_gid)
                    os.setuid(real_uid)
                result = libc.ptrace(attach, pid, 0, 0) if real_uid else -1
                os._exit(0 if result == -1 else 1)
            _, status = os.waitpid(child, 0)
            need(status == 0, f"a process of the same user may trace the {role}")


def filters_of(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"Seccomp_filters:\s+(\d+)", status.read()).group(1))


def each_role_is_locked_up():
    with Lab() as lab:
        exercise(lab)
        uids = set()
        for role in ROLES:
            pid = lab.pids()[role]
            with open(f"/proc/{pid}/status") as status:
                text = status.read()
            need(re.search(r"NoNewPrivs:\s+1", text), f"{role}: new privileges are possible")
            need(re.search(r"Seccomp:\s+2", text), f"{role}: no system-call filter")
            with open(f"/proc/{pid}/limits") as limits:
                need(re.search(r"Max core file size\s+0\s+0", limits.read()), f"{role}: core files are possible")
            need(os.getsid(pid) == pid, f"{role}: shares a terminal with the supervisor")
            uids.add(re.search(r"Uid:\s+(\d+)", text).group(1))
            need(os.getuid() != 0 or os.readlink(f"/proc/{pid}/cwd") == "/", f"{role}: stands in {os.readlink(f'/proc/{pid}/cwd')}")
        with open(f"/proc/{lab.process.pid}/status") as status:
            text = status.read()
        need(re.search(r"NoNewPrivs:\s+1", text), "the supervisor: new privileges are possible")
        need(filters_of(lab.process.pid) == filters_of("self") + 1, "the supervisor: no system-call filter of its own")
        need(all(filters_of(lab.pids()[role]) == filters_of("self") + 2 for role in ROLES), "a role without its own filter")
        if lab.users:
            need(len(uids) == len(ROLES) and "0" not in uids, f"uids {uids}")


def what_the_supervisor_starts_has_no_more_than_it():
    """Its filter is inherited: seen from a driver program, which has no other."""
    script = r"""#!/usr/bin/python3
import ctypes, errno, json, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def errno_of(number, *arguments):
    return 0 if libc.syscall(number, *arguments) >= 0 else ctypes.get_errno()
seen = {"unshare": errno_of(272, 0x10000000), "mount": errno_of(165, b"x", b"/", b"tmpfs", 0, 0), "ptrace": errno_of(101, 0, 0, 0, 0),
        "bpf": errno_of(321, 0, 0, 0), "keyctl": errno_of(250, 0, 0), "io_uring_setup": errno_of(425, 1, 0),
        "clone": errno_of(56, 0x10000000 | 17, 0, 0, 0, 0)}
child = subprocess.run(["sh", "-c", "echo $((6*7)) | cat"], capture_output=True, text=True)
open(sys.argv[1], "w").write(json.dumps({"seen": seen, "child": child.stdout.strip()}))
"""
    with Lab() as lab:
        program, seen = lab.put_file("driver", script), lab.put_file("seen", "")
        os.chmod(program, 0o755)
        os.chmod(seen, 0o666)
        lab.extra["rotator"] = {"programs": [f"mine={program} {seen}"]}
        lab.write_config()
        exercise(lab)
        lab.vaultctl("credential", "automate", "openai-prod", "--recipe", "exec:mine")
        lab.vaultctl("rotate", "credential", "openai-prod", "--detach")
        wait_until("the program", lambda: os.path.getsize(seen) > 0)
        with open(seen) as text:
            result = json.load(text)
        need(result["child"] == "42", f"an ordinary program does not run: {result}")
        need(all(number == errno.ENOSYS for number in result["seen"].values()), f"calls that the supervisor has not: {result}")


def the_first_driver_program_needs_a_restart():
    with Lab() as lab:
        exercise(lab)
        lab.extra["rotator"] = {"programs": ["mine=/bin/true"]}
        lab.write_config()
        lab.process.send_signal(signal.SIGHUP)
        wait_until("a message", lambda: "rotator.programs: the first program needs a restart of vaultd" in lab.log())


def each_program_links_only_what_it_may():
    lab_prefix = os.environ["VAULT_PREFIX"]
    network = {"libssl", "libevent_openssl", "libcurl"}
    devices = {"libtss2", "libp11-kit"}
    forbidden = {
        "vaultd-keeper": network | {"libjwt"},  # nothing of others is parsed beside the keys
        "vaultd-broker": devices,
        "vaultd-admin": devices,
        "vaultd-redeemer": devices | {"libcurl"},
        "vaultd-rotator": devices | {"libjwt"},
        "vaultd-shipper": devices | {"libjwt", "liblmdb"},
        "vaultd-auditor": network | devices | {"libjwt", "liblmdb"},
    }
    need(set(forbidden) == {f"vaultd-{role}" for role in (*ROLES, "shipper")}, "a program is missing here")
    for program, names in forbidden.items():
        out = subprocess.run(["readelf", "-d", f"{lab_prefix}/libexec/vaultd/{program}"], capture_output=True, text=True, check=True).stdout
        needed = re.findall(r"NEEDED.*\[(lib[^]]+?)\.so", out)
        need(needed, f"{program}: no libraries found")
        for name in names | {"libcyaml", "libyaml"}:
            need(not any(library.startswith(name) for library in needed), f"{program} links {name}: {needed}")
        need("BIND_NOW" in out, f"{program}: lazy binding")
    out = subprocess.run(["readelf", "-d", f"{lab_prefix}/sbin/vaultd"], capture_output=True, text=True, check=True).stdout
    for name in network | devices | {"liblmdb", "libjwt"}:
        need(name not in out, f"vaultd links {name}")


def each_role_has_only_its_descriptors():
    with Lab() as lab:
        exercise(lab)
        for role in ROLES:
            pid = lab.pids()[role]
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    target = os.readlink(f"/proc/{pid}/fd/{fd}")
                except OSError:
                    continue
                kinds = ("socket:", "anon_inode:", "pipe:", "/dev/null", "/memfd:", "/secretmem")
                own = {"auditor": (lab.audit_folder,), "keeper": (lab.store_folder, lab.device.folder)}.get(role, (lab.store_folder,))
                need(target.startswith(kinds) or target.startswith(own) or target == f"{lab.folder}/log",
                     f"the {role} holds {target}")


def a_provider_that_repeats_the_credential_does_not_give_it_away():
    with Lab() as lab:
        exercise(lab)
        token = lab.token(lab.subject_token(groups=("ml", "ci")))
        with Front(lab) as front:
            front.provider.good.add(MARKER)
            for _ in range(2):  # redeemed, and from the cache
                status, body = front.call(front.connection(), token, user="mirror")
                need(status == 200 and json.loads(body)["authorization"] == "Bearer " + "*" * len(MARKER), body)
            need([value for _, value in front.provider.seen] == [MARKER, MARKER], "what the provider was sent")


def a_stolen_disk_does_not_open():
    with Lab() as lab:
        exercise(lab)
        keys = data_keys_of(lab, [0, 1])
        need({(0, 1), (1, 1)} <= set(keys), f"unwrapped by SoftHSM: {sorted(keys)}")
        lab.stop()
        lab.device.stop()
        for folder, _, names in os.walk(lab.folder):
            for name in names if not folder.startswith(lab.device.folder) else ():
                with open(os.path.join(folder, name), "rb") as file:
                    content = file.read()
                need(not [key for key, value in keys.items() if value in content], f"{folder}/{name} holds a data key that is not wrapped")
        with Lab() as other:  # another device, the same store
            subprocess.run(["rm", "-rf", other.store_folder], check=True)
            subprocess.run(["cp", "-a", lab.store_folder, other.store_folder], check=True)
            other.start()
            wait_until("a look at the store", lambda: "reason" in other.vaultctl_json("status"))
            need(other.vaultctl("unseal", check=False).returncode != 0, "unsealed")
            status = other.vaultctl_json("status")
            need(status["state"] == "sealed" and "this store was made with device" in status["reason"], status)
            need(MARKER not in json.dumps(status), status)


if __name__ == "__main__":
    run_cases(no_credential_outside_keeper_and_redeemer, keeper_and_redeemer_keep_it_hidden, no_credential_in_files_logs_or_answers,
              no_call_returns_a_credential, a_debugger_is_refused, each_role_is_locked_up, what_the_supervisor_starts_has_no_more_than_it,
              the_first_driver_program_needs_a_restart, each_program_links_only_what_it_may,
              each_role_has_only_its_descriptors, a_provider_that_repeats_the_credential_does_not_give_it_away,
              a_stolen_disk_does_not_open)
