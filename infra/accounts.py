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
secret_file = "sim-eu.key"       # relative to this file
multicapture = false             # whether the PSP lets this account capture an authorization several times
overcapture_percent = 0          # by how much a capture may pass the authorization
"""

import tomllib
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, model_validator

from aggregates.retry import PspAccount, RetryPolicy, Route
from gateways.contract import Credentials
from infra.adapters import ADAPTERS
from infra.misconfigured import Misconfigured

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Account(_Table):
    gateway: _Name
    base_url: HttpUrl
    secret_file: Path
    multicapture: bool = Field(default=False, strict=True)
    overcapture_percent: int = Field(default=0, strict=True, ge=0, le=100)


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


_NOWHERE: Final = Route(())


class Accounts:
    def __init__(self, routes: dict[str, Route], credentials: dict[str, Credentials]) -> None:
        self._routes = routes
        self._credentials = credentials

    @classmethod
    def load(cls, path: Path, *, with_secrets: bool) -> Self:
        """Raises `Misconfigured`. Only a gateway worker reads the secrets."""
        content, secrets = _read(path, with_secrets=with_secrets)
        accounts = {name: _psp_account(path, name, account) for name, account in content.accounts.items()}
        routes = {name: _route(path, name, table, accounts) for name, table in content.merchants.items()}
        credentials = {
            name: Credentials(str(account.base_url).rstrip("/"), secrets[name])
            for name, account in content.accounts.items()
        }
        return cls(routes, credentials)

    def for_payment(self, merchant_id: str, currency: str) -> Route:
        """All of the merchant's accounts, none where it is not known: until routing is built, for every currency."""
        return self._routes.get(merchant_id, _NOWHERE)

    def credentials(self, account: str) -> Credentials | None:
        return self._credentials.get(account)


def _read(path: Path, *, with_secrets: bool) -> tuple[_File, dict[str, str]]:
    try:
        content = _File.model_validate(tomllib.loads(path.read_text()))
        secrets = {
            name: (path.parent / account.secret_file).read_text().strip() if with_secrets else ""
            for name, account in content.accounts.items()
        }
    except OSError as error:
        # No text may quote the file: somebody may have put a secret where its file's name belongs.
        text = f"AEGISPAY_ACCOUNTS_FILE: {path}, or a secret_file that it names, cannot be read: {error.strerror}"
        raise Misconfigured(text) from None
    except tomllib.TOMLDecodeError:
        raise Misconfigured(f"AEGISPAY_ACCOUNTS_FILE: {path} is not TOML") from None
    except UnicodeDecodeError:
        text = f"AEGISPAY_ACCOUNTS_FILE: {path}, or a secret_file that it names, is not text in UTF-8"
        raise Misconfigured(text) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Misconfigured(f"AEGISPAY_ACCOUNTS_FILE: {path}: {place}: {first['msg']}") from None
    return content, secrets


def _psp_account(path: Path, name: str, account: _Account) -> PspAccount:
    gateway = ADAPTERS.get(account.gateway)
    if gateway is None:
        known = ", ".join(ADAPTERS)
        raise Misconfigured(f"{path}: account {name}: no gateway is called {account.gateway}; known: {known}")
    return PspAccount(
        gateway=gateway.facts.name,
        account=name,
        key_life_s=gateway.facts.key_life_s,
        authorization_life_s=gateway.facts.authorization_life_s,
        multicapture=account.multicapture,
        overcapture_percent=account.overcapture_percent,
        completed_by=gateway.facts.completed_by,
    )


def _route(path: Path, merchant: str, table: _Merchant, accounts: dict[str, PspAccount]) -> Route:
    if missing := [name for name in table.accounts if name not in accounts]:
        raise Misconfigured(f"{path}: merchant {merchant}: there is no account {', '.join(missing)}")
    if len(set(table.accounts)) < len(table.accounts):
        raise Misconfigured(f"{path}: merchant {merchant}: an account stands in its list twice")
    return Route(tuple(accounts[name] for name in table.accounts), RetryPolicy(**table.retry.model_dump()))
