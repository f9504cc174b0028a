"""What a sample says of a call: each class of outcome, and what is none of the PSP's."""

from datetime import UTC, datetime
from typing import Any

import pytest

from commands.messages import Outcome
from commands.samples import Sample
from gateways.agent.ports import Source, StepResult
from gateways.agent.request import Request, read
from gateways.agent.sampling import sample_of
from gateways.contract import HttpResponse
from gateways.registry import ADAPTERS
from tests.gateways.agent.lookups import follow_up, started

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
SEGMENT = "sale/card/EUR/eea"


def request_of(how: str | None = None, **more: Any) -> Request:
    record = started(segment=SEGMENT, **more) if how is None else follow_up(how, segment=SEGMENT, **more)
    return read(record, lambda operation_id, until: None)


def sampled(kind: str, source: Source = "call", tries: int = 1, how: str | None = None, **fields: Any):
    outcome = Outcome.model_validate({"kind": kind} | fields)
    result = StepResult("1", outcome, source, tries, AT, 12.5 if source in {"call", "query"} else None)
    return sample_of(request_of(how), result, AT)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("APPROVED", "approved"),
        ("DECLINED_SOFT", "declined"),
        ("DECLINED_HARD", "declined"),
        ("PENDING", "pending"),
        ("ACTION_REQUIRED", "pending"),
        ("UNKNOWN", "unknown"),
    ],
)
def test_a_response_has_its_class_and_its_latency(kind, expected):
    found = sampled(kind, code="a_code")

    assert found == Sample(
        kind="sale",
        segment=SEGMENT,
        outcome=expected,
        latency_ms=12.5,
        error="a_code" if expected == "unknown" else None,
        at=AT,
    )


@pytest.mark.parametrize("kind", ["NOT_SENT", "UNREACHED"])
@pytest.mark.parametrize("code", ["connect_failed", "dns_failed", "sign_in_timeout", "http_503"])
def test_a_psp_that_could_not_be_reached_or_was_not_available_has_failed(kind, code):
    found = sampled(kind, source="none", tries=0, unreached=True, code=code)

    assert found is not None
    assert (found.outcome, found.error, found.latency_ms) == ("failed", code, None)


@pytest.mark.parametrize("said", [{"code": "rate_limited"}, {"code": "capacity", "again_after_s": 30}])
def test_a_psp_that_has_no_room_for_the_moment_has_failed(said):
    found = sampled("NOT_SENT", **said)

    assert found is not None
    assert found.outcome == "failed"


@pytest.mark.parametrize("gateway", ADAPTERS.values(), ids=ADAPTERS)
def test_each_adapters_outcome_of_a_429_counts_as_failed(gateway):
    call = request_of().call
    outcome = gateway.outcome(call, HttpResponse(429, {}, b"{}"))
    result = StepResult("1", outcome, "call", 1, AT, 12.5)

    found = sample_of(request_of(), result, AT)

    assert found is not None
    assert found.outcome in {"failed", "unknown"}


@pytest.mark.parametrize(
    "ours",
    [
        {"kind": "NOT_SENT", "code": "account_not_configured", "hint": "CONFIG", "source": "none"},
        {"kind": "NOT_SENT", "code": "sign_in_refused", "hint": "CONFIG", "source": "none"},
        {"kind": "UNKNOWN", "code": "http_401", "hint": "CONFIG"},
        {"kind": "NOT_SENT", "code": "currency_not_supported", "source": "none"},
        {"kind": "NOT_SENT", "code": "url_invalid", "source": "none"},
        {"kind": "NOT_SENT", "code": "parameter_invalid", "hint": "FIX_INPUT"},
        {"kind": "NOT_SENT", "code": "too_late_to_send", "unreached": True, "source": "none"},
        {"kind": "UNREACHED", "code": "circuit_open", "unreached": True, "source": "none"},
        {"kind": "NOT_SENT", "code": "circuit_open", "unreached": True, "source": "none"},
        {"kind": "NOT_SENT", "code": "expired", "source": "none"},
    ],
)
def test_what_is_ours_is_no_sample(ours):
    assert sampled(**ours) is None


@pytest.mark.parametrize("kind", ["APPROVED", "DECLINED_HARD", "UNKNOWN", "NOT_SENT"])
def test_a_stored_result_was_sampled_when_it_came(kind):
    assert sampled(kind, source="stored") is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("APPROVED", "approved"), ("DECLINED_SOFT", "declined"), ("PROVEN_ABSENT", "failed")],
)
@pytest.mark.parametrize("how", ["query", "confirm"])
def test_a_query_that_finds_out_how_an_unknown_call_ended_says_so(kind, expected, how):
    found = sampled(kind, source="query", tries=1, how=how, code="not_found")

    assert found is not None
    assert (found.outcome, found.late, found.latency_ms) == (expected, "query", None)


@pytest.mark.parametrize("kind", ["UNKNOWN", "PENDING", "ACTION_REQUIRED", "EXPIRED"])
def test_a_query_that_finds_out_no_more_is_no_sample(kind):
    assert sampled(kind, source="query", how="query") is None


def test_a_step_that_was_never_sent_shows_nothing():
    assert sampled("PROVEN_ABSENT", source="query", how="query", code="never_sent", unreached=True) is None


def test_a_repeat_is_the_same_transaction():
    found = sampled("APPROVED", tries=2, how="repeat")

    assert found is not None
    assert (found.outcome, found.late) == ("approved", "repeat")


@pytest.mark.parametrize("how", ["cancel", "release"])
@pytest.mark.parametrize("kind", ["EXPIRED", "APPROVED", "UNKNOWN"])
def test_a_cancel_is_no_transaction(how, kind):
    assert sampled(kind, how=how) is None


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("http_503", "http_503"),
        ("gateway timeout!", "gateway_timeout_"),
        ("x" * 90, "x" * 64),
        ("4111111111111111", "other"),
        (None, "other"),
    ],
)
def test_the_kind_of_an_error_is_a_short_name_without_card_data(code, error):
    found = sampled("UNKNOWN", code=code)

    assert found is not None
    assert found.error == error


@pytest.mark.parametrize("segment", [None, 7, "a/b/c/d/e", "sale/with spaces", "x" * 100])
@pytest.mark.parametrize("probe", [None, "perhaps", {}])
def test_a_segment_or_a_probe_that_cannot_be_read_refuses_no_request(segment, probe):
    found = read(started(segment=segment, probe=probe), lambda operation_id, until: None)

    assert (found.segment, found.probe) == ("", False)


def test_a_probe_says_so():
    request = request_of(probe=True)
    result = StepResult("1", Outcome(kind="APPROVED"), "call", 1, AT, 5.0)

    found = sample_of(request, result, AT)

    assert found is not None
    assert found.probe
