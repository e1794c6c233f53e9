"""The keys of the server's callers, as the ledger has them, kept for a moment."""

from __future__ import annotations

import asyncio
import hmac
import time

from aegis_graph.clock import Clock
from aegis_graph.ledger.api_keys import ApiKey, KnownKeys, keyed_hash, known_keys, note_use
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.rows import timestamp

FRESH_S = 1.0
"""How long what was read counts: a key that was revoked elsewhere opens nothing a second later."""

USE_NOTED_EVERY = 16
"""Characters of a timestamp that must differ for a use to be written: those down to the minute."""


class KeyRing:
    """Finds the key that a caller presents.

    The table is read again after ``FRESH_S``, and not with every request.

    Args:
        ledger: Has the keys.
        clock: Returns the present as an aware datetime in UTC.
    """

    def __init__(self, ledger: SqlLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._known = KnownKeys(None, ())
        self._by_hash: dict[str, ApiKey] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def exist(self) -> bool:
        """Whether a key was ever made: from then on, everybody needs one."""
        await self._refresh()
        return bool(self._known.keys)

    async def find(self, text: str) -> ApiKey | None:
        """The key that a caller presents, where it is one and opens something now.

        Raises:
            LedgerError: The keys cannot be read.
        """
        await self._refresh()
        if self._known.secret is None:
            return None
        return await self.with_hash(keyed_hash(self._known.secret, text))

    async def with_hash(self, key_hash: str) -> ApiKey | None:
        """The key with a hash, where it opens something now."""
        await self._refresh()
        key = self._by_hash.get(key_hash)
        # The search is by a hash under a secret, of which its time tells a guesser nothing.
        if key is None or not hmac.compare_digest(key.key_hash, key_hash):
            return None
        now = self._clock()
        if not key.is_valid(now):
            return None
        if (key.last_used_at or "")[:USE_NOTED_EVERY] != timestamp(now)[:USE_NOTED_EVERY]:
            self._by_hash[key_hash] = key._replace(last_used_at=timestamp(now))
            await self._ledger.transact(lambda connection: note_use(connection, [key_hash], now))
        return key

    def forget(self) -> None:
        """Read the keys again for the next request."""
        self._read_at = float("-inf")

    async def secret(self) -> bytes | None:
        """The secret of the hashes; ``None`` before there is a key."""
        await self._refresh()
        return self._known.secret

    async def _refresh(self) -> None:
        if time.monotonic() - self._read_at < FRESH_S:
            return
        # One reading for all that wait for it; it goes on where one of them goes away.
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        self._known = await self._ledger.read(known_keys())
        self._by_hash = {key.key_hash: key for key in self._known.keys}
        self._read_at = time.monotonic()
