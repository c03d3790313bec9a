#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Policies in the running vault: what they see of a principal, what is asked
again at redeem, how a set comes into force, and how faults fail closed."""

import base64
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import Signer, new_client_key, new_ec_key  # noqa: E402
from lab import TREE, Failure, Lab, need, run, run_cases  # noqa: E402

AGENTS = "https://agents.example.test"
JWT = "urn:ietf:params:oauth:token-type:jwt"


def starter(name):
    with open(f"{TREE}/deploy/policies/{name}.cedar") as text:
        return text.read()


def ready(lab, policy, *credential):
    lab.start()
    lab.init_with_issuer(policy)
    lab.put_credential(*credential)
    lab.enrol()
    return new_client_key()


def put(lab, policy, *options, **more):
    return lab.vaultctl("policy", "put", lab.put_file("main.cedar", policy), *options, **more)


def claims_of(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def last(lab, kind):
    return [entry for entry in lab.audit() if entry["kind"] == kind][-1]


def stamp(at):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def add_agents(lab, kind="agent", **record):
    signer = Signer(new_ec_key(), "ES256", "agents-1")
    record = {**lab.issuer_record(signer), "name": "agents", "issuer": AGENTS, "kind": kind, **record}
    lab.vaultctl("issuer", "add", "agents", "--file", lab.put_file("agents.json", json.dumps(record)))
    now = int(time.time())
    return lambda subject="coder", **claims: signer.sign({"iss": AGENTS, "sub": subject, "aud": "vaultd", "iat": now, "exp": now + 300,
                                                          **claims})


# ---- What policies see of a principal ----

def claims_of_a_build_job_are_tags_at_issue_and_redeem():
    """deploy/policies/workload.cedar as it is, but for the address of the lab."""
    policy = starter("workload").replace("10.20.0.0/16", "127.0.0.0/8")
    with Lab() as lab:
        key = ready(lab, policy, "aws-deploy", "sk-deploy", "generic-bearer", "--host", "sts.amazonaws.com")
        ci = Signer(new_ec_key(), "ES256", "ci-1")
        lab.vaultctl("issuer", "add", "ci", "--issuer", "https://token.actions.example", "--audience", "vaultd", "--kind", "workload",
                     "--jwks", lab.put_file("ci.jwks", json.dumps({"keys": [ci.public_jwk()]})), "--tag", "repository", "--tag", "ref",
                     "--tag", "repository_owner:owner", "--tag", "run_number")
        shown = lab.vaultctl_json("issuer", "show", "ci")
        need({"claim": "repository_owner", "tag": "owner"} in shown["tags"] and len(shown["tags"]) == 4, shown)
        now = int(time.time())

        def job(**claims):
            return ci.sign({"iss": "https://token.actions.example", "sub": "repo:acme/shop", "aud": "vaultd", "iat": now, "exp": now + 600,
                            "repository": "acme/shop", "ref": "refs/heads/main", "run_number": 17, **claims})

        details = [{"type": "credential_use", "credential": "aws-deploy"}]
        token = lab.token(job(repository_owner="acme"), details, key)
        need(claims_of(token)["tags"] == {"owner": "acme", "ref": "refs/heads/main", "repository": "acme/shop", "run_number": "17"},
             claims_of(token))
        need(len(token) < 1536, f"{len(token)} bytes")
        use = {"host": "sts.amazonaws.com", "path": "/deploy/shop", "uri": "https://aws.example.test/deploy/shop", "model": None}
        need(lab.redeem(token, key, **use).status == 200, "a deployment")
        need(lab.redeem(token, key, **{**use, "path": "/iam"}).status == 403, "another path")
        for name, claims in {"a branch": {"ref": "refs/heads/x"}, "no repository": {"repository": None},
                             "a list": {"ref": ["refs/heads/main"]}, "another repository": {"repository": "evil/shop"}}.items():
            answer = lab.exchange(job(**claims), details, key)
            need(answer.status == 400, f"{name}: {answer}")
        # A redeem decides by what the token says: a set that asks for another tag.
        put(lab, policy.replace('"refs/heads/main"', '"refs/heads/release"'))
        need(lab.redeem(token, key, **use).status == 403, "a policy that asks for another branch")


def posture_of_the_device_decides():
    """deploy/policies/office-hours.cedar with hours that are always, and at redeem too."""
    policy = starter("office-hours").replace('duration("7h")', 'duration("0h")').replace('duration("19h")', 'duration("24h")')
    managed = ('@id("managed-at-use")\nforbid(principal is User, action == Action::"redeem", resource == Credential::"payments")\n'
               'unless { context has device.managed && context.device.managed };\n')
    with Lab() as lab:
        key = ready(lab, policy, "payments", "sk-pay")
        record = {**lab.issuer_record(), "device": {"compliant": "device/compliant", "managed": "mdm"}}
        lab.vaultctl("issuer", "add", "corp", "--file", lab.put_file("issuer.json", json.dumps(record)))
        details = [{"type": "credential_use", "credential": "payments"}]

        def ask(**claims):
            return lab.exchange(lab.subject_token("alice", ["finance"], amr=["pwd", "mfa"], **claims), details, key)

        good = ask(device={"compliant": True}, mdm="false")
        need(good.status == 200, good)
        token = good.json["access_token"]
        need(claims_of(token)["device"] == {"compliant": True, "managed": False}, claims_of(token))
        need(lab.redeem(token, key, model=None).status == 200, "nothing asks for a managed device yet")
        need(ask(device={"compliant": False}).status == 400, "not compliant")
        need(ask().status == 400, "nothing known of the device")
        entry = last(lab, "issue")
        need(entry["outcome"] == "deny" and "payments-only-from-healthy-devices" in entry["policies"], entry)
        need(ask(device={"compliant": "certainly"}).status == 400, "neither true nor false")
        put(lab, policy + managed)
        need(lab.redeem(token, key, model=None).status == 403, "a device that is not managed, at redeem")
        entry = last(lab, "redeem")
        need(entry["policies"] == "managed-at-use" and "managed-at-use" in entry["reason"], entry)
        token = ask(device={"compliant": True}, mdm=True).json["access_token"]
        need(lab.redeem(token, key, model=None).status == 200, "a managed device, at redeem")


def options_of_issuer_add_name_tags_and_devices():
    with Lab() as lab:
        ready(lab, Lab.POLICY)
        keys = lab.put_file("x.jwks", json.dumps({"keys": [lab.idp.public_jwk()]}))
        common = ("issuer", "add", "x", "--issuer", "https://x.example.test", "--audience", "vaultd", "--jwks", keys)
        lab.vaultctl(*common, "--tag", "https://claims.example/team", "--tag", "k8s/ns:namespace", "--device-compliant", "d/ok",
                     "--device-managed", "d/mdm")
        shown = lab.vaultctl_json("issuer", "show", "x")
        need(shown["tags"] == [{"claim": "https://claims.example/team", "tag": "https://claims.example/team"},
                               {"claim": "k8s/ns", "tag": "namespace"}], shown)
        need(shown["device"] == {"compliant": "d/ok", "managed": "d/mdm"}, shown)
        for wrong in (("--tag", ":x"), ("--tag", "x:"), ("--tag", "a b")):
            done = lab.vaultctl(*common, *wrong, check=False)
            need(done.returncode != 0 and done.stderr, f"{wrong}: {done}")
        many = [argument for i in range(17) for argument in ("--tag", f"claim{i}")]
        need(lab.vaultctl(*common, *many, check=False).returncode != 0, "17 tags")
        need(lab.vaultctl_json("issuer", "show", "x")["tags"] == shown["tags"], "a refused record changed something")


# ---- What is asked again at redeem ----

def the_source_address_is_asked_again():
    policy = ('permit(principal in Group::"ml", action == Action::"issue", resource);\n'
              '@id("inside")\npermit(principal in Group::"ml", action in [Action::"redeem", Action::"callModel"], resource)\n'
              'when { context.sourceIp.isInRange(ip("10.1.0.0/16")) || context.sourceIp.isInRange(ip("2001:db8::/32")) };\n')
    with Lab() as lab:
        key = ready(lab, policy)
        token = lab.token(key=key)
        for source, status in (("10.1.2.3", 200), ("10.2.2.3", 403), ("2001:db8::7", 200), ("127.0.0.1", 403), ("10.1.2.3.4", 403),
                               ("::ffff:10.1.2.3", 403)):
            answer = lab.redeem(token, key, source=source)
            need(answer.status == status, f"{source}: {answer}")
            need(last(lab, "redeem")["source"] == source, last(lab, "redeem"))


def an_answer_that_depends_on_the_moment_is_not_used_again():
    """A forwarder may keep an answer for a bearer token, unless source, time or age were looked at."""
    inside = '@id("inside")\nforbid(principal, action == Action::"redeem", resource) unless { context.sourceIp.isInRange(ip("10.0.0.0/8")) };\n'
    age = '@id("young")\nforbid(principal, action == Action::"callModel", resource) when { context.tokenAge > 100 };\n'
    other = '@id("elsewhere")\nforbid(principal, action in Action::"administer", resource) unless { context.sourceIp.isLoopback() };\n'
    with Lab() as lab:
        ready(lab, Lab.POLICY)
        token = lab.token(lab.subject_token("pipeline", ["ci"]))
        for text, model, may in (("", "gpt-4o", True), (inside, "gpt-4o", False), (other, "gpt-4o", True), (age, "gpt-4o", False),
                                 (age, None, True)):
            put(lab, Lab.POLICY + text)
            answer = lab.redeem(token, source="10.1.2.3", model=model)
            need(answer.status == 200 and (answer.json["cache_s"] > 0) is may, f"{text!r}, model {model}: {answer}")


def the_time_of_day_is_asked_again():
    with Lab() as lab:
        key = ready(lab, Lab.POLICY)
        token = lab.token(key=key)
        asked, closes, before = 0.0, 0, 0
        while asked < closes or not before:  # a machine that is slow gets another chance to ask in time
            if asked >= closes:
                closes, before = int(time.time()) + 5, 0
                put(lab, Lab.POLICY + f'@id("closes")\nforbid(principal, action, resource) when {{ context.now >= datetime("{stamp(closes)}") }};\n')
            asked = time.time()
            status, answered = lab.redeem(token, key).status, time.time()
            need(status == 200 or answered >= closes, f"refused {closes - answered} s too early")
            need(status == 403 or asked < closes, "the time of the policy is over, the token still redeems")
            before += answered < closes
            time.sleep(0.2)
        need(last(lab, "redeem")["policies"] == "closes", last(lab, "redeem"))
        need(lab.exchange(key=key).status == 400, "and no new token")


def a_new_set_decides_from_the_next_redeem_on():
    with Lab() as lab:
        key = ready(lab, Lab.POLICY)
        first = lab.vaultctl_json("policy", "show")
        token = lab.token(key=key)
        pol = claims_of(token)["pol"]
        need(lab.redeem(token, key).status == 200, "before")
        need(last(lab, "redeem")["policy_set"] == pol and last(lab, "issue")["policy_set"] == pol, "the hash is in records and token")
        need(base64.urlsafe_b64decode(pol + "=").hex() == first["hash"], f"{pol} is not {first['hash']}")
        for round in range(5):
            put(lab, f'@id("closed-{round}")\nforbid(principal, action, resource);\n' + Lab.POLICY)
            need(lab.redeem(token, key).status == 403, f"closed, round {round}")
            entry = last(lab, "redeem")
            need(entry["policies"] == f"closed-{round}" and entry["policy_set"] != pol, entry)
            put(lab, Lab.POLICY)
            need(lab.redeem(token, key).status == 200, f"open again, round {round}")
        second = lab.vaultctl_json("policy", "show")
        need(second["version"] == first["version"] + 10 and second["hash"] == first["hash"], second)
        need(last(lab, "redeem")["policy_set"] == pol, "the same texts have the same hash")
        activations = [entry for entry in lab.audit() if entry["operation"] == "policy.activate"]
        need([entry["subject"] for entry in activations] == [f"version {n}" for n in range(1, 12)], activations)


def activation_is_atomic_and_versioned():
    with Lab() as lab:
        ready(lab, Lab.POLICY)
        put(lab, Lab.POLICY, "--expected-version", "1")
        stale = put(lab, Lab.POLICY, "--expected-version", "1", check=False)
        need(stale.returncode != 0 and "version 2 is in force" in stale.stderr, stale)
        answer = lab.admin("PUT", "/v1/tenants/default/policies",
                           {"documents": [{"name": "main.cedar", "text": Lab.POLICY}], "expected_version": 7})
        need(answer.status == 409 and answer.headers["content-type"] == "application/problem+json", answer)
        two = [{"name": "a.cedar", "text": "permit(principal, action, resource);"}, {"name": "b.cedar", "text": "permit(principal, action, resource)"}]
        answer = lab.admin("PUT", "/v1/tenants/default/policies", {"documents": two})
        need(answer.status == 400 and answer.json["faults"][0]["document"] == "b.cedar", answer)
        shown = lab.vaultctl_json("policy", "show")
        need(shown["version"] == 2 and [d["name"] for d in shown["documents"]] == ["main.cedar"], shown)


# ---- Faults ----

def a_set_with_unknown_names_changes_nothing():
    wrong = {
        'permit(principal,\n  action == Action::"isue", resource);': (2, 13, 'Action::"issue"'),
        'permit(principal is Usr, action, resource);': (1, 21, "User"),
        'permit(principal, action, resource)\nwhen { context.sourceIP == ip("::1") };': (2, 8, "sourceIp"),
        'permit(principal, action, resource) when { principal.isuer == "x" };': (1, 44, "issuer"),
        'permit(principal, action, resource) when { context.device.complaint };': (1, 44, "compliant"),
        'permit(principal, action, resource)\n\n  when { true &&& false };': (3, 17, None),
    }
    with Lab() as lab:
        key = ready(lab, Lab.POLICY)
        token = lab.token(key=key)
        before = lab.vaultctl_json("policy", "show")
        for text, (line, column, nearest) in wrong.items():
            documents = [{"name": "good.cedar", "text": Lab.POLICY}, {"name": "bad.cedar", "text": text}]
            answer = lab.admin("PUT", "/v1/tenants/default/policies", {"documents": documents})
            need(answer.status == 400, f"{text}: {answer}")
            fault = answer.json["faults"][0]
            need((fault["document"], fault["line"], fault["column"]) == ("bad.cedar", line, column), f"{text}: {fault}")
            need(nearest is None or f"did you mean {nearest}?" in fault["detail"], f"{text}: {fault}")
            done = put(lab, text, check=False)
            lines = done.stderr.splitlines()
            need(done.returncode == 1 and f"main.cedar:{line}:{column}:" in lines[0], done)
            need(lines[1][4:] == text.splitlines()[line - 1] and lines[2] == " " * (4 + column - 1) + "^", done.stderr)
        need(lab.vaultctl_json("policy", "show") == before, "something changed")
        need(lab.redeem(token, key).status == 200, "and the vault goes on")


def a_forbid_that_errs_denies_and_is_named():
    """Cedar skips a policy that errs; a forbid that is skipped would be an open door."""
    forbid = '@id("no-contractors")\nforbid(principal, action, resource) when { principal.getTag("employment") == "contractor" };\n'
    permit = '@id("odd-permit")\npermit(principal, action, resource) when { principal.getTag("employment") == "staff" };\n'
    with Lab() as lab:
        key = ready(lab, Lab.POLICY)
        token = lab.token(key=key)
        put(lab, Lab.POLICY + forbid)
        need(lab.redeem(token, key).status == 403, "the tag is not there: the forbid errs")
        entry = last(lab, "redeem")
        need("no-contractors" in entry["reason"] and "could not be evaluated" in entry["reason"] and entry["outcome"] == "deny", entry)
        need(lab.exchange(key=key).status == 400, "at issue as well")
        entry = last(lab, "issue")
        need("no-contractors" in entry["reason"] and entry["outcome"] == "deny", entry)
        put(lab, Lab.POLICY + permit)
        need(lab.redeem(token, key).status == 200, "a permit that errs is skipped; another one permits")
        put(lab, Lab.POLICY + forbid.replace("principal.getTag", 'principal.hasTag("employment") && principal.getTag'))
        need(lab.redeem(token, key).status == 200, "a forbid that asks first")


# ---- An agent for a user ----

def both_are_asked_with_what_is_known_of_each():
    policy = ('@id("people")\npermit(principal is User in Group::"ml", action in Action::"use", resource)\n'
              'when { context.agentActs && context has actor && context.actor in Group::"coders" };\n'
              '@id("agents")\npermit(principal is Agent in Group::"coders", action in Action::"use", resource)\n'
              'when { principal.hasTag("team") && principal.getTag("team") == "research" && principal has acr &&\n'
              '       principal.amr.contains("hwk") && context has device.managed && context.device.managed };\n')
    with Lab() as lab:
        key = ready(lab, policy)
        agent = add_agents(lab, tags=[{"claim": "team"}], device={"managed": "managed"})
        known = {"groups": ["coders"], "team": "research", "acr": "urn:attested", "amr": ["hwk"], "managed": True}

        def ask(**claims):
            return lab.exchange(None, None, key, actor_token=agent(**{**known, **claims}), actor_token_type=JWT)

        good = ask()
        need(good.status == 200, good)
        token = good.json["access_token"]
        act = claims_of(token)["act"]
        need(act == {"sub": f"{AGENTS}|coder", "sub_profile": "agent", "groups": ["coders"], "tags": {"team": "research"},
                     "acr": "urn:attested", "amr": ["hwk"], "device": {"managed": True}}, act)
        need(len(token) < 1536, f"{len(token)} bytes")
        need(lab.redeem(token, key).status == 200, "what the token carries of the agent is enough at redeem")
        entry = last(lab, "redeem")
        need(entry["policies"] == "people agents", entry)
        for name, claims in {"another team": {"team": "sales"}, "no team": {"team": None}, "not in the group": {"groups": ["other"]},
                             "another means of login": {"amr": ["pwd"]}, "no managed device": {"managed": False}}.items():
            need(ask(**claims).status == 400, name)
        need(ask(act={"sub": "another"}).status == 400, "an actor behind whom somebody else acts")
        need("act of the actor token" in last(lab, "issue")["reason"], last(lab, "issue"))
        need(lab.exchange(key=key).status == 400, "the person without an agent is not permitted")
        put(lab, policy.replace('"research"', '"sales"'))
        need(lab.redeem(token, key).status == 403, "the agent is no longer permitted, at redeem")


def an_act_chain_without_an_actor_token_is_asked_too():
    policy = ('@id("people")\npermit(principal is User in Group::"ml", action in Action::"use", resource);\n'
              '@id("planner")\npermit(principal == Agent::"https://idp.example.test|planner", action in Action::"use", resource);\n')
    with Lab() as lab:
        key = ready(lab, policy)
        chain = {"sub": "planner", "sub_profile": "agent", "act": {"sub": "cron", "iss": "https://other.example.test"}}
        token = lab.token(lab.subject_token(act=chain), None, key)
        claims = claims_of(token)
        need(claims["act"]["sub"] == "https://idp.example.test|planner" and claims["act"]["act"]["sub"] == "https://other.example.test|cron", claims)
        need(lab.redeem(token, key).status == 200, "the one who acts now is permitted; who acted before is told, not asked")
        need(last(lab, "redeem")["policies"] == "people planner", last(lab, "redeem"))
        need(lab.exchange(lab.subject_token(act={"sub": "intruder"}), None, key).status == 400, "another agent")
        need(last(lab, "issue")["actor"] == "https://idp.example.test|intruder", last(lab, "issue"))
        need(lab.exchange(lab.subject_token(act={"sub": "a", "act": {"sub": "b", "act": {"sub": "c", "act": {"sub": "d", "act": {"sub": "e"}}}}}),
                          None, key).status == 400, "a chain that is too long")
        need(lab.exchange(lab.subject_token(act={"iss": "x"}), None, key).status == 400, "an actor without a name")


# ---- For people ----

def explain_says_what_the_vault_does():
    """Offline and with the set in force: the same answer as redeem gives, and why."""
    policy = ('@id("people")\npermit(principal in Group::"ml", action in Action::"use", resource);\n'
              '@id("agents-at-daytime")\npermit(principal is Agent in Group::"coders", action in Action::"use", resource)\n'
              'when { context.now.toTime() >= duration("7h") && context.sourceIp.isInRange(ip("10.0.0.0/8")) };\n'
              '@id("no-gpt-x")\nforbid(principal is Agent, action == Action::"callModel", resource) when { resource.name == "gpt-x" };\n')
    with Lab() as lab:
        ready(lab, policy)
        alices_agent = ("policy", "explain", "--principal", f"{lab.issuer}|alice", "--group", "ml", "--actor", f"{AGENTS}|coder",
                        "--actor-group", "coders", "--credential", "openai-prod", "--action", "redeem", "--path", "/v1/chat/completions")
        files = ("--policies", f"{lab.folder}/main.cedar", "--profile", "openai", "--host", "api.openai.com")
        for name, options, allowed, decided in (
                ("in the daytime", ("--model", "gpt-4o", "--time", "10:00", "--ip", "10.1.2.3"), True, "people agents-at-daytime"),
                ("at night", ("--model", "gpt-4o", "--time", "03:00", "--ip", "10.1.2.3"), False, ""),
                ("from elsewhere", ("--model", "gpt-4o", "--time", "10:00", "--ip", "192.0.2.1"), False, ""),
                ("gpt-x", ("--model", "gpt-x", "--time", "10:00", "--ip", "10.1.2.3"), False, "no-gpt-x")):
            for where, source in (("in force", ()), ("offline", files)):
                env = {"VAULTCTL_SERVER": "unix:/nowhere"} if source else {}
                done = lab.vaultctl("--json", *alices_agent, *options, *source, check=False, env=env)
                need(done.returncode == (0 if allowed else 3), f"{name}, {where}: {done}")
                answer = json.loads(done.stdout)
                need(answer["allowed"] is allowed and answer["policies"] == decided, f"{name}, {where}: {answer['policies']}")
                asked = [(outcome["principal"].split("|")[1], outcome["action"]) for outcome in answer["outcomes"]]
                need(list(dict.fromkeys(asked)) == [("alice", "redeem"), ("alice", "callModel"), ("coder", "redeem"), ("coder", "callModel")], asked)
        text = lab.vaultctl(*alices_agent, "--model", "gpt-x", "--time", "03:00", "--ip", "10.1.2.3", check=False).stdout
        need(text.startswith("DENIED"), text)
        need("agents-at-daytime (main.cedar:5)\n        is false:  context.now.toTime() >= duration(\"7h\")\n" in text, text)
        need("no-gpt-x (main.cedar:6) forbids" in text and "people (main.cedar:1) permits" in text, text)
        need("at 20" in text and "T03:00:00Z from 10.1.2.3" in text, text)


def starter_policies_have_tests_that_pass():
    names = sorted(name for name in os.listdir(f"{TREE}/deploy/policies") if name.endswith(".cedar"))
    vaultctl = f"{os.environ['VAULT_PREFIX']}/bin/vaultctl"
    total = 0
    for name in names:
        path = f"{TREE}/deploy/policies/{name}"
        tests = path.replace(".cedar", ".tests.json")
        with open(tests) as text:
            cases = json.load(text)
        need({case["expect"] for case in cases} == {"allow", "deny"}, f"{tests} expects only one answer")
        need(run(vaultctl, "policy", "test", tests, "--policies", path).endswith(f"{len(cases)} passed, 0 failed\n"), tests)
        turned = f"/tmp/vaultd-turned-{os.getpid()}.json"
        with open(turned, "w") as out:
            json.dump([{**case, "expect": "deny" if case["expect"] == "allow" else "allow"} for case in cases], out)
        try:
            run(vaultctl, "policy", "test", turned, "--policies", path)
            raise Failure(f"{tests}: the contrary passes too")
        except Failure as failure:
            need(f"0 passed, {len(cases)} failed" in str(failure), str(failure))
        finally:
            os.unlink(turned)
        total += len(cases)
    together = run(vaultctl, "policy", "test", *[f"{TREE}/deploy/policies/{name.replace('.cedar', '.tests.json')}" for name in names],
                   "--policies", f"{TREE}/deploy/policies")
    need(together.endswith(f"{total} passed, 0 failed\n"), together)


if __name__ == "__main__":
    run_cases(claims_of_a_build_job_are_tags_at_issue_and_redeem, posture_of_the_device_decides, options_of_issuer_add_name_tags_and_devices,
              the_source_address_is_asked_again, an_answer_that_depends_on_the_moment_is_not_used_again, the_time_of_day_is_asked_again, a_new_set_decides_from_the_next_redeem_on,
              activation_is_atomic_and_versioned, a_set_with_unknown_names_changes_nothing, a_forbid_that_errs_denies_and_is_named,
              both_are_asked_with_what_is_known_of_each, an_act_chain_without_an_actor_token_is_asked_too,
              explain_says_what_the_vault_does, starter_policies_have_tests_that_pass)
