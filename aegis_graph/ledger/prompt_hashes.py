"""Keyed hashes of prompts: a ledger knows the same prompt again, and its reader can guess none.

Of a short prompt ("yes", a name, a diagnosis) a plain hash is found by hashing guesses. Under a key
(HMAC-SHA256, RFC 2104) it is not, as long as the reader of the rows does not have the key.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from aegis_graph.errors import LedgerError
from aegis_graph.ledger.private_file import make_private
from aegis_graph.ledger.store import Connection, Rows, Store

KEY_BYTES = 32
"""As many as the hash has: more add nothing (RFC 2104, section 3)."""

KEY, KEY_ID = "hash_key", "hash_key_id"
"""The facts with the key, where it has no other place, and with a name of the key in use."""

logger = logging.getLogger(__name__)


class PromptHashes:
    """Puts the key of a ledger on the digests of prompts. It keeps nothing between transactions.

    Args:
        store: Says where the key is; it is made when it is first needed.
        variable: Name of the environment variable that has the key instead, as hexadecimal digits.
        environ: Where that is looked up, by default the process's environment.
    """

    def __init__(
        self,
        store: Store,
        *,
        variable: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._store = store
        self._variable = variable
        self._environ = os.environ if environ is None else environ
        self._warned: str | None = None

    def select(self, connection: Connection) -> Rows:
        """What the ledger knows of its key; see ``hasher``."""
        return connection.execute(
            "SELECT name, value FROM facts WHERE name IN (?, ?)", (KEY, KEY_ID)
        )

    def hasher(self, connection: Connection, facts: Rows) -> Callable[[str], str]:
        """How a digest is written, under the key as it is now.

        Args:
            connection: In a transaction that no other writer overlaps.
            facts: From ``select``, in the same transaction.

        Raises:
            LedgerError: The key cannot be read, or is none.
        """
        known: dict[str, str] = dict(facts.fetchall())
        key = self._key(connection, known)
        key_id = _keyed(key, KEY_ID)
        if known.get(KEY_ID) != key_id:
            self._note(connection, known, key_id)
        return lambda digest: _keyed(key, digest)

    def _key(self, connection: Connection, known: Mapping[str, str]) -> bytes:
        if self._variable is not None:
            return _key_of_variable(self._variable, self._environ.get(self._variable, ""))
        if self._store.key_file is not None:
            return key_in_file(self._store.key_file)
        text = known.get(KEY)
        if text is None:
            text = secrets.token_hex(KEY_BYTES)
            connection.execute("INSERT INTO facts (name, value) VALUES (?, ?)", (KEY, text))
        return bytes.fromhex(text)

    def _note(self, connection: Connection, known: Mapping[str, str], key_id: str) -> None:
        """Remember which key is in use, and say so where there are rows of another one."""
        connection.execute(
            "INSERT INTO facts (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (KEY_ID, key_id),
        )
        rows = "EXISTS (SELECT 1 FROM requests) OR EXISTS (SELECT 1 FROM unanswered)"
        earlier = KEY_ID in known or connection.execute(f"SELECT {rows}").fetchone()[0]
        # Once: programs with different keys would say it in turns.
        if earlier and self._warned != key_id:
            self._warned = key_id
            logger.warning(
                "query_hash has a new key, from %s: hashes of earlier rows no longer compare",
                self._variable or self._store.key_file or "the ledger itself",
            )


def key_in_file(path: Path) -> bytes:
    """The key in a file that its owner alone can read; made where there is none.

    Of processes that make it at once, all get the first one's. It is there as a whole or not at
    all, and on the disk before it is used.

    Raises:
        LedgerError: It cannot be made or read, or is no key.
    """
    try:
        try:
            key = _content(path)
        except FileNotFoundError:
            make_private(path, secrets.token_bytes(KEY_BYTES))
            key = _content(path)
    except OSError as error:
        raise LedgerError(
            f"the key of the ledger's hashes {path} cannot be read or made:"
            f" {error.strerror or error}; allow it to this user"
        ) from error
    if len(key) != KEY_BYTES:
        raise LedgerError(
            f"{path} is no key of {KEY_BYTES} bytes; put the ledger's own back, or delete the file"
            " for a new one"
        )
    return key


def _content(path: Path) -> bytes:
    # Without Python's buffers, because each transaction that hashes does it.
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, KEY_BYTES + 1)
    finally:
        os.close(handle)


def _key_of_variable(name: str, text: str) -> bytes:
    # Exactly a key: a short one could be guessed with the prompt.
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * KEY_BYTES}}}", text.strip()):
        raise LedgerError(
            f"{name}, which ledger.hash_key_env names, must have {2 * KEY_BYTES} hexadecimal digits"
            f" in the environment; `openssl rand -hex {KEY_BYTES}` makes them"
        )
    return bytes.fromhex(text)


def _keyed(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()
