"""Routing policies by HTTP, on a real PostgreSQL."""

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from aggregates.routing.policy import Policy
from infra.postgres.api_keys import SCOPES
from tests.support.api import Answer, Api
from tests.support.policies import KIM, activate, api_session
from tests.support.until import until

pytestmark = pytest.mark.stack

_PATH = "/v1/routing/policies"
_JSON, _YAML = {"Content-Type": "application/json"}, {"Content-Type": "application/yaml"}
_WORDS = {"who": "Kim", "reason": "the new contract"}
_BY_HAND = b"""
accounts: [b, a]  # the cheaper one first
rules:
  - id: nordic
    when: {country: [NO], time: {since: 22:00, until: 06:00}}
    then: {prefer: [a]}
"""


async def _draft(api: Api, document: Any, headers: dict[str, str] = _JSON, **more: Any) -> Answer:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    words = urlencode(more.pop("words", _WORDS))
    return await api.ask(
        "PUT", f"{_PATH}/draft?{words}", headers=headers | more.pop("also", {}), data=raw, **more
    )


async def _post(api: Api, what: str, also: dict[str, str] | None = None, **more: Any) -> Answer:
    body = json.dumps(more.pop("words", _WORDS)).encode()
    return await api.ask("POST", f"{_PATH}/{what}", headers=_JSON | (also or {}), data=body, **more)


async def _versions(api: Api, **more: Any) -> Any:
    return (await api.get(_PATH, **more)).body


async def test_a_policy_goes_from_draft_to_active_and_back(api):
    assert await _versions(api) == {
        "merchant_id": "demo",
        "change": 0,
        "active": None,
        "draft": None,
        "stopped_arms": {},
        "versions": [],
        "next_before": None,
    }

    first = await _draft(api, _BY_HAND, _YAML)
    assert (first.status, first.headers["ETag"]) == (200, '"2"'), first.raw
    assert first.body == {"version": 1, "state": "draft", "change": 2, "findings": []}
    activated = await _post(api, "1/activate")
    assert (activated.status, activated.body["state"]) == (200, "active")
    await _draft(api, {"accounts": ["a"]})
    await _post(api, "2/activate")
    back = await _post(api, "1/rollback", words={"who": "Lou", "reason": "declines rose"})
    assert (back.body["version"], back.body["state"], back.body["change"]) == (1, "active", 6)

    listed = await _versions(api)
    key = f"(API key {api.key.split('_')[1]})"
    assert (listed["active"], listed["draft"], listed["change"]) == (1, None, 6)
    assert [
        (one["version"], one["state"], one["who"], one["activated_by"]) for one in listed["versions"]
    ] == [
        (2, "former", f"Kim {key}", f"Kim {key}"),
        (1, "active", f"Kim {key}", f"Lou {key}"),
    ]
    assert [one["activation_reason"] for one in listed["versions"]] == ["the new contract", "declines rose"]


async def test_versions_are_listed_a_page_at_a_time(api):
    for name in ("a", "b", "c"):
        await _draft(api, {"accounts": [name]})
    await _post(api, "3/activate")

    first = (await api.get(f"{_PATH}?limit=2")).body
    second = (await api.get(f"{_PATH}?limit=2&before={first['next_before']}")).body

    assert ([one["version"] for one in first["versions"]], first["next_before"]) == ([3, 2], 2)
    assert ([one["version"] for one in second["versions"]], second["next_before"]) == ([1], None)
    assert {(page["active"], page["draft"], page["change"]) for page in (first, second)} == {(3, None, 5)}
    assert second["versions"][0]["state"] == "superseded"


async def test_a_policy_that_did_not_change_is_not_sent_again(api):
    await _draft(api, _BY_HAND, _YAML)
    in_yaml, in_json = {"Accept": "application/yaml"}, {"Accept": "application/json"}

    as_json, as_yaml = await api.get(f"{_PATH}/1", **in_json), await api.get(f"{_PATH}/1", **in_yaml)
    listed = await api.get(_PATH)

    tags = [one.headers["ETag"] for one in (as_json, as_yaml, listed)]
    assert tags == ['"2"', '"2.yaml"', '"2"']
    for path, headers, tag in (
        (f"{_PATH}/1", in_json, tags[0]),
        (f"{_PATH}/1", in_yaml, f'"9", W/{tags[1]}'),
        (_PATH, {}, tags[2]),
    ):
        again = await api.get(path, **headers, **{"If-None-Match": tag})
        assert (again.status, again.raw) == (304, b"")
        assert again.headers["ETag"] in tag
    assert (await api.get(f"{_PATH}/1", **in_yaml, **{"If-None-Match": tags[0]})).status == 200
    # A change may be meant for either form of the state.
    assert (await _post(api, "1/activate", also={"If-Match": tags[1]})).status == 200
    assert (await api.get(_PATH, **{"If-None-Match": tags[2]})).status == 200


async def test_a_document_is_read_in_the_form_that_is_wanted_and_may_be_sent_back(api):
    await _draft(api, _BY_HAND, _YAML)

    as_json = await api.get(f"{_PATH}/draft", Accept="application/json")
    as_yaml = await api.get(f"{_PATH}/1", Accept="application/yaml, application/json;q=0.5")

    assert as_json.headers["Content-Location"] == f"{_PATH}/1"
    assert as_json.body["rules"][0]["when"]["country"] == ["NO"]
    assert as_yaml.headers["Content-Type"] == "application/yaml"
    assert Policy.model_validate(yaml.safe_load(as_yaml.raw)) == Policy.model_validate(as_json.body)
    for again, headers in ((as_json.raw, _JSON), (as_yaml.raw, _YAML)):
        assert (await _draft(api, again, headers)).body["version"] == 1
    for missing in ("active", "7"):
        assert (await api.get(f"{_PATH}/{missing}")).body["code"] == "policy_version_unknown"
    assert (await api.get(f"{_PATH}/newest")).body["code"] == "request_invalid"


async def test_a_version_with_errors_is_kept_as_a_draft_with_its_findings_and_not_activated(
    webhooks_api, new_key
):
    key = new_key()

    draft = await _draft(webhooks_api, {"accounts": ["eu", "us"]}, key=key)
    refused = await _post(webhooks_api, "1/activate", key=key)

    (finding,) = draft.body["findings"]
    assert (finding["severity"], finding["code"], finding["where"]) == (
        "error",
        "unknown_account",
        "accounts.1",
    )
    assert (refused.status, refused.body["code"], refused.body["findings"]) == (
        422,
        "policy_has_errors",
        [finding],
    )
    assert (await _versions(webhooks_api, key=key))["active"] is None
    assert (await _draft(webhooks_api, {"accounts": ["eu", "silent"]}, key=key)).body["findings"] == []
    assert (await _post(webhooks_api, "2/activate", key=key)).status == 200


async def test_a_change_meant_for_another_state_is_refused(api):
    await _draft(api, {"accounts": ["a"]})

    for stale in ('"1"', '"0", "1"', 'W/"2"'):
        refused = await _post(api, "1/activate", also={"If-Match": stale})
        assert (refused.status, refused.body["code"], refused.headers["ETag"]) == (
            412,
            "precondition_failed",
            '"2"',
        )
    assert (await _draft(api, {}, also={"If-Match": '"1"'})).status == 412

    assert (await _post(api, "1/activate", also={"If-Match": '"1", "2"'})).status == 200
    assert (await _draft(api, {}, also={"If-Match": "*"})).status == 200


async def test_only_a_policy_that_is_there_matches_any(api):
    assert (await _draft(api, {"accounts": ["a"]}, also={"If-Match": "*"})).status == 412
    assert (await _draft(api, {"accounts": ["a"]}, also={"If-Match": '"0"'})).status == 200


async def test_of_two_who_change_at_once_the_second_gets_a_conflict(api, environment):
    await _draft(api, {"accounts": ["a"]})
    with environment.connect("admin") as owner:
        with owner.transaction():
            # Nobody's turn: both have loaded the policy, and wait to write.
            owner.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('aegispay policies of ' || current_schema(), 0))"
            )
            both = [asyncio.create_task(_draft(api, {"accounts": [name]})) for name in ("b", "c")]
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
            await until(lambda: len(owner.execute(waiting).fetchall()) == 2)
        answers = await asyncio.gather(*both)

    assert sorted(one.status for one in answers) == [200, 409]
    (lost,) = (one for one in answers if one.status == 409)
    assert lost.body["code"] == "policy_changed"
    assert (await _versions(api))["change"] == 3


async def test_each_merchant_has_a_policy_of_its_own(api, environment, new_key):
    async with api_session(environment) as connection:
        await activate(connection, "other", accounts=["x"])

    assert (await _versions(api))["versions"] == []
    assert (await _versions(api, key=new_key("other")))["active"] == 1
    assert (await _post(api, "1/activate")).body["code"] == "policy_version_unknown"


async def test_reading_and_changing_need_their_scopes(api, new_key):
    reader = new_key(scopes=["routing:read"])
    blind = new_key(scopes=[one for one in SCOPES if not one.startswith("routing")])

    assert (await api.get(_PATH, reader)).status == 200
    for answer in (
        await api.get(_PATH, blind),
        await api.get(f"{_PATH}/1", blind),
        await _draft(api, {}, key=reader),
        await _post(api, "1/activate", key=reader),
        await _post(api, "1/rollback", key=reader),
    ):
        assert (answer.status, answer.body["code"]) == (403, "scope_missing")


async def test_a_document_that_is_no_policy_is_refused_with_all_its_faults(api):
    refused = await _draft(api, b"accounts: [a]\nstrategy: {kind: success, explore: 5}\nmood: good", _YAML)

    assert (refused.status, refused.body["code"]) == (422, refused.body["code"])
    assert {fault["path"] for fault in refused.body["faults"]} == {"strategy.explore", "mood"}
    assert [fault["line"] for fault in refused.body["faults"]] == [2, 3]


@pytest.mark.parametrize(
    ("raw", "headers", "status", "code"),
    [
        (b"{", _JSON, 400, "not_json"),
        (b"a: [", _YAML, 400, "not_yaml"),
        (b"[]", _JSON, 400, "not_an_object"),
        (b"", _JSON, 400, "not_an_object"),
        (b"# accounts: [a]", _YAML, 400, "not_an_object"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "policy_media_type"),
        (b"#" * 140_000, _YAML, 413, "message_too_large"),
        (b'{"accounts": ["4242424242424242"]}', _JSON, 422, "sensitive_data"),
    ],
)
async def test_what_cannot_be_read_is_a_problem(api, raw, headers, status, code):
    refused = await _draft(api, raw, headers)

    assert (refused.status, refused.body["code"]) == (status, code)
    assert b"4242" not in refused.raw


@pytest.mark.parametrize(
    ("words", "field", "code"),
    [
        ({"who": "Kim"}, "reason", "field_missing"),
        ({"reason": "x"}, "who", "field_missing"),
        ({"who": "", "reason": "x"}, "who", "field_invalid"),
        ({"who": "Kim", "reason": "x" * 256}, "reason", "field_invalid"),
        ({"who": "Kim", "reason": "card 4242 4242 4242 4242"}, "reason", "sensitive_data"),
        ({"who": "Kim", "reason": "x", "mood": "good"}, "mood", "field_unknown"),
    ],
)
async def test_who_and_why_are_needed_for_each_change(api, words, field, code):
    for refused in (await _draft(api, {}, words=words), await _post(api, "1/activate", words=words)):
        assert (refused.status, refused.body["code"], refused.body["path"]) == (422, code, field)
    assert (await _versions(api))["change"] == 0


async def test_a_version_beyond_the_stores_numbers_is_refused(api):
    await _draft(api, {"accounts": ["a"]})

    for what in ("2147483648/activate", "2147483648/rollback"):
        assert (await _post(api, what)).status == 422
    assert (await _post(api, "2147483647/activate")).body["code"] == "policy_version_unknown"


async def test_what_the_rules_refuse_is_a_conflict_with_its_reason(api):
    await _draft(api, {"accounts": ["a"]})
    await _draft(api, {"accounts": ["b"]})

    for what, code in (("1/activate", "policy_not_newest"), ("2/rollback", "policy_never_active")):
        refused = await _post(api, what)
        assert (refused.status, refused.body["code"]) == (409, code)
    assert KIM.who not in refused.body["detail"]
