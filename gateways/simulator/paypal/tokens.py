"""Access tokens. The simulator need not remember them: each has its account and its end, signed with the
account's secret.
"""

import base64
import hashlib
import hmac
import re
from typing import Final

from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.paypal.store import GATEWAY

LIFE_S: Final = 32_400
_FORM: Final = re.compile(r"A21\.([a-z0-9_.-]{1,41})\.([0-9]{1,12})\.([0-9a-f]{64})")


def issue(account: Account, until: int) -> str:
    """A token that ends at `until` (Unix seconds)."""
    return f"A21.{account.name}.{until}.{_mac(account, until)}"


def holder(token: str, accounts: Accounts, now: float) -> Account | None:
    """The account that a token was issued to; None: it has ended, or is none of ours."""
    read = _FORM.fullmatch(token)
    account = accounts.named(GATEWAY, read[1]) if read else None
    if read is None or account is None or int(read[2]) <= now:
        return None
    return account if hmac.compare_digest(read[3], _mac(account, int(read[2]))) else None


def _mac(account: Account, until: int) -> str:
    return hmac.new(account.secret.encode(), f"{account.name}/{until}".encode(), hashlib.sha256).hexdigest()


def signed_in(header: str, accounts: Accounts) -> Account | None:
    """The account whose client id and secret the Basic header has, else None."""
    scheme, _, credentials = header.partition(" ")
    try:
        login, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return None
    account = accounts.admitted(GATEWAY, secret, login)
    return account if scheme.lower() == "basic" else None
