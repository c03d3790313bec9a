#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the vectors runner must never do: pass without having looked.

usage: runner_test.py RUNNER

Runs it on files that were emptied, damaged, mislabelled or are not there.
Closes with "N passed, N failed".
"""
import base64
import copy
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

RUNNER = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
OWN = os.path.join(HERE, "data", "rfc-own")
CLOSING = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")
KINDS = "aead hkdf ecdsa jwk jws jwe json merkle note http1 cedar".split()
count = {True: 0, False: 0}


def run(kind, *paths):
    done = subprocess.run([RUNNER, kind, *paths], capture_output=True, text=True, timeout=60)
    closing = CLOSING.fullmatch(done.stdout.rstrip("\n").split("\n")[-1])
    return done, [int(number or 0) for number in closing.groups()] if closing else None


def expect(what, ok, done):
    count[bool(ok)] += 1
    if not ok:
        print(f"FAIL: {what}: status {done.returncode}\n{done.stdout}{done.stderr}")


def refuses(what, kind, *paths, without_failure=False):
    done, numbers = run(kind, *paths)
    said = done.stdout.count("FAIL: ") or (without_failure and "nothing ran" in done.stderr)
    expect(f"{kind}: {what}", done.returncode == 1 and numbers and numbers[0] == 0 and said, done)


def written(folder, name, content):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(content if isinstance(content, str) else json.dumps(content))
    return path


def of_every_kind(folder):
    empty = os.path.join(folder, "empty")
    os.mkdir(empty)
    fifo = os.path.join(folder, "fifo.json")
    os.mkfifo(fifo)
    for kind in KINDS:
        suffix = ".md" if kind == "http1" else ".json"
        refuses("a path that is not there", kind, os.path.join(folder, "absent" + suffix))
        refuses("a folder with nothing in it", kind, empty, without_failure=True)
        refuses("a pipe", kind, fifo)
        refuses("nothing in the file", kind, written(folder, "nothing" + suffix, ""))
        if kind != "json":
            refuses("another schema", kind, written(folder, "other" + suffix, '{"a":[1]}'))
            refuses("no JSON", kind, written(folder, "torn" + suffix, '{"testGroups":['))


def of_wycheproof(folder):
    with open(os.path.join(OWN, "aes_wrap_test.json"), encoding="utf-8") as file:
        good = json.load(file)
    for kind in "aead hkdf ecdsa jwk jws jwe".split():
        refuses("no groups", kind, written(folder, "none.json", {**good, "testGroups": []}))
        group = {**good["testGroups"][0], "tests": []}
        refuses("no tests", kind, written(folder, "none.json", {**good, "testGroups": [group]}))
    refuses("a type that nobody knows", "aead", without_failure=True, *[written(
        folder, "type.json", {**good, "testGroups": [{**good["testGroups"][0], "type": "New"}]})])
    for change in ({"result": "maybe"}, {"ct": "xyz"}, {"ct": None}, {"key": "0"}):
        bad = copy.deepcopy(good)
        bad["testGroups"] = bad["testGroups"][:1]
        bad["testGroups"][0]["tests"] = [{**bad["testGroups"][0]["tests"][0], **change}]
        refuses(f"{change}", "aead", written(folder, "bad.json", bad))


def of_flipped_results(folder):
    for kind, name in (("aead", "aes_wrap_test.json"), ("aead", "a128cbc_hs256_test.json"),
                       ("jwk", "ecdh_secp256r1_webcrypto_test.json")):
        with open(os.path.join(OWN, name), encoding="utf-8") as file:
            wrong = json.load(file)
        for group in wrong["testGroups"]:
            for test in group["tests"]:
                test["result"] = "invalid" if test["result"] == "valid" else "valid"
        refuses(f"{name} with every result turned round", kind, written(folder, name, wrong))


def of_merkle_and_pages(folder):
    proof = {"leafIdx": 0, "treeSize": 1, "leafHash": "AAAA", "root": "AAAA", "proof": None}
    refuses("no wantErr", "merkle", written(folder, "proof.json", proof))
    del proof["treeSize"]
    refuses("no size", "merkle", written(folder, "proof.json", {**proof, "wantErr": True}))
    leaf = base64.b64encode(hashlib.sha256(b"\0a").digest()).decode()
    one = {"leafIdx": 0, "treeSize": 1, "leafHash": leaf, "root": leaf, "proof": None, "wantErr": False}
    done, numbers = run("merkle", written(folder, "many.json", {"inclusion": [one, {**one, "leafIdx": 1, "wantErr": True}], "more": {"a": one}}))
    expect("merkle: many in one file", done.returncode == 0 and numbers and numbers[:2] == [3, 0], done)
    refuses("a list of what is none", "merkle", written(folder, "many.json", [{"wantErr": False}, [], 1]))
    page = '# A\n\n<!-- meta={"type": "%s"} -->\n```http\nGET / HTTP/1.1\n\n\n```\n\n```log\n%s\n```\n'
    seen = "off=0 message begin\noff=18 message complete"
    refuses("a type of case that nobody knows", "http1", written(folder, "a.md", page % ("x", seen)))
    refuses("an empty log", "http1", written(folder, "a.md", page % ("request", "")))
    refuses("a page that ends in its input", "http1",
            written(folder, "a.md", (page % ("request", seen)).split("GET")[0]))


def main():
    with tempfile.TemporaryDirectory() as folder:
        of_every_kind(folder)
        of_wycheproof(folder)
        of_flipped_results(folder)
        of_merkle_and_pages(folder)
    for arguments in ([], ["aead"], ["unknown", "x"]):
        done = subprocess.run([RUNNER, *arguments], capture_output=True, text=True, timeout=60)
        expect(f"wrong use: {arguments}", done.returncode == 2 and "usage" in done.stderr, done)
    print(f"{count[True]} passed, {count[False]} failed")
    return 1 if count[False] else 0


if __name__ == "__main__":
    sys.exit(main())
