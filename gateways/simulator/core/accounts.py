"""The accounts of the simulator. Each is an account of its own at one PSP: its own payments, keys and
webhooks.
"""

import hmac
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError

from commands import wording
from gateways.simulator.core.fees import Charged, Price, Prices

_NAME: Final = r"^[a-z0-9][a-z0-9_.-]{0,40}$"


@dataclass(frozen=True, slots=True)
class Account:
    """`login`: what goes with the secret where the PSP has such a thing: a public key, a client id, a key
    id. `fees`: the account's own prices; None: the PSP's."""

    name: str
    gateway: str
    secret: str = field(repr=False)
    login: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    webhook_url: str | None = None
    webhook_secret: str = field(default="", repr=False)
    fees: Prices | None = None

    def flag(self, option: str) -> bool:
        """True if a `true|false` option is on; it is off where the account does not set it."""
        return self.options.get(option) == "true"

    def number(self, option: str, default: int = 0) -> int:
        """The whole number that an option sets, else `default`."""
        return int(self.options.get(option, default))


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    gateway: str
    secret: Annotated[str, Field(min_length=1)]
    login: str = ""
    options: dict[str, str] = {}
    webhook_url: HttpUrl | None = None
    webhook_secret: str = ""
    fees: dict[Charged, Price] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    accounts: dict[Annotated[str, Field(pattern=_NAME)], _Section] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Accounts:
    """Every account, in the order of the file. `well_known`: their secrets stand in the program, so a page
    may show them."""

    all: Sequence[Account]
    well_known: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a TOML file with a table `[accounts.<name>]` for each. Raises `ValueError`, whose text shows
        no secret."""
        try:
            file = _File.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"this is no TOML ({error})") from None
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"] if part != "[key]")
            raise ValueError(f"{where or 'accounts'}: {wording.sentence(first)}") from None
        accounts = [_account(name, section) for name, section in file.accounts.items()]
        met: dict[tuple[str, str, str], str] = {}
        for one in accounts:
            other = met.setdefault((one.gateway, one.login, one.secret), one.name)
            if other != one.name:
                raise ValueError(f"{other} and {one.name} sign in with the same secret")
        return cls(accounts)

    def of(self, gateway: str) -> list[Account]:
        """The accounts of one PSP, in the order of the file. Empty: it has none."""
        return [one for one in self.all if one.gateway == gateway]

    def admitted(self, gateway: str, secret: str, login: str | None = None) -> Account | None:
        """The account that signs in with this secret and login, else None. It compares every account, so that
        the time does not show which one was nearly right."""
        found = None
        for one in self.of(gateway):
            right = _same(secret, one.secret) & (login is None or _same(login, one.login))
            found = one if right else found
        return found

    def named(self, gateway: str, name: str) -> Account | None:
        """The account of this name at the PSP. None: the ledger knows it, and the settings no longer do."""
        return next((one for one in self.of(gateway) if one.name == name), None)

    def is_first(self, account: Account) -> bool:
        """True if the account is the one that the file names first for its PSP."""
        return self.of(account.gateway)[0] == account


def _account(name: str, section: _Section) -> Account:
    return Account(
        name=name,
        gateway=section.gateway,
        secret=section.secret,
        login=section.login,
        options=section.options,
        webhook_url=None if section.webhook_url is None else str(section.webhook_url),
        webhook_secret=section.webhook_secret,
        fees=section.fees,
    )


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), known.encode())
