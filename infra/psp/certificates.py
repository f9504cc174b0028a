"""Fetches the certificates that a PSP's webhooks name, once each. A failed fetch decides nothing: the PSP
sends again.

The adapter has checked that the address is one of the PSP's, and checks the certificate afterwards; but
whoever sends a webhook chooses which of them. So the fetches at one time are few, a failed one is not
repeated at once, and what is kept is bounded.
"""

import asyncio
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self, TypeVar

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import Counter

_BYTES_MAX: Final = 64 * 1024
_WITHIN_S: Final = 5.0
_LIFE_S: Final = 24 * 3600.0
_NOT_AGAIN_FOR_S: Final = 5.0
_KEPT_MAX: Final = 32
_AT_ONCE_MAX: Final = 4
_PEM: Final = b"-----BEGIN CERTIFICATE-----"

T = TypeVar("T")

FETCHES = Counter("aegispay_webhook_certificates", "Fetched", ["result"])


class Unavailable(Exception):
    """The certificate cannot be had now, so it is unknown whether the webhook is the PSP's."""


class Certificates:
    """Keeps up to 32 certificates for a day each, and fetches four at a time at most."""

    def __init__(self, session: aiohttp.ClientSession, life_s: float) -> None:
        self._session = session
        self._life_s = life_s
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()  # with when it is fetched again
        self._failed: OrderedDict[str, float] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[bytes | None]] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls, trusted: ssl.SSLContext | None = None, within_s: float = _WITHIN_S, life_s: float = _LIFE_S
    ) -> AsyncIterator[Self]:
        """`trusted`: other roots than the system's. `within_s`: of a whole fetch."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_AT_ONCE_MAX, ssl=trusted or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=within_s),
            headers={"User-Agent": "aegispay"},
        ) as session:
            opened = cls(session, life_s)
            try:
                yield opened
            finally:
                await asyncio.gather(*opened._under_way.values())

    async def of(self, url: str) -> bytes:
        """Raises `Unavailable`."""
        until, kept = self._kept.get(url, (0.0, b""))
        if time.monotonic() < until:
            return kept
        if time.monotonic() < self._failed.get(url, 0.0):
            raise Unavailable
        fetched = await self._fetched_once(url)
        if fetched is None:
            raise Unavailable
        return fetched

    async def _fetched_once(self, url: str) -> bytes | None:
        task = self._under_way.get(url)
        if task is None:
            if len(self._under_way) >= _AT_ONCE_MAX:
                return None
            task = self._under_way[url] = asyncio.create_task(self._fetched(url))
            task.add_done_callback(lambda _: self._under_way.pop(url))
        # One who goes away must not take it from the others.
        return await asyncio.shield(task)

    async def _fetched(self, url: str) -> bytes | None:
        try:
            content = await self._fetch(url)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            content = None
        FETCHES.labels("failed" if content is None else "fetched").inc()
        if content is None:
            _keep(self._failed, url, time.monotonic() + _NOT_AGAIN_FOR_S)
        else:
            _keep(self._kept, url, (time.monotonic() + self._life_s, content))
        return content

    async def _fetch(self, url: str) -> bytes | None:
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                return None
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > _BYTES_MAX:
                    return None
            return _pem(bytes(content))


def _pem(content: bytes) -> bytes | None:
    """An authority serves its own as DER."""
    if _PEM in content:
        return content
    try:
        return x509.load_der_x509_certificate(content).public_bytes(Encoding.PEM)
    except ValueError:
        return None


def _keep(among: OrderedDict[str, T], url: str, what: T) -> None:
    among[url] = what
    among.move_to_end(url)
    if len(among) > _KEPT_MAX:
        among.popitem(last=False)
