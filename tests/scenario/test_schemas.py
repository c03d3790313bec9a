#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The published schemas against what the programs take and give."""

import copy
import json
import os
import re
import subprocess
import sys
import tempfile

import jsonschema
import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from lab import HANGS_S, TREE, Lab, need, run_cases  # noqa: E402


def schema(name):
    with open(f"{TREE}/schemas/{name}.schema.json") as text:
        document = json.load(text)
    jsonschema.Draft202012Validator.check_schema(document)
    return document


def faults(document, value):
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in jsonschema.Draft202012Validator(document).iter_errors(value)]


def configuration():
    with open(f"{TREE}/deploy/vaultd.conf") as text:
        return yaml.safe_load(text)


def keys_of_schema(document, prefix=""):
    for name, value in document["properties"].items():
        if "properties" in value:
            yield from keys_of_schema(value, f"{prefix}{name}.")
        elif value.get("items", {}).get("type") == "object":
            yield from keys_of_schema(value["items"], f"{prefix}{name}.")
        else:
            yield prefix + name


def keys_of_program():
    """The keys of the tables in config.c, where cyaml takes them from."""
    with open(f"{TREE}/vaultd/supervisor/config.c") as text:
        source = text.read()
    for table, body in re.findall(r"config_(?:(\w+)_)?fields\[\] = \{(.*?)CYAML_FIELD_END", source, re.S):
        for macro, name in re.findall(r"\b(TEXTS?|NUMBER|GROUP)\(\w+,\s*(\w+)\)", body):
            if macro != "GROUP":
                yield f"{table}.{name}" if table else name


def check(config):
    """What vaultd itself says about a configuration."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/vaultd.conf"
        with open(path, "w") as out:
            json.dump(config, out)
        done = subprocess.run([f"{os.environ['VAULT_PREFIX']}/sbin/vaultd", "--check", "--config", path], capture_output=True, text=True,
                              timeout=HANGS_S)
        return done.returncode, done.stderr.replace(path, "vaultd.conf")


def every_page_of_the_manual_is_installed():
    written = {f"man{name[-1]}/{name}" for name in os.listdir(f"{TREE}/docs/man")}
    folder = f"{os.environ['VAULT_PREFIX']}/share/man"
    installed = {f"{section}/{name}" for section in os.listdir(folder) for name in os.listdir(f"{folder}/{section}")}
    need(installed == written and len(written) >= 4, f"written {written}, installed {installed}")


def configuration_has_the_keys_of_its_schema():
    published, program = sorted(keys_of_schema(schema("config"))), sorted(keys_of_program())
    need(len(program) > 40 and len(set(program)) == len(program), f"the tables of config.c were not found: {program}")
    need(published == program, f"only published: {set(published) - set(program)}; only in the program: {set(program) - set(published)}")


def published_configuration_fits():
    need(not faults(schema("config"), configuration()), faults(schema("config"), configuration()))
    with open(f"{TREE}/deploy/vaultd.conf") as text:
        shown = set(re.findall(r"^\s*(?:# )?([a-z_]+):(?: |$)", text.read(), re.M))
    missing = {key.split(".")[-1] for key in keys_of_schema(schema("config"))} - shown
    need(not missing, f"deploy/vaultd.conf does not show {missing}")


def defaults_of_the_configuration_are_as_published():
    """deploy/vaultd.conf shows defaults, but for what each vault must set."""
    own = {"issuer", "broker.listen", "broker.tls_certificate", "broker.tls_key"}
    document, config = schema("config"), configuration()
    for key in keys_of_schema(document):
        if key in own or key.startswith("users."):
            continue
        part, value, *rest = document, config, *key.split(".")
        for name in rest:
            part = part.get("items", part)  # of a list whose entries have keys
            part, value = part["properties"][name], value.get(name) if isinstance(value, dict) else None
        if value is not None and "default" in part:
            need(value == part["default"], f"{key}: {value} is shown, {part['default']} is published")


def program_and_schema_refuse_the_same():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x.test",
                        "-keyout", f"{folder}/k", "-out", f"{folder}/c"], check=True, capture_output=True)
        good = {"issuer": "https://x.test", "device": {"kind": "tpm"},
                "broker": {"tls_certificate": f"{folder}/c", "tls_key": f"{folder}/k"}}
        document = schema("config")
        need(check(good)[0] == 0 and not faults(document, good), f"{check(good)} {faults(document, good)}")
        tried = 0
        for key in keys_of_schema(document):
            part = document
            for name in key.split("."):
                part = part.get("items", part)["properties"][name]
            if part.get("type") == "integer":
                values = [(part["minimum"], True), (part["minimum"] - 1, False), (part["maximum"] + 1, False),
                          ("many", False), ([1], False), ({}, False)]
            elif part.get("type") == "array":
                values = [([], True), ("text", False), ([["a"]], False), (["A=b"] * (part["maxItems"] + 1), False)]
            else:
                values = [(["a"], False), ({"a": "b"}, False), ("x" * 1025, False)]
            for value, is_good in values:
                config = copy.deepcopy(good)
                group, _, name = key.rpartition(".")
                if group == "more_devices":
                    config[group] = [{"name": "spare", "kind": "tpm", name: value}]
                else:
                    (config.setdefault(group, {}) if group else config)[name] = value
                status, message = check(config)
                published = faults(document, config)
                need((status == 0) == is_good, f"{key} = {str(value)[:40]}: {message}")
                need((not published) == is_good, f"{key} = {str(value)[:40]}: {published}")
                need(is_good or f"{key}: " in message, f"{key} is not named: {message}")
                tried += 1
        for group in [""] + [name for name, part in document["properties"].items() if "properties" in part]:
            config = copy.deepcopy(good)
            (config.setdefault(group, {}) if group else config)["no_such_key"] = "x"
            status, message = check(config)
            need(status == 1 and f"{group + '.' if group else ''}no_such_key: there is no such key" in message, message)
            need(faults(document, config), f"the schema lets an unknown key of {group} pass")
        need(tried > 150, f"only {tried} were tried")


def records_fit_their_schemas():
    with Lab() as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential("openai-prod")
        lab.put_credential("azure", "k-1", "azure-openai", "--host", "example.openai.azure.com")
        lab.vaultctl("credential", "rotate", "openai-prod", "-", "--grace", "60", input="sk-2")
        lab.vaultctl("credential", "disable", "azure")
        lab.enrol()
        lab.vaultctl("tenant", "create", "other")
        tenant = "/v1/tenants/default"
        places = [("tenant", "/v1/tenants", "items"), ("issuer", f"{tenant}/issuers", "items"),
                  ("credential", f"{tenant}/credentials", "items"), ("forwarder", "/v1/forwarders", "items"),
                  ("tenant", "/v1/tenants/other", None), ("issuer", f"{tenant}/issuers/corp", None),
                  ("credential", f"{tenant}/credentials/openai-prod", None), ("credential", f"{tenant}/credentials/azure", None),
                  ("forwarder", "/v1/forwarders/nginx", None)]
        for name, path, member in places:
            answer = lab.admin("GET", path)
            need(answer.status == 200, f"{path}: {answer}")
            records = answer.json[member] if member else [answer.json]
            need(records, f"{path}: nothing to check")
            for record in records:
                need(not member or record.pop("revision") > 0, f"{path}: an entry of a list tells its revision")
                need(not faults(schema(name), record), f"{path}: {faults(schema(name), record)}")
        answer = lab.admin("GET", f"{tenant}/policies")
        need(answer.json["version"] >= 1, answer)
        need(not faults(schema("policy-set"), answer.json), f"policies: {faults(schema('policy-set'), answer.json)}")
        for name in os.listdir(f"{lab.prefix}/share/vaultd/profiles"):
            if name.endswith(".json"):
                with open(f"{lab.prefix}/share/vaultd/profiles/{name}") as text:
                    need(not faults(schema("profile"), json.load(text)), f"{name}")


def rotations_fit_their_schemas():
    with Lab(config={"rotator": {"programs": ["mine=/bin/false"]}}) as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential("own", "k-1", "generic-bearer", "--host", "nobody.example")
        lab.put_credential("boss", "k-2", "generic-bearer", "--host", "nobody.example")
        credential = "/v1/tenants/default/credentials/own/rotation"
        for body in ({"recipe": "aws-iam", "parameters": {"user": "ci"}, "days": 30, "grace_s": 60, "key_id": "AKIA1"},
                     {"recipe": "openai-service-account", "parameters": {"project": "p"}, "manager": "boss"}, {"recipe": "exec:mine"}):
            need(lab.admin("PUT", credential, body).status in (200, 201), body)
            lab.admin("POST", credential, {})
            answer = lab.admin("GET", credential).json
            job = answer.pop("job")
            need(not faults(schema("rotation-plan"), answer), f"{answer}: {faults(schema('rotation-plan'), answer)}")
            need(not faults(schema("rotation-job"), job), f"{job}: {faults(schema('rotation-job'), job)}")
        recipes = os.listdir(f"{lab.prefix}/share/vaultd/recipes")
        need(len(recipes) >= 3, recipes)
        for name in recipes:
            with open(f"{lab.prefix}/share/vaultd/recipes/{name}") as text:
                recipe = json.load(text)
            need(not faults(schema("recipe"), recipe), f"{name}: {faults(schema('recipe'), recipe)}")
            need(faults(schema("recipe"), {**recipe, "surprise": 1}), "an unknown member passes")


def audit_entries_fit_their_schema():
    with Lab() as lab:
        lab.start()
        lab.init_with_issuer()
        lab.put_credential()
        lab.enrol()
        key = new_client_key()
        token = lab.token(key=key)
        lab.redeem(token, key)
        lab.redeem(token)
        lab.redeem(token, key, model="o1")
        lab.exchange(lab.subject_token("bob", ["sales"]), key=key)
        form = {"content-type": "application/x-www-form-urlencoded"}
        lab.broker("POST", "/oauth2/introspect", f"token={token}", {**form, "authorization": f"Bearer {lab.subject_token()}"})
        lab.broker("POST", "/access/v1/evaluation", {"subject": {"type": "user", "id": "alice"}, "action": {"name": "issue"},
                                                     "resource": {"type": "credential", "id": "openai-prod"}},
                   {"authorization": f"Bearer {lab.subject_token()}"})
        lab.broker("POST", "/oauth2/revoke", f"token={token}", form)
        lab.vaultctl("revoke", "--principal", f"{lab.issuer}|alice")
        lab.vaultctl("seal")
        lab.vaultctl("unseal")
        document, entries = schema("audit-entry"), lab.audit()
        for entry in entries:
            need(not faults(document, entry), f"{entry}: {faults(document, entry)}")
        kinds = {entry["kind"] for entry in entries}
        need({"issue", "redeem", "revoke", "introspect", "evaluate", "admin", "vault"} <= kinds, f"only {kinds} were seen")
        need([entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1)), "sequence")
        with open(f"{TREE}/libvault/audit/event.h") as text:
            members = dict(re.findall(r"TEXT\((\w+), (\d+)\)", text.read()))
        published = {name: part["maxLength"] for name, part in document["properties"].items() if "maxLength" in part and name != "time"}
        need(published == {name: int(size) for name, size in members.items()}, f"{published} {members}")


if __name__ == "__main__":
    run_cases(every_page_of_the_manual_is_installed, configuration_has_the_keys_of_its_schema, published_configuration_fits, defaults_of_the_configuration_are_as_published,
              program_and_schema_refuse_the_same, records_fit_their_schemas, rotations_fit_their_schemas, audit_entries_fit_their_schema)
