"""The accounts of the simulator: each secret key is a Stripe account of its own, with its own intents and keys."""

import hmac
import re
from dataclasses import dataclass
from typing import Final, Self

DEFAULT: Final = "default"
CAPTURES_MAX: Final = 50  # of one intent, where multicapture is available

_PAIR: Final = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9_.-]*)(?P<options>(?:\+[a-z]+(?::\d+)?)*)=(?P<key>[^=,\s]+)"
)


@dataclass(frozen=True, slots=True)
class Account:
    """`overcapture_percent`: by how much a capture may exceed what was authorized."""

    name: str
    multicapture: bool = False
    overcapture_percent: int = 0


@dataclass(frozen=True, slots=True)
class Accounts:
    by_key: dict[str, Account]

    @classmethod
    def parse(cls, text: str) -> Self:
        """One plain key, or `name=key` pairs with a comma between them; a name may have options: `name+multicapture=key`,
        `name+overcapture:20=key`. Raises `ValueError`, whose text shows no key."""
        if "=" not in text and "," not in text and text.strip():
            return cls({text.strip(): Account(DEFAULT)})
        by_key: dict[str, Account] = {}
        for number, pair in enumerate(text.split(","), 1):
            matched = _PAIR.fullmatch(pair.strip())
            if matched is None:
                raise ValueError(f"the {number}. account is not name=key")
            account = _with_options(matched["name"], matched["options"].split("+")[1:])
            if matched["key"] in by_key or account.name in {one.name for one in by_key.values()}:
                raise ValueError(f"two accounts share a name or a key: {account.name}")
            by_key[matched["key"]] = account
        return cls(by_key)

    def of_key(self, key: bytes) -> Account | None:
        """Looks at every key, so that the time says nothing about which one was nearly right."""
        found = None
        for known, account in self.by_key.items():
            if hmac.compare_digest(key, known.encode()):
                found = account
        return found

    def named(self, name: str) -> Account:
        """An account that the ledger knows but the settings no longer do has no options."""
        return next((one for one in self.by_key.values() if one.name == name), Account(name))

    def is_first(self, name: str) -> bool:
        return next(iter(self.by_key.values())).name == name


def _with_options(name: str, options: list[str]) -> Account:
    multicapture, overcapture_percent = False, 0
    for option in options:
        word, _, number = option.partition(":")
        if option == "multicapture":
            multicapture = True
        elif word == "overcapture" and number:
            overcapture_percent = int(number)
        else:
            raise ValueError(f"the account {name} has an option that nobody knows: {option}")
    return Account(name, multicapture, overcapture_percent)
