"""What may become of a response on its way, or in a PSP that errs."""

import random
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

import orjson

from gateways.contract import HttpResponse

# Not 204, which has no body.
_STATUSES: Final = (*[200] * 4, 201, 302, 400, 401, 402, 404, 409, 422, 429, 500, 503, 0, -1, 999)
_LIKELY_NAMES: Final = ("id", "status", "amount", "error", "errors", "data", "value")
ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1.5, 2**63, 1e308),
    *("", " ", "0", "-1", "NaN", "1e3", "٣", "\ud800", "x" * 5000),
    *([], {}, [[]], {"": None}, [None], "4111111111111111", "USD", "usd", "EUR", "INR"),
    *("succeeded", "COMPLETED", "SETTLED", "Authorised", "PartiallyAuthorised", "captured", "processed"),
)
"""Of any type and any size, and what PSPs call a success."""


class Mutator:
    """Changes bodies at random. `pool`: values that go in another value's place. `write`: the body of some
    content; it raises `TypeError` for a lone surrogate."""

    def __init__(
        self, dice: random.Random, pool: list[Any], write: Callable[[Any], bytes] = orjson.dumps
    ) -> None:
        self.dice = dice
        self.pool = pool
        self.write = write

    def response(self, response: HttpResponse) -> HttpResponse:
        status = response.status if self.dice.random() < 0.8 else self.dice.choice(_STATUSES)
        headers = dict(response.headers)
        if headers and self.dice.random() < 0.1:
            headers[self.dice.choice(list(headers))] = self.dice.choice(
                ["", "true", "false", "\0", "x" * 500]
            )
        return HttpResponse(status, headers, self.body(response.body))

    def body(self, raw: bytes) -> bytes:
        try:
            content = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return self._bytes(raw)
        return self._written(content)

    def body_of(self, content: Any) -> bytes:
        """Writes the content with one to three changes, and leaves it as it is."""
        return self._written(deepcopy(content))

    def _written(self, content: Any) -> bytes:
        for _ in range(self.dice.randint(1, 3)):
            content = self._tree(content)
        try:
            raw = self.write(content)
        except TypeError:  # a lone surrogate: JSON can say it all the same
            raw = re.sub(rb'"@surrogate@"', rb'"\\ud800"', self.write(_speakable(content)))
        return self._bytes(raw) if self.dice.random() < 0.1 else raw

    def _tree(self, content: Any) -> Any:
        if not isinstance(content, dict | list) or not content:
            return deepcopy(self.dice.choice(self.pool))
        node = content
        while True:
            name: Any = self.dice.choice(list(node) if isinstance(node, dict) else range(len(node)))
            inner = node[name]
            if isinstance(inner, dict | list) and inner and self.dice.random() < 0.8:
                node = inner
                continue
            match self.dice.random():
                case below if below < 0.6:
                    node[name] = deepcopy(self.dice.choice(self.pool))
                case below if below < 0.8:
                    del node[name]
                case _ if isinstance(node, list):
                    node.append(deepcopy(inner))
                case _:
                    node[self.dice.choice(_LIKELY_NAMES)] = deepcopy(inner)
            return content

    def _bytes(self, raw: bytes) -> bytes:
        if not raw or self.dice.random() < 0.2:
            return self.dice.randbytes(self.dice.randint(0, 60))
        place = self.dice.randrange(len(raw))
        if self.dice.random() < 0.5:
            return raw[:place]
        return raw[:place] + self.dice.randbytes(1) + raw[place + self.dice.randint(0, 4) :]


def _speakable(content: Any) -> Any:
    match content:
        case dict():
            return {name: _speakable(inner) for name, inner in content.items()}
        case list():
            return [_speakable(inner) for inner in content]
        case "\ud800":
            return "@surrogate@"
        case _:
            return content
