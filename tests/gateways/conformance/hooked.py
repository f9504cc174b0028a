"""What a book tells of its PSP's webhooks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gateways.contract import Call, Hook, HookKeys
from tests.gateways.conformance.cases import Without

Signed = Callable[[Call, datetime], Hook]
"""The webhook that tells that this call was approved, signed at that moment."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """While an endpoint's secret is replaced: `both` are known, then `only_new`."""

    both: HookKeys
    only_new: HookKeys
    signed_with_new: Signed


@dataclass(frozen=True, slots=True)
class Hooks:
    """`keyless`: with which nothing can be verified. `unsigned`: the same webhook without its signature."""

    keys: HookKeys
    signed: Signed
    unsigned: Callable[[Hook], Hook]
    keyless: Sequence[HookKeys]
    exchange: Exchange | Without
    expires: bool | Without


def without_headers(hook: Hook) -> Hook:
    return replace(hook, headers={"content-type": "application/json"})


def hooks(
    signed: Callable[[Call, datetime, str], Hook],
    secret: str,
    new_secret: str,
    *,
    expires: bool | Without,
    options: Mapping[str, str] | None = None,
    unsigned: Callable[[Hook], Hook] = without_headers,
) -> Hooks:
    """Where webhooks are signed with a secret that is shared."""
    keys = HookKeys((secret,), options or {})
    return Hooks(
        keys=keys,
        signed=lambda call, now: signed(call, now, secret),
        unsigned=unsigned,
        keyless=(replace(keys, secrets=()), replace(keys, secrets=("",))),
        exchange=Exchange(
            both=replace(keys, secrets=(new_secret, secret)),
            only_new=replace(keys, secrets=(new_secret,)),
            signed_with_new=lambda call, now: signed(call, now, new_secret),
        ),
        expires=expires,
    )
