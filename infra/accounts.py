"""The merchants' PSP accounts and their credentials, from one TOML file and the files of secrets beside it.

[merchants.shop]
accounts = ["sim-eu"]            # in the order in which they are tried
[accounts.sim-eu]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "sim-eu.key"       # relative to this file
"""

import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError

from aggregates.operation import PspAccount
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


class _Merchant(_Table):
    accounts: list[_Name]


class _File(_Table):
    merchants: dict[_Name, _Merchant]
    accounts: dict[_Name, _Account]


class Accounts:
    def __init__(
        self, routes: dict[str, tuple[PspAccount, ...]], credentials: dict[str, Credentials]
    ) -> None:
        self._routes = routes
        self._credentials = credentials

    @classmethod
    def load(cls, path: Path, *, with_secrets: bool) -> Self:
        """Raises `Misconfigured`. Only a gateway worker reads the secrets."""
        try:
            content = _File.model_validate(tomllib.loads(path.read_text()))
            secrets = {
                name: (path.parent / account.secret_file).read_text().strip() if with_secrets else ""
                for name, account in content.accounts.items()
            }
        except OSError as error:
            # Neither text may quote the file: somebody may have put a secret where its file's name belongs.
            text = f"AEGISPAY_ACCOUNTS_FILE: {path}, or a secret_file that it names, cannot be read: {error.strerror}"
            raise Misconfigured(text) from None
        except tomllib.TOMLDecodeError:
            raise Misconfigured(f"AEGISPAY_ACCOUNTS_FILE: {path} is not TOML") from None
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise Misconfigured(f"AEGISPAY_ACCOUNTS_FILE: {path}: {place}: {first['msg']}") from None
        accounts: dict[str, PspAccount] = {}
        for name, account in content.accounts.items():
            if account.gateway not in ADAPTERS:
                known = ", ".join(ADAPTERS)
                raise Misconfigured(
                    f"{path}: account {name}: no gateway is called {account.gateway}; known: {known}"
                )
            accounts[name] = PspAccount(account.gateway, name, ADAPTERS[account.gateway].key_life_s)
        for merchant, table in content.merchants.items():
            if missing := [name for name in table.accounts if name not in accounts]:
                raise Misconfigured(f"{path}: merchant {merchant}: there is no account {', '.join(missing)}")
        return cls(
            {name: tuple(accounts[a] for a in table.accounts) for name, table in content.merchants.items()},
            {
                name: Credentials(str(account.base_url).rstrip("/"), secrets[name])
                for name, account in content.accounts.items()
            },
        )

    def for_payment(self, merchant_id: str, currency: str) -> PspAccount | None:
        """The first of the merchant's accounts."""
        return next(iter(self._routes.get(merchant_id, ())), None)

    def credentials(self, account: str) -> Credentials | None:
        return self._credentials.get(account)
