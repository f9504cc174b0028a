"""The marks by which a card is known again, from a PSP's token of it.

Invariant: from a mark nobody learns a token without the key, which is in a file that the command workers
alone read. Another key makes other marks: with it the limits on retries begin anew.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from gateways.registry import ADAPTERS
from infra.process.runtime import Process
from infra.psp.accounts import Accounts
from infra.psp.return_token import read_key
from infra.settings import CommandWorkerSettings

SETTING: Final = "AEGISPAY_FINGERPRINT_KEY_FILE"
# Another use of the same key must not make the same marks.
_PURPOSE: Final = b"aegispay card v1\n"


@dataclass(frozen=True, slots=True)
class CardFingerprints:
    """Implements `commands.ports.Fingerprints`: HMAC-SHA256 over the merchant, the gateway and the token. The
    same token has the same mark, however the merchant wrote it."""

    key: bytes = field(repr=False)
    accounts: Accounts

    def of(
        self, merchant_id: str, payment_method: str | None, payment_methods: Mapping[str, str] | None
    ) -> tuple[bytes, ...]:
        """Returns the mark of each token, in order."""
        tokens = payment_methods or {}
        if payment_method is not None:
            name, _, token = payment_method.partition(":")
            first = self.accounts.first_gateway(merchant_id) or ""
            tokens = {name: token} if name in ADAPTERS else {first: payment_method}
        return tuple(sorted(self._mark(merchant_id, name, token) for name, token in tokens.items()))

    def _mark(self, merchant_id: str, gateway: str, token: str) -> bytes:
        return hmac.digest(self.key, _PURPOSE + orjson.dumps([merchant_id, gateway, token]), hashlib.sha256)


def of_settings(
    process: Process, settings: CommandWorkerSettings, accounts: Accounts
) -> CardFingerprints | None:
    """Returns what marks cards by the key that the settings name. None: they name none, which the log says
    once. Raises `Misconfigured`."""
    if settings.fingerprint_key_file is None:
        process.log.warning("the card schemes' limits on retries are not kept", missing=SETTING)
        return None
    return CardFingerprints(read_key(settings.fingerprint_key_file, SETTING), accounts)
