#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""max_tokens of a token holds every request to it: in the redeemer, in the keeper, and in policies."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from jose import new_client_key  # noqa: E402
from front import Front  # noqa: E402
from lab import Lab, need, run_cases, wait_until  # noqa: E402
from pace import clock  # noqa: E402


def use(**limits):
    return {"type": "credential_use", "credential": "openai-prod", **limits}


def redeems_are_held_to_the_token():
    with Lab() as lab:
        lab.serve()
        token = lab.token(lab.subject_token("pipeline-7", ["ci"]), [use(max_tokens=4096)])
        for asked in (1, 4096):
            answer = lab.redeem(token, max_tokens=asked)
            need(answer.status == 200 and answer.json["cache_s"] > 0, answer)
            need((answer.json["max_tokens_from"], answer.json["max_tokens_to"]) == (1, 4096), answer)
        answer = lab.redeem(token, max_tokens=4097)
        need(answer.status == 403 and answer.json["error"]["code"] == "max_tokens_exceeded", answer)
        need("at most 4096" in answer.json["error"]["message"] and "4097" in answer.json["error"]["message"], answer)
        answer = lab.redeem(token)  # as an older forwarder asks
        need(answer.status == 403 and answer.json["error"]["code"] == "max_tokens_required", answer)
        need("4096" in answer.json["error"]["message"] and 'Set "max_completion_tokens" or "max_tokens"' in answer.json["error"]["message"], answer)
        answer = lab.redeem(token, path="/v1/responses")
        need('Set "max_output_tokens" to' in answer.json["error"]["message"], answer)
        answer = lab.redeem(token, path="/v1/embeddings")
        need(answer.status == 403 and "can not set one" in answer.json["error"]["message"], answer)
        for wrong in (0, -1, 1.5, "9", None, True, 2 ** 60, [1]):
            answer = lab.redeem(token, max_tokens=wrong)
            need(answer.status == 400 and "max_tokens" in answer.json["error"]["message"], answer)
        free = lab.redeem(lab.token(lab.subject_token("pipeline-7", ["ci"])), max_tokens=10 ** 6)
        need(free.status == 200 and "max_tokens_to" not in free.json, free)
        seen = [(entry["outcome"], entry.get("max_tokens"), entry.get("reason", "")) for entry in lab.audit() if entry["kind"] == "redeem"]
        need(("allow", 4096, "") in seen and ("allow", 10 ** 6, "") in seen, seen)
        need(any(outcome == "deny" and asked == 4097 and "max_tokens" in reason for outcome, asked, reason in seen), seen)
        need(any(outcome == "deny" and asked is None and "max_tokens" in reason for outcome, asked, reason in seen), seen)


def another_part_of_the_token_may_cover_what_is_too_much_for_one():
    with Lab() as lab:
        lab.serve()
        details = [use(models=["gpt-4o*"], max_tokens=100), use(models=["gpt-4o-mini"], max_tokens=1000), use(paths=["/v1/models"], methods=["GET"])]
        token = lab.token(lab.subject_token("pipeline-7", ["ci"]), details)
        need(lab.redeem(token, max_tokens=100).json["max_tokens_to"] == 100, "the first that covers it")
        need(lab.redeem(token, max_tokens=500).json["max_tokens_to"] == 1000, "the second")
        answer = lab.redeem(token, max_tokens=1001)
        need(answer.status == 403 and "at most 1000" in answer.json["error"]["message"], answer)
        need(lab.redeem(token, method="GET", path="/v1/models", model=None).status == 200, "a part without a limit needs no number")


def bound_tokens_keep_their_limit_when_narrowed():
    with Lab() as lab:
        lab.serve()
        key = new_client_key()
        token = lab.token(None, [use(max_tokens=50)], key)
        need(lab.redeem(token, key, max_tokens=50).status == 200, "within")
        answer = lab.redeem(token, key, max_tokens=51)
        need(answer.status == 403 and answer.json["error"]["code"] == "max_tokens_exceeded", answer)


POLICY = """
permit (principal in Group::"ci", action in [Action::"issue", Action::"redeem"], resource == Credential::"openai-prod");
@bearer("allow") permit (principal in Group::"ci", action == Action::"issue", resource == Credential::"openai-prod");
permit (principal in Group::"ci", action == Action::"callModel", resource)
when { context has maxTokens && context.maxTokens <= 2000 };
forbid (principal, action == Action::"issue", resource) when { context has maxTokens && context.maxTokens > 9000 };
"""


def policies_see_the_number():
    with Lab() as lab:
        lab.serve(POLICY)
        subject = lab.subject_token("pipeline-7", ["ci"])
        answer = lab.exchange(subject, [use(max_tokens=9001)])
        need(answer.status == 400 and "access_token" not in answer.json, answer)
        token = lab.token(subject, [use(max_tokens=9000)])
        for asked in (2000, 7):
            answer = lab.redeem(token, max_tokens=asked)
            need(answer.status == 200 and answer.json["cache_s"] > 0, answer)
            need(answer.json["max_tokens_from"] == answer.json["max_tokens_to"] == asked, "good for that number only")
        answer = lab.redeem(token, max_tokens=2001)
        need(answer.status == 403 and answer.json["error"]["code"] == "not_permitted", answer)
        answer = lab.redeem(lab.token(subject))  # no limit in the token, none in the request
        need(answer.status == 403 and answer.json["error"]["code"] == "not_permitted", answer)
        need(lab.redeem(token, max_tokens=2000).status == 200, "a denial in between is not remembered for others")
        question = ["policy", "explain", "--principal", f"{lab.issuer}|pipeline-7", "--group", "ci", "--credential", "openai-prod",
                    "--model", "gpt-4o", "--action", "redeem", "--bearer", "--max-tokens"]
        need(lab.vaultctl(*question, "2000").returncode == 0, "explain allows")
        denied = lab.vaultctl(*question, "2001", check=False)
        need(denied.returncode == 3 and "2001 tokens" in denied.stdout, denied.stdout)
        headers = {"authorization": f"Bearer {subject}", "content-type": "application/json"}
        for asked, decision in ((2000, True), (2001, False)):
            answer = lab.broker("POST", "/access/v1/evaluation", json.dumps(
                {"subject": {"type": "user", "id": "pipeline-7"}, "action": {"name": "callModel"}, "resource": {"type": "model", "id": "gpt-4o"},
                 "context": {"credential": "openai-prod", "max_tokens": asked}}), headers)
            need(answer.status == 200 and answer.json == {"decision": decision}, answer)


def the_forwarder_holds_each_request_to_it():
    """nginx and the vault together: most requests are answered from the cache, and none escapes."""
    with Lab() as lab:
        lab.serve()
        with Front(lab) as front:
            front.provider.good.add("sk-real-secret-0001")
            token = lab.token(lab.subject_token("pipeline-7", ["ci"]), [use(max_tokens=100)])
            free = lab.token(lab.subject_token("pipeline-7", ["ci"]))

            def status(body, with_token=token):
                connection = front.connection()
                connection.request("POST", "/v1/chat/completions", json.dumps(body),
                                   {"content-type": "application/json", "authorization": f"Bearer {with_token}"})
                answer = connection.getresponse()
                text = answer.read()
                connection.close()
                return answer.status, json.loads(text)["error"] if answer.status >= 400 else None

            def opened():
                return sum(entry["kind"] == "redeem" and entry["outcome"] == "allow" for entry in lab.audit())

            def is_kept():
                status({"model": "m", "max_tokens": 7})
                before = opened()
                status({"model": "m", "max_tokens": 8})
                return opened() == before

            wait_until("the cache", is_kept)
            before, begun = opened(), clock()
            for number in (1, 100, 50):
                need(status({"model": "m", "max_tokens": number})[0] == 200, number)
            need(opened() == before, "numbers inside the limit share one answer")
            for body, code in (({"max_tokens": 101}, "max_tokens_exceeded"), ({"max_tokens": 40, "n": 3}, "max_tokens_exceeded"), ({}, "max_tokens_required"),
                               ({"max_tokens": 5, "max_completion_tokens": 101}, "max_tokens_exceeded"), ({"max_tokens": None}, "max_tokens_required"),
                               ({"max_tokens": -1}, "max_tokens_required")):
                answer, error = status({"model": "m", **body})
                need(answer == 403 and error["type"] == "permission_error" and error["code"] == code, (body, answer, error))
            answer, error = status({"model": "m", "max_tokens": 1.5})
            need(answer == 400 and error["type"] == "invalid_request_error", (answer, error))
            for body in ({"model": "m"}, {"model": "m", "max_tokens": 10 ** 6}, {"model": "m", "max_tokens": -1}):
                need(status(body, free)[0] == 200, "a token without a limit")
            need(len(front.provider.seen_since(begun)) == 6, "the provider saw what was refused")


if __name__ == "__main__":
    run_cases(redeems_are_held_to_the_token, another_part_of_the_token_may_cover_what_is_too_much_for_one,
              bound_tokens_keep_their_limit_when_narrowed, policies_see_the_number, the_forwarder_holds_each_request_to_it)
