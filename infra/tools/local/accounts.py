"""The PSP accounts of a stack, in two files: the one that AegisPay reads and, as the same accounts, the
one that its simulator reads. Each account has secrets of its own, made once for a data folder."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_MERCHANTS: Final[Mapping[str, Sequence[str] | None]] = {"demo": None, "other": ("sim-eu",)}
"""Each merchant with its accounts; None: all. Both have the first: what keeps merchants apart must not be the
account."""
MERCHANTS: Final = tuple(_MERCHANTS)

_CURRENCIES: Final = ("EUR", "USD", "GBP", "SEK", "JPY")


@dataclass(frozen=True, slots=True)
class _Kind:
    """The form of a secret: its beginning, and how many random bytes follow in hex."""

    begins: str
    bytes: int

    def make(self) -> str:
        return self.begins + secrets.token_hex(self.bytes)


@dataclass(frozen=True, slots=True)
class Account:
    """An account at a simulated PSP.

    `ours`: options of AegisPay's account. `theirs`: of the simulator's. `fees`: what AegisPay expects the PSP
    to charge, a table for each price. `their_fees`: what the simulator charges, where that is not what its
    page says; the two are written apart, since one is to find faults in the other. `login`: which of ours is
    the simulator's login. `webhook`: None if webhooks are signed with `secret` or with no shared secret.
    `webhooks_need`: the option without which the account takes no webhooks.
    """

    name: str
    gateway: str
    secret: _Kind
    webhook: _Kind | None
    ours: Mapping[str, str] = field(default_factory=dict)
    theirs: Mapping[str, str] = field(default_factory=dict)
    fees: Sequence[Mapping[str, object]] = ()
    their_fees: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    login: str | None = None
    signs_with_secret: bool = False
    webhooks_need: str | None = None

    @property
    def multicapture(self) -> bool:
        """True if the PSP lets the account capture an authorization several times."""
        return self.theirs.get("multicapture") == "true"

    @property
    def webhook_secret_files(self) -> list[str]:
        """The names of the files that hold the keys of its webhooks."""
        if self.webhook is not None:
            return [f"{self.name}.webhook.key"]
        return [f"{self.name}.key"] if self.signs_with_secret else []


_STRIPE: Final = _Kind("sk_test_", 24)
_WHSEC: Final = _Kind("whsec_", 24)


def _cards(percent: str, *fixed: str, **more: object) -> dict[str, object]:
    """The table of what is charged when money is taken."""
    price: dict[str, object] = {"id": "cards", "on": ["sale", "capture"], "percent": percent}
    return price | ({"fixed": list(fixed)} if fixed else {}) | more


def _disputes(*fixed: str) -> dict[str, object]:
    return {"id": "disputes", "on": ["dispute"], "fixed": list(fixed)}


def _free(*kinds: str) -> dict[str, object]:
    return {"id": "free", "on": list(kinds), "free": True}


_REST_FREE: Final = _free("authorize", "void", "refund")

ACCOUNTS: Final[Sequence[Account]] = (
    Account(
        "sim-eu",
        "stripe",
        _STRIPE,
        _WHSEC,
        fees=(
            _cards("1.5", "0.25 EUR", "0.20 GBP", "40 JPY", "1.80 SEK", "0.30 USD"),
            _disputes("20 EUR", "20 GBP", "15 USD"),
            _REST_FREE,
        ),
    ),
    Account(
        "sim-us",
        "stripe",
        _STRIPE,
        _WHSEC,
        theirs={"multicapture": "true"},
        fees=(
            _cards("2.9", "0.30 EUR", "0.30 GBP", "45 JPY", "3.00 SEK", "0.30 USD"),
            _disputes("15 EUR", "15 GBP", "15 USD"),
            _REST_FREE,
        ),
        their_fees={
            "captured": {
                "percent": "2.9",
                "fixed": {"EUR": "0.30", "GBP": "0.30", "JPY": "45", "SEK": "3.00", "USD": "0.30"},
            },
            "disputed": {"fixed": {"EUR": "15", "GBP": "15", "USD": "15"}},
        },
    ),
    Account(
        "sim-adyen",
        "adyen",
        _Kind("AQE", 24),
        _Kind("", 32),
        ours={"merchant_account": "AegisDemo"},
        theirs={"merchant_account": "AegisDemo"},
        fees=(
            _cards("0.6", "0.11 EUR", "0.10 GBP", "20 JPY", "1.30 SEK", "0.13 USD"),
            {
                "id": "refunds",
                "on": ["refund"],
                "fixed": ["0.11 EUR", "0.10 GBP", "20 JPY", "1.30 SEK", "0.13 USD"],
            },
            _free("authorize", "void", "dispute"),
        ),
    ),
    Account(
        "sim-paypal",
        "paypal",
        _Kind("EJ", 24),
        None,
        ours={"client_id": "aegispay-demo-client", "webhook_id": "AEGISPAYDEMO"},
        theirs={"webhook_id": "AEGISPAYDEMO"},
        fees=(
            _cards("3.49", "0.39 EUR", "0.39 GBP", "49 JPY", "4.09 SEK", "0.49 USD"),
            _disputes("14 EUR", "12 GBP", "15 USD"),
            _REST_FREE,
        ),
        login="client_id",
        webhooks_need="webhook_ca",
    ),
    Account(
        "sim-braintree",
        "braintree",
        _Kind("", 16),
        None,
        ours={
            "public_key": "aegispaydemo",
            "merchant_accounts": ",".join(f"{code}=demo_{code.lower()}" for code in _CURRENCIES),
            "api_request_key": "true",
        },
        theirs={
            "merchant_accounts": ",".join(f"{code}=demo_{code.lower()}" for code in _CURRENCIES),
            "api_request_key": "true",
            "amounts_decide": "false",  # a shop's prices are no test values
        },
        fees=(
            _cards("2.89", "0.29 EUR", "0.29 GBP", "0.29 USD", rounding="down"),
            _disputes("15 EUR", "15 GBP", "15 USD"),
            _REST_FREE,
        ),
        login="public_key",
        signs_with_secret=True,
    ),
    Account(
        "sim-razorpay",
        "razorpay",
        _Kind("", 12),
        _Kind("", 16),
        ours={
            "key_id": "rzp_test_aegispaydemo",
            "email": "orders@shop.example",
            "contact": "+919000090000",
        },
        fees=(_cards("2", tax_percent="18"), _free("authorize", "void", "refund", "dispute")),
        login="key_id",
    ),
)


def make_secrets() -> dict[str, str]:
    """Returns a new secret for each file, by the file's name without `.key`."""
    made = {account.name: account.secret.make() for account in ACCOUNTS}
    webhooks = {f"{one.name}.webhook": one.webhook.make() for one in ACCOUNTS if one.webhook is not None}
    return made | webhooks


def of_aegispay(simulator_url: str, more: Mapping[str, Mapping[str, str]]) -> str:
    """Returns AegisPay's accounts file as TOML. `more`: options that are known only when the stack is
    planned, by account."""
    lines: list[str] = []
    for merchant, chosen in _MERCHANTS.items():
        names = [account.name for account in ACCOUNTS if chosen is None or account.name in chosen]
        lines += [f"[merchants.{merchant}]", f"accounts = {json.dumps(names)}", ""]
    for account in ACCOUNTS:
        options = {**account.ours, **more.get(account.name, {})}
        lines += [
            f"[accounts.{account.name}]",
            f"gateway = {json.dumps(account.gateway)}",
            f"base_url = {json.dumps(f'{simulator_url}/{account.gateway}')}",
            f"secret_file = {json.dumps(f'{account.name}.key')}",
            f"multicapture = {json.dumps(account.multicapture)}",
        ]
        if _takes_webhooks(account, more):
            lines.append(f"webhook_secret_files = {json.dumps(account.webhook_secret_files)}")
        lines += _options(account.name, options)
        for table in account.fees:
            lines += [f"[[accounts.{account.name}.fees]]", *_values(table)]
        lines.append("")
    return "\n".join(lines)


def of_simulator(made: Mapping[str, str], api_url: str | None, more: Mapping[str, Mapping[str, str]]) -> str:
    """Returns the simulator's accounts file as TOML. `api_url`: where it sends webhooks; None: it sends
    none. `more`: the same as for AegisPay."""
    lines: list[str] = []
    for account in ACCOUNTS:
        lines += [
            f"[accounts.{account.name}]",
            f"gateway = {json.dumps(account.gateway)}",
            f"secret = {json.dumps(made[account.name])}",
        ]
        if account.login is not None:
            lines.append(f"login = {json.dumps(account.ours[account.login])}")
        if api_url is not None and _takes_webhooks(account, more):
            url = f"{api_url}/webhooks/{account.gateway}/{account.name}"
            secret = made.get(f"{account.name}.webhook", "")
            lines += [f"webhook_url = {json.dumps(url)}", f"webhook_secret = {json.dumps(secret)}"]
        lines += _options(account.name, account.theirs)
        for charged, price in account.their_fees.items():
            lines += [f"[accounts.{account.name}.fees.{charged}]", *_values(price)]
        lines.append("")
    return "\n".join(lines)


def _takes_webhooks(account: Account, more: Mapping[str, Mapping[str, str]]) -> bool:
    return account.webhooks_need is None or account.webhooks_need in more.get(account.name, {})


def _options(name: str, options: Mapping[str, str]) -> Iterator[str]:
    if options:
        yield f"[accounts.{name}.options]"
        yield from _values(options)


def _values(table: Mapping[str, object]) -> Iterator[str]:
    yield from (f"{key} = {_toml(value)}" for key, value in table.items())


def _toml(value: object) -> str:
    """A text, a list or a truth value reads the same in JSON; a table does not."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(of)}' for key, of in value.items())} }}"
    return json.dumps(value)
