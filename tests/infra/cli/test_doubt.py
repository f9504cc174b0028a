"""`aegispay doubt`: its sentences."""

from infra.cli.doubt import _responses


def _event(version: int, **data: object) -> dict[str, object]:
    return {"version": version, "type": "operation.unknown.v1", "data": data}


def test_a_query_that_leaves_the_doubt_shows_what_the_psp_has_responded_since():
    before = _event(4, source="query", code="old")
    call = _event(6, source="call", code="lost")
    response = _event(7, source="query", code="processing", detail="wait for the bank")

    assert _responses({"events": [before, call, response]}, after=5) == (
        "the PSP responded: unknown by query: code processing (wait for the bank)"
    )
    assert _responses({"events": [before, call]}, after=5) == "the PSP has not responded yet"
