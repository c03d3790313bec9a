#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""AuthZEN 1.0 on the broker: other gateways ask the same policies."""

import json
import os
import sys

import jsonschema
import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key, new_rsa_key, Signer  # noqa: E402
from lab import TREE, Lab, need, run_cases  # noqa: E402

ONE, MANY = "/access/v1/evaluation", "/access/v1/evaluations"
POLICY = ('@id("ml")\npermit(principal in Group::"ml", action in Action::"use", resource);\n'
          '@id("small-models")\nforbid(principal, action == Action::"callModel", resource) unless { resource.name like "gpt-4o*" };\n'
          '@id("bound-issue")\nforbid(principal, action == Action::"issue", resource) unless { context.bound };\n')


def question(action="redeem", type="credential", id="openai-prod", subject="alice", **context):
    return {"subject": {"type": "user", "id": subject}, "action": {"name": action}, "resource": {"type": type, "id": id},
            **({"context": context} if context else {})}


def ask(lab, path, body, token=None, **headers):
    bearer = {"authorization": f"Bearer {token or lab.subject_token()}"}
    return lab.broker("POST", path, body, {"content-type": "application/json", **bearer, **headers})


def decide(lab, **options):
    answer = ask(lab, ONE, question(**options))
    need(answer.status == 200 and answer.headers["content-type"].startswith("application/json"), answer)
    need(set(answer.json) == {"decision"}, answer)
    return answer.json["decision"]


def records(lab):
    return [entry for entry in lab.audit() if entry["kind"] == "evaluate"]


def decisions_are_those_of_the_policies_and_recorded():
    with Lab() as lab:
        lab.serve(POLICY)
        cases = [(True, {}), (False, {"subject": "bob"}), (False, {"id": "no-such-credential"}), (False, {"action": "issue"}),
                 (True, {"action": "issue", "bound": True}),
                 (True, {"action": "callModel", "type": "model", "id": "gpt-4o-mini", "credential": "openai-prod"}),
                 (False, {"action": "callModel", "type": "model", "id": "o1", "credential": "openai-prod"}),
                 (True, {"action": "callTool", "type": "tool", "id": "search", "credential": "openai-prod"}),
                 (True, {"subject": f"{lab.issuer}|alice"})]
        for expected, options in cases:
            before = len(records(lab))
            need(decide(lab, **options) is expected, f"{options}: not {expected}")
            entry = records(lab)[-1]
            need(len(records(lab)) == before + 1 and entry["outcome"] == ("allow" if expected else "deny"), entry)
            need(entry["principal"] == f"{lab.issuer}|alice" and entry["operation"] == "policy.evaluate", entry)
            need(entry["subject"] == options.get("action", "redeem") and expected != ("reason" in entry), entry)
        need(records(lab)[6]["policies"] == "small-models", records(lab)[6])
        # An agent that acts already, as the token says, is asked too.
        agent = lab.subject_token(act={"sub": "bot"})
        need(ask(lab, ONE, question(), agent).json == {"decision": False}, "an agent that nothing permits")
        lab.vaultctl("policy", "put", lab.put_file("more.cedar", POLICY + f'permit(principal == Agent::"{lab.issuer}|bot", action, resource);\n'))
        need(ask(lab, ONE, question(), agent).json == {"decision": True}, "both are permitted")
        # The same engine, and the same answer: what is permitted here gives a token.
        key = new_client_key()
        token = lab.token(key=key)
        need(lab.redeem(token, key, model="gpt-4o-mini").status == 200 and lab.redeem(token, key, model="o1").status == 403, "redeem differs")


def batches_stop_where_they_are_told_to():
    yes, no = question(), question(id="nothing-here")
    with Lab() as lab:
        lab.serve(POLICY)
        for semantic, items, expected in ((None, [yes, no, yes], [True, False, True]), ("execute_all", [no, yes], [False, True]),
                                          ("deny_on_first_deny", [yes, no, yes], [True, False]),
                                          ("permit_on_first_permit", [no, yes, no], [False, True]),
                                          ("deny_on_first_deny", [yes, yes], [True, True]), ("permit_on_first_permit", [no, no], [False, False])):
            body = {"evaluations": items, **({"options": {"evaluations_semantic": semantic}} if semantic else {})}
            before = len(records(lab))
            answer = ask(lab, MANY, body)
            need(answer.status == 200 and answer.json == {"evaluations": [{"decision": d} for d in expected]}, f"{semantic}: {answer}")
            need(len(records(lab)) == before + len(expected), f"{semantic}: {len(records(lab)) - before} records")
        # Members of the request are defaults of each.
        common = {key: value for key, value in yes.items() if key != "resource"}
        answer = ask(lab, MANY, {**common, "evaluations": [{"resource": yes["resource"]}, {"resource": no["resource"]},
                                                           {"resource": yes["resource"], "action": {"name": "issue"}}]})
        need([item["decision"] for item in answer.json["evaluations"]] == [True, False, False], answer)
        need(ask(lab, MANY, yes).json == {"decision": True}, "without evaluations: a single one")
        need(ask(lab, MANY, {**yes, "evaluations": []}).json == {"decision": True}, "an empty list: a single one")


def requests_that_are_no_questions_are_refused():
    with Lab() as lab:
        lab.serve(POLICY)
        good = question()
        wrong = [[], {}, {**good, "subject": "alice"}, {**good, "subject": {"id": "alice"}}, {**good, "action": {}},
                 {**good, "resource": {"type": "credential"}}, {**good, "action": {"name": "destroy"}},
                 {**good, "resource": {"type": "model", "id": "openai-prod"}}, {**good, "context": []},
                 {**good, "context": {"bound": "yes"}}, {**good, "context": {"ip": "10.1.2.3"}}, {**good, "extra": 1},
                 question("callModel", "model", "gpt-4o")]
        before = records(lab)
        for body in wrong:
            answer = ask(lab, ONE, json.dumps(body))
            need(answer.status == 400 and answer.headers["content-type"] == "application/problem+json", f"{body}: {answer}")
        for body in ({**good, "options": {"evaluations_semantic": "any"}}, {"evaluations": [good] * 33}, {"evaluations": {}},
                     {"evaluations": [good, {**good, "action": {"name": "destroy"}}]}, {"evaluations": [good], "options": []}):
            need(ask(lab, MANY, json.dumps(body)).status == 400, str(body)[:200])
        for text in ("", "{", '{"subject":1,"subject":2}', "[" * 60 + "]" * 60, '"\\ud800"'):
            need(ask(lab, ONE, text).status == 400, text[:40])
        need(ask(lab, ONE, json.dumps(good), **{"content-type": "text/plain"}).status == 400, "another media type")
        need(ask(lab, ONE, json.dumps({**good, "context": {"path": "/" + "a" * 20000}})).status == 413, "too large")
        need(lab.broker("GET", ONE).status == 405, "another method")
        refused = records(lab)[len(before):]
        need(len(refused) == len(wrong) + 5 + 5 + 2, f"{len(refused)} of the refused questions are in the log")
        for entry in refused:  # as what they were: no policy decided
            need(entry["outcome"] == "deny" and entry["reason"].startswith("malformed request: ") and "policies" not in entry, entry)
            need("aaaa" not in entry["reason"] and "colour" not in entry["reason"], entry)


def only_authenticated_callers_are_answered():
    with Lab() as lab:
        lab.serve(POLICY)
        body = question()
        stranger = Signer(new_rsa_key(), "RS256", "rsa-1")
        for name, headers in {"nobody": {}, "Basic": {"authorization": "Basic YTpi"}, "a forged token": {
                "authorization": "Bearer " + stranger.sign({"iss": lab.issuer, "sub": "alice", "aud": "vaultd", "iat": 1, "exp": 4102444800})}}.items():
            answer = lab.broker("POST", ONE, body, {"content-type": "application/json", **headers})
            need(answer.status == 401 and "www-authenticate" in answer.headers, f"{name}: {answer}")
        key = new_client_key()
        answer = ask(lab, ONE, body, token=lab.token(key=key))
        need(answer.status == 401, f"our own access token is no token of an identity provider: {answer}")
        other = lab.broker("POST", "/t/other" + ONE, body, {"content-type": "application/json", "authorization": f"Bearer {lab.subject_token()}"})
        need(other.status == 401, f"a tenant that is not there: {other}")
        for entry in records(lab):
            need(entry["outcome"] == "deny" and "principal" not in entry and {"reason", "source", "tenant", "correlation"} <= set(entry), entry)
        need(sum(entry.get("repeats", 1) for entry in records(lab)) <= 5 and "other" in [entry["tenant"] for entry in records(lab)], records(lab))


def request_ids_come_back():
    with Lab() as lab:
        lab.serve(POLICY)
        for path in (ONE, MANY):
            answer = ask(lab, path, question(), **{"x-request-id": "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"})
            need(answer.headers.get("x-request-id") == "bfe9eb29-ab87-4ca3-be83-a1d5d8305716", answer.headers)
            need(len(ask(lab, path, question()).headers["x-request-id"]) == 22, "one that was not sent")
        need(records(lab)[0]["correlation"] == "bfe9eb29-ab87-4ca3-be83-a1d5d8305716", records(lab)[0])
        given = ask(lab, ONE, question(), **{"x-request-id": "a" * 65}).headers["x-request-id"]
        need(len(given) == 22 and records(lab)[-1]["correlation"] == given, "one that is too long")


def metadata_and_description_fit():
    with open(f"{TREE}/schemas/openapi.yaml") as text:
        described = yaml.safe_load(text)
    with Lab() as lab:
        lab.serve(POLICY)
        answer = lab.broker("GET", "/.well-known/authzen-configuration")
        need(answer.status == 200 and answer.json["policy_decision_point"] == lab.origin, answer)
        need(answer.json["access_evaluation_endpoint"] == lab.origin + ONE, answer)
        need(answer.json["access_evaluations_endpoint"] == lab.origin + MANY, answer)
        lab.vaultctl("tenant", "create", "other")
        answer = lab.broker("GET", "/.well-known/authzen-configuration/t/other")
        need(answer.json["access_evaluation_endpoint"] == f"{lab.origin}/t/other{ONE}", answer)
        need(lab.broker("GET", "/.well-known/authzen-configuration/t/nobody").status == 404, "a tenant that is not there")

    def check(name, value):
        schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        jsonschema.Draft202012Validator(schema).validate(value)

    check("Evaluation", question(bound=True, model="x"))
    check("Evaluations", {"evaluations": [question()], "options": {"evaluations_semantic": "deny_on_first_deny"}})
    check("Decision", {"decision": False})
    for path in (ONE, MANY, "/t/{tenant}" + ONE, "/t/{tenant}" + MANY):
        need("200" in described["paths"][path]["post"]["responses"], path)


if __name__ == "__main__":
    run_cases(decisions_are_those_of_the_policies_and_recorded, batches_stop_where_they_are_told_to,
              requests_that_are_no_questions_are_refused, only_authenticated_callers_are_answered, request_ids_come_back,
              metadata_and_description_fit)
