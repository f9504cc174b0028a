"""What a PSP's own documents make of a response, whatever was done to it: the judge of the fuzz, one in each
case book."""

import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import orjson

from commands.messages import Outcome
from gateways.contract import Call, Gateway, HttpResponse
from tests.gateways.conformance.cases import CHARGE_ATTEMPTS

Interpret = Callable[[Call, HttpResponse], Outcome | None]


@dataclass(frozen=True, slots=True)
class Oracle:
    """`done`: how much of the call this object of a response shows by itself as done, in minor units of the
    call's currency; None: nothing. `responses`: true ones, each beside the call that they are read for.
    `likely`: values that an adapter might take for something. `known_as`: the operation's id at the PSP.
    `statuses`: the HTTP statuses with which the PSP reports such an outcome, by the beginning of its kind.
    `bare`: a kind of call and the status that approves it without a body. `ended`: whether this object shows
    that nothing was taken; None: not judged. `is_id`: whether the PSP could have given such an id."""

    done: Callable[[Call, Mapping[str, Any]], int | None]
    responses: Sequence[tuple[Call, Sequence[HttpResponse]]]
    likely: Sequence[Any]
    known_as: Callable[[Call], str]
    statuses: Mapping[str, Container[int]]
    bare: frozenset[tuple[str, int]] = field(default_factory=frozenset)
    ended: Callable[[Mapping[str, Any]], bool] | None = None
    is_id: Callable[[str], bool] = bool

    def judge(self, outcome: Outcome | None, call: Call, response: HttpResponse) -> None:
        """Fails where the outcome is not what the response shows of the call."""
        if outcome is None:
            return
        at_fault = (outcome, call, response.status, response.body)
        if outcome.kind == "APPROVED" and (call.kind, response.status) not in self.bare:
            done = {self.done(call, one) for one in objects_of(response.body)}
            assert outcome.amount_minor in done - {None}, at_fault
        if outcome.kind == "APPROVED":
            assert outcome.currency == call.currency, at_fault
        if outcome.kind == "EXPIRED" and self.ended is not None:
            assert any(map(self.ended, objects_of(response.body))), at_fault
        for kind, statuses in self.statuses.items():
            assert not outcome.kind.startswith(kind) or response.status in statuses, at_fault
        if outcome.next_step is not None:
            assert outcome.kind in {"PENDING", "ACTION_REQUIRED"}, at_fault
            assert call.kind in CHARGE_ATTEMPTS, at_fault
        assert outcome.psp_id is None or self.is_id(outcome.psp_id), at_fault

    def readers(self, gateway: Gateway, call: Call) -> list[tuple[Call, Interpret]]:
        """Everything that reads a response, with each call that it may read it for."""
        known = replace(call, psp_id=self.known_as(call))
        found: list[tuple[Call, Interpret]] = [
            (call, gateway.outcome),
            (call, gateway.found),
            (known, gateway.found),
        ]
        return (
            [*found, (replace(known, step="x"), gateway.cancelled)] if call.kind in CHARGE_ATTEMPTS else found
        )


@lru_cache(maxsize=1)
def objects_of(body: bytes) -> tuple[dict[str, Any], ...]:
    """Reads each JSON object of a body, at any depth: as leniently as an adapter may, which repairs a text
    with half a surrogate pair. One body in turn is read for many calls, so that the last one is kept."""
    return tuple(_objects(json.loads(body.decode(errors="replace"))))


def _objects(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, dict):
        yield content
    for one in (
        content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    ):
        if isinstance(one, dict | list):
            yield from _objects(one)


def each_change(raw: bytes, values: Sequence[Any]) -> Iterator[bytes]:
    """Yields the JSON body with each of the values in turn at each of its places. The content is changed in
    place and put back: a copy for each change would be most of the work."""
    content = json.loads(raw)
    for node, name in list(_places(content)):
        kept = node[name]
        for value in values:
            node[name] = value
            yield orjson.dumps(content)
        node[name] = kept


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    inner = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for name, value in inner:
        yield content, name
        yield from _places(value)
