"""The merchants' PSP accounts and their credentials, from one TOML file and the files of secrets beside it.

[merchants.demo]
accounts = ["sim-eu", "sim-us"]  # in the order in which they are tried
[merchants.demo.retry]           # may be left out; these are the defaults
attempts_max = 3
first_s = 1.0
factor = 2.0
max_s = 30.0
[accounts.sim-eu]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "sim-eu.key"       # relative to this file; or secret_env = "STRIPE_EU_KEY"
webhook_secret_files = ["a.key"] # what its webhooks are signed with, two while it is exchanged, [] where the
                                 # PSP shares no secret; left out: it takes no webhooks
webhook_login_files = ["a.login"] # user:password of Basic authentication in the webhook's settings (Adyen),
                                 # two while it is exchanged; left out: the PSP calls without
multicapture = false             # whether the PSP lets this account capture an authorization several times
overcapture_percent = 0          # by how much a capture may pass the authorization
calls_max = 100                  # in flight at once with this credential
currencies = ["EUR", "USD"]      # which of the PSP's this account takes; left out: all of them
[accounts.sim-eu.options]        # what this PSP needs besides: docs/gateways.md
[[accounts.sim-eu.fees]]         # what it charges, a table for each price: docs/fees.md; unknown without
id = "eea-cards"
on = ["sale", "capture"]
percent = "1.5"
fixed = "0.25 EUR"
"""

import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, field_validator, model_validator

from aggregates.fees import FeeBook, FeeSchedule
from aggregates.routing.accounts import Limit, PspAccount
from aggregates.routing.retries import RetryPolicy
from aggregates.routing.route import Route
from commands import wording
from gateways import registry
from gateways.contract import CALLS_MAX, Credentials, Facts, WebhookKeys
from gateways.registry import ADAPTERS
from infra.errors import Misconfigured
from infra.psp.fees import FeeTable, fee_schedule

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Account(_Table):
    gateway: _Name
    base_url: HttpUrl
    secret_file: Path | None = None
    secret_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,127}$")] | None = None
    webhook_secret_files: list[Path] | None = Field(default=None, max_length=2)
    webhook_login_files: list[Path] | None = Field(default=None, min_length=1, max_length=2)
    multicapture: bool = Field(default=False, strict=True)
    overcapture_percent: int = Field(default=0, strict=True, ge=0, le=100)
    calls_max: int = Field(default=CALLS_MAX, strict=True, ge=1, le=10_000)
    currencies: list[Annotated[str, Field(pattern=r"^[A-Z]{3}$")]] | None = None
    options: dict[_Name, Annotated[str, Field(max_length=10_000)]] = Field(default_factory=dict)
    fees: list[FeeTable] | None = Field(default=None, min_length=1, max_length=200)

    @field_validator("fees")
    @classmethod
    def _fees_agree(cls, tables: list[FeeTable] | None) -> list[FeeTable] | None:
        if tables is not None:
            fee_schedule(tables)
        return tables

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.secret_file is None) == (self.secret_env is None):
            raise ValueError("either secret_file or secret_env")
        if self.webhook_login_files is not None and self.webhook_secret_files is None:
            raise ValueError("webhook_login_files without webhook_secret_files")
        return self


# An empty secret would verify what anybody signs.
_WEBHOOK_SECRET_MIN: Final = 8
_DEFAULTS: Final = RetryPolicy()
_Seconds = Annotated[float, Field(strict=True, gt=0, le=3600, allow_inf_nan=False)]


class _Retry(_Table):
    attempts_max: int = Field(default=_DEFAULTS.attempts_max, strict=True, ge=1, le=10)
    first_s: _Seconds = _DEFAULTS.first_s
    factor: float = Field(default=_DEFAULTS.factor, strict=True, ge=1, le=10, allow_inf_nan=False)
    max_s: _Seconds = _DEFAULTS.max_s

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.max_s < self.first_s:
            raise ValueError("max_s is less than first_s")
        return self


class _Merchant(_Table):
    accounts: list[_Name] = Field(max_length=20)
    retry: _Retry = _Retry()


class _File(_Table):
    merchants: dict[_Name, _Merchant]
    accounts: dict[_Name, _Account]


@dataclass(frozen=True, slots=True)
class _Taker:
    """An account, and the currencies that it takes. `fees`: None: unknown."""

    psp: PspAccount
    currencies: frozenset[str]
    fees: FeeSchedule | None


@dataclass(frozen=True, slots=True)
class _Accepts:
    takers: tuple[_Taker, ...]
    retry: RetryPolicy


@dataclass(frozen=True, slots=True)
class WebhookAccount:
    """An account that takes webhooks."""

    gateway: str
    keys: WebhookKeys


class Accounts:
    """The accounts to which each merchant's payments may go; holds no secret."""

    def __init__(self, merchants: dict[str, _Accepts], fee_book: FeeBook) -> None:
        self._merchants = merchants
        self.fees = fee_book

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises `Misconfigured`."""
        content = _content(path)
        takers = {name: _taker(path, name, account) for name, account in content.accounts.items()}
        merchants = {name: _accepts(path, name, table, takers) for name, table in content.merchants.items()}
        # Of every account, also one that no merchant pays at any more: its payments are refunded there.
        schedules = {name: taker.fees for name, taker in takers.items() if taker.fees is not None}
        return cls(merchants, FeeBook(schedules))

    @property
    def gateways(self) -> frozenset[str]:
        """The gateways to which payments may go."""
        return frozenset(taker.psp.gateway for one in self._merchants.values() for taker in one.takers)

    @property
    def gateway_of_each(self) -> dict[str, str]:
        """The gateway of each account of the merchants, by the account's name."""
        takers = (taker.psp for one in self._merchants.values() for taker in one.takers)
        return {psp.account: psp.gateway for psp in takers}

    @property
    def merchants(self) -> list[str]:
        """The merchants' names, in the order of the settings."""
        return list(self._merchants)

    def currencies_of(self, merchant_id: str) -> dict[str, frozenset[str]]:
        """Returns a merchant's accounts with the currencies that each takes; none for an unknown one."""
        merchant = self._merchants.get(merchant_id)
        takers = () if merchant is None else merchant.takers
        return {taker.psp.account: taker.currencies for taker in takers}

    def first_gateway(self, merchant_id: str) -> str | None:
        """Returns the gateway to which the merchant's tokens without a name belong. None: it has no
        account."""
        merchant = self._merchants.get(merchant_id)
        return merchant.takers[0].psp.gateway if merchant is not None and merchant.takers else None

    def of_merchant(self, merchant_id: str) -> tuple[PspAccount, ...]:
        """Returns the merchant's accounts, in the order of the settings; none for one that is not known."""
        merchant = self._merchants.get(merchant_id)
        return () if merchant is None else tuple(taker.psp for taker in merchant.takers)

    def for_payment(
        self,
        merchant_id: str,
        currency: str,
        payment_method: str | None,
        payment_methods: Mapping[str, str] | None = None,
    ) -> Route:
        """Returns those of the merchant's accounts that take the payment, with why the others do not.
        `gateway:token` is a token of that gateway, a plain one is of the gateway of the merchant's first
        account; `payment_methods` has one for each gateway."""
        merchant = self._merchants.get(merchant_id)
        if merchant is None or not merchant.takers:
            return Route((), none_because=_no_accounts(merchant_id))
        if payment_method is None:
            gateways: Collection[str] = payment_methods or {}
            lacks = "payment_methods has no token of {}"
        else:
            named = payment_method.partition(":")[0]
            gateways = (named if named in ADAPTERS else merchant.takers[0].psp.gateway,)
            lacks = f"the payment_method is a token of {gateways[0]}"
        excluded: dict[str, str] = {}
        for taker in merchant.takers:
            psp = taker.psp
            # The first thing that keeps the payment from the account.
            if psp.gateway not in gateways:
                excluded[psp.account] = f"is at {psp.gateway}, and {lacks.format(psp.gateway)}"
            elif currency not in taker.currencies:
                excluded[psp.account] = f"does not take {currency}"
        fitting = tuple(taker.psp for taker in merchant.takers if taker.psp.account not in excluded)
        if not fitting:
            return Route((), merchant.retry, _none_fits(merchant_id, excluded), excluded)
        return Route(fitting, merchant.retry, excluded=excluded)

    def stray_name(self, payment_methods: Mapping[str, str]) -> str | None:
        """Returns what is wrong with tokens of which one is under a name that no PSP has, or has a PSP's name
        before it. None: they are fine."""
        return registry.stray_name(payment_methods)

    def stray_prefix(self, merchant_id: str, payment_method: str) -> str | None:
        """Returns what to write instead of a token whose part before the colon names no PSP. None: the
        token is fine."""
        return registry.stray_prefix(payment_method, self.first_gateway(merchant_id))


def _no_accounts(merchant_id: str) -> str:
    return (
        f"no PSP account is set up for merchant {merchant_id}: if the name is right, have your operator add it "
        "to accounts.toml"
    )


def _none_fits(merchant_id: str, excluded: Mapping[str, str]) -> str:
    reasons = "; ".join(f"{account} {reason}" for account, reason in excluded.items())
    return f"none of merchant {merchant_id}'s PSP accounts takes this payment: {reasons}"


def account_names(path: Path) -> tuple[frozenset[str], frozenset[Path]]:
    """Returns all that the file names, and the file itself. Raises `Misconfigured`."""
    return frozenset(_content(path).accounts), frozenset({path})


def routes(path: Path) -> tuple[Accounts, frozenset[Path]]:
    """Returns the accounts to which payments may go, and the file. Raises `Misconfigured`."""
    return Accounts.load(path), frozenset({path})


def webhook_accounts(path: Path) -> tuple[dict[str, WebhookAccount], frozenset[Path]]:
    """Returns the accounts that take webhooks, by name, and the files that were read. Reads no other
    secret. Raises `Misconfigured`."""
    content, found, files = _content(path), {}, {path}
    for name, account in content.accounts.items():
        gateway = _taker(path, name, account).psp.gateway
        if account.webhook_secret_files is None:
            continue
        files |= {path.parent / file for file in account.webhook_secret_files}
        secrets = tuple(_secret(path, file) for file in account.webhook_secret_files)
        if any(len(secret) < _WEBHOOK_SECRET_MIN for secret in secrets):
            raise Misconfigured(f"{path}: account {name}: a webhook secret is shorter than any PSP's")
        logins = _logins(path, name, account)
        files |= {path.parent / file for file in account.webhook_login_files or ()}
        found[name] = WebhookAccount(gateway, WebhookKeys(secrets, account.options, logins=logins))
    return found, frozenset(files)


def _logins(path: Path, name: str, account: _Account) -> tuple[str, ...]:
    """Raises `Misconfigured`."""
    logins = tuple(_secret(path, file) for file in account.webhook_login_files or ())
    for login in logins:
        user, _, password = login.partition(":")
        if not user or len(password) < _WEBHOOK_SECRET_MIN:
            text = f"{path}: account {name}: a file of webhook_login_files is not user:password, with a password of at least "
            raise Misconfigured(f"{text}{_WEBHOOK_SECRET_MIN} characters")
    return logins


def credentials(gateway: str, path: Path) -> tuple[dict[str, Credentials], frozenset[Path]]:
    """Returns the credentials of this gateway's accounts, by name, and the files that were read. Reads no
    other gateway's secret. Raises `Misconfigured`."""
    found, files = {}, {path}
    for name, account in _content(path).accounts.items():
        _taker(path, name, account)
        if account.gateway != gateway:
            continue
        if account.secret_file is not None:
            files.add(path.parent / account.secret_file)
            secret = _secret(path, account.secret_file)
        else:
            secret = os.environ.get(account.secret_env or "", "")
        if not secret:
            where = (
                "secret_file" if account.secret_env is None else f"{account.secret_env} in the environment"
            )
            raise Misconfigured(f"{path}: account {name}: {where} is empty")
        found[name] = Credentials(
            str(account.base_url).rstrip("/"),
            secret,
            options=account.options,
            calls_max=account.calls_max,
        )
    return found, frozenset(files)


def _content(path: Path) -> _File:
    try:
        return _File.model_validate(tomllib.loads(_text(path, path)))
    except tomllib.TOMLDecodeError:
        raise Misconfigured(f"AEGISPAY_ACCOUNTS_FILE: {path} is not TOML") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place, what = ".".join(map(str, first["loc"])), wording.sentence(first)
        if first["type"] == "extra_forbidden":
            names = wording.fields_beside(_File.model_json_schema(), first["loc"])
            what = wording.no_such_field(first["loc"][-1], names)
        raise Misconfigured(f"AEGISPAY_ACCOUNTS_FILE: {path}: {place}: {what}") from None


def _secret(path: Path, file: Path) -> str:
    return _text(path, path.parent / file).strip()


def _text(path: Path, file: Path) -> str:
    """Reads the accounts file, or a file that it names. No error may quote the file's content or name:
    somebody may have put a secret where a file's name belongs."""
    try:
        return file.read_text()
    except OSError as error:
        text = f"AEGISPAY_ACCOUNTS_FILE: {path}, or a secret's file that it names, cannot be read: {error.strerror}"
        raise Misconfigured(text) from None
    except UnicodeDecodeError:
        text = f"AEGISPAY_ACCOUNTS_FILE: {path}, or a secret's file that it names, is not text in UTF-8"
        raise Misconfigured(text) from None


def _taker(path: Path, name: str, account: _Account) -> _Taker:
    gateway = ADAPTERS.get(account.gateway)
    if gateway is None:
        known = ", ".join(ADAPTERS)
        raise Misconfigured(f"{path}: account {name}: no gateway is called {account.gateway}; known: {known}")
    facts = gateway.facts
    if unknown := sorted(account.options.keys() - facts.options.keys()):
        known = ", ".join(facts.options) or "none"
        text = f"{path}: account {name}: {facts.title} has no option {', '.join(unknown)}; known: {known}"
        raise Misconfigured(text)
    if missing := sorted(facts.required - account.options.keys()):
        text = f"{path}: account {name}: {facts.title} needs the option {missing[0]}: {facts.options[missing[0]]}"
        raise Misconfigured(text)
    if account.webhook_login_files is not None and not facts.logs_in:
        raise Misconfigured(
            f"{path}: account {name}: {facts.title} sends no user and password with its webhooks"
        )
    if account.multicapture and not facts.multicapture:
        raise Misconfigured(f"{path}: account {name}: {facts.title} captures an authorization once")
    off = {currency: facts.off(currency, account.options) for currency in facts.switched}
    currencies = frozenset(currency for currency in facts.currencies if off.get(currency) is None)
    if account.currencies is not None:
        for currency in sorted(set(account.currencies) & facts.currencies - currencies):
            text = f'{path}: account {name}: {facts.title} takes {currency} with options.{off[currency]} = "true" only'
            raise Misconfigured(text)
        if foreign := sorted(set(account.currencies) - currencies):
            raise Misconfigured(f"{path}: account {name}: {facts.title} takes no {', '.join(foreign)}")
        currencies = frozenset(account.currencies)
    psp = PspAccount(
        gateway=facts.name,
        account=name,
        key_life_s=facts.key_life_s,
        authorization_life_s=facts.authorization_life_s,
        multicapture=account.multicapture,
        overcapture_percent=account.overcapture_percent,
        final_call_by=facts.final_call_by,
        limits=limits(facts),
    )
    return _Taker(psp, currencies, None if account.fees is None else fee_schedule(account.fees))


def limits(facts: Facts) -> frozenset[Limit]:
    """Returns what the PSP cannot do, or mixes up, as far as the rules depend on it."""
    has: dict[Limit, bool] = {
        "full_capture": not facts.partial_capture,
        "no_lookup": not facts.looks_up,
        "no_void": "void" not in facts.kinds,
        "disputes_show_as_refunds": facts.disputes_show_as_refunds,
        "refund_of_capture": facts.refunds_of == "capture",
    }
    return frozenset(limit for limit, is_so in has.items() if is_so)


def _accepts(path: Path, merchant: str, table: _Merchant, takers: dict[str, _Taker]) -> _Accepts:
    if missing := [name for name in table.accounts if name not in takers]:
        raise Misconfigured(f"{path}: merchant {merchant}: there is no account {', '.join(missing)}")
    if len(set(table.accounts)) < len(table.accounts):
        raise Misconfigured(f"{path}: merchant {merchant}: an account stands in its list twice")
    return _Accepts(tuple(takers[name] for name in table.accounts), RetryPolicy(**table.retry.model_dump()))
