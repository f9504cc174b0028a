"""The merchants' PSP accounts and their credentials, from one TOML file and the files of secrets beside it.

[merchants.shop]
accounts = ["sim-eu", "sim-us"]  # in the order in which they are tried
[merchants.shop.retry]           # may be left out; these are the defaults
attempts_max = 3
first_s = 1.0
factor = 2.0
max_s = 30.0
[accounts.sim-eu]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "sim-eu.key"       # relative to this file; or secret_env = "STRIPE_EU_KEY"
webhook_secret_files = ["a.key"] # what its webhooks are signed with, two while it is exchanged, [] where the PSP
                                 # shares no secret; left out: it takes no webhooks
multicapture = false             # whether the PSP lets this account capture an authorization several times
overcapture_percent = 0          # by how much a capture may pass the authorization
calls_max = 100                  # in flight at once with this credential
currencies = ["EUR", "USD"]      # which of the PSP's this account takes; left out: all of them
[accounts.sim-eu.options]        # what this PSP needs besides: docs/gateways.md
"""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, model_validator

from aggregates.retry import Limit, PspAccount, RetryPolicy, Route
from gateways.contract import CALLS_MAX, Credentials, Facts, HookKeys
from infra.adapters import ADAPTERS
from infra.misconfigured import Misconfigured

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Account(_Table):
    gateway: _Name
    base_url: HttpUrl
    secret_file: Path | None = None
    secret_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,127}$")] | None = None
    webhook_secret_files: list[Path] | None = Field(default=None, max_length=2)
    multicapture: bool = Field(default=False, strict=True)
    overcapture_percent: int = Field(default=0, strict=True, ge=0, le=100)
    calls_max: int = Field(default=CALLS_MAX, strict=True, ge=1, le=10_000)
    currencies: list[Annotated[str, Field(pattern=r"^[A-Z]{3}$")]] | None = None
    options: dict[_Name, Annotated[str, Field(max_length=10_000)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.secret_file is None) == (self.secret_env is None):
            raise ValueError("either secret_file or secret_env")
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
    """An account, and what it takes."""

    psp: PspAccount
    currencies: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Accepts:
    takers: tuple[_Taker, ...]
    retry: RetryPolicy


@dataclass(frozen=True, slots=True)
class HookAccount:
    """An account that takes webhooks."""

    gateway: str
    keys: HookKeys


class Accounts:
    """Where payments may go. Without any secret."""

    def __init__(self, merchants: dict[str, _Accepts]) -> None:
        self._merchants = merchants

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises `Misconfigured`."""
        content = _content(path)
        takers = {name: _taker(path, name, account) for name, account in content.accounts.items()}
        return cls({name: _accepts(path, name, table, takers) for name, table in content.merchants.items()})

    @property
    def gateways(self) -> frozenset[str]:
        """To which payments may go."""
        return frozenset(taker.psp.gateway for one in self._merchants.values() for taker in one.takers)

    def for_payment(self, merchant_id: str, currency: str, payment_method: str) -> Route:
        """Those of the merchant's accounts that take it, none where it is not known. `gateway:token` is a token of that
        gateway, a plain one is of the gateway of the merchant's first account."""
        merchant = self._merchants.get(merchant_id)
        if merchant is None or not merchant.takers:
            return Route(())
        named = payment_method.partition(":")[0]
        gateway = named if named in ADAPTERS else merchant.takers[0].psp.gateway
        fitting = [t.psp for t in merchant.takers if t.psp.gateway == gateway and currency in t.currencies]
        return Route(tuple(fitting), merchant.retry)


def webhook_accounts(path: Path) -> tuple[dict[str, HookAccount], frozenset[Path]]:
    """Those that take webhooks, by name; and the files that say so. Reads no other secret than those.
    Raises `Misconfigured`."""
    content, found, files = _content(path), {}, {path}
    for name, account in content.accounts.items():
        gateway = _taker(path, name, account).psp.gateway
        if account.webhook_secret_files is None:
            continue
        files |= {path.parent / file for file in account.webhook_secret_files}
        secrets = tuple(_secret(path, file) for file in account.webhook_secret_files)
        if any(len(secret) < _WEBHOOK_SECRET_MIN for secret in secrets):
            raise Misconfigured(f"{path}: account {name}: a webhook secret is shorter than any PSP's")
        found[name] = HookAccount(gateway, HookKeys(secrets, account.options))
    return found, frozenset(files)


def credentials(gateway: str, path: Path) -> tuple[dict[str, Credentials], frozenset[Path]]:
    """Of this gateway's accounts, by name; and the files that say so. Reads no other gateway's secret.
    Raises `Misconfigured`."""
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
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Misconfigured(f"AEGISPAY_ACCOUNTS_FILE: {path}: {place}: {first['msg']}") from None


def _secret(path: Path, file: Path) -> str:
    return _text(path, path.parent / file).strip()


def _text(path: Path, file: Path) -> str:
    """No error may quote the file's content or name: somebody may have put a secret where a file's name belongs."""
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
    if account.multicapture and not facts.multicapture:
        raise Misconfigured(f"{path}: account {name}: {facts.title} captures an authorization once")
    currencies = facts.currencies
    if account.currencies is not None:
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
        completed_by=facts.completed_by,
        limits=limits(facts),
    )
    return _Taker(psp, currencies)


def limits(facts: Facts) -> frozenset[Limit]:
    """What the rules have to know of what the PSP cannot do."""
    has: dict[Limit, bool] = {
        "full_capture": not facts.partial_capture,
        "no_lookup": not facts.looks_up,
        "no_void": "void" not in facts.kinds,
        "refund_of_capture": facts.refunds_of == "capture",
    }
    return frozenset(limit for limit, is_so in has.items() if is_so)


def _accepts(path: Path, merchant: str, table: _Merchant, takers: dict[str, _Taker]) -> _Accepts:
    if missing := [name for name in table.accounts if name not in takers]:
        raise Misconfigured(f"{path}: merchant {merchant}: there is no account {', '.join(missing)}")
    if len(set(table.accounts)) < len(table.accounts):
        raise Misconfigured(f"{path}: merchant {merchant}: an account stands in its list twice")
    return _Accepts(tuple(takers[name] for name in table.accounts), RetryPolicy(**table.retry.model_dump()))
