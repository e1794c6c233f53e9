"""The keys of a server's callers and their logins: the ledger has a hash of each, and no more.

A key is 256 random bits, which no guess finds, so a fast hash protects it as well as a slow one
would. The hash is an HMAC-SHA256 under a secret of the ledger's own, so that a row that is written
into the table by hand, without that secret, opens nothing.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple, get_args

from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.rows import timestamp
from aegis_graph.ledger.store import Connection
from aegis_graph.types import Sensitivity

Role = Literal["call", "read", "admin"]
"""What a key is for: asking models, reading what it cost, or both and changing budgets."""
ROLES: tuple[Role, ...] = get_args(Role)

KEY_PREFIX = "sk-aegis-"
KEY_NAME_PATTERN = r"[A-Za-z0-9_.-]{1,60}"
"""What a key may be called: it is a tag's value, and a word of a command line."""
KEY_TAG = "api_key"
"""The tag by which the calls of a key are counted; ``tag:api_key=NAME`` is its budget's scope."""

SERVER_SECRET = "server_secret"
"""The fact with the secret; made when it is first needed."""


class ApiKey(NamedTuple):
    """A key, as the ledger knows it."""

    key_hash: str
    name: str
    role: Role
    user_id: str
    sensitivity: Sensitivity | None
    """The least level of privacy of what it asks; a request may say a stricter one."""
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything at a moment."""
        if self.revoked_at is not None:
            return False
        return self.expires_at is None or timestamp(now) < self.expires_at


API_KEY_COLUMNS = ApiKey._fields
_SELECT = f"SELECT {', '.join(API_KEY_COLUMNS)} FROM api_keys ORDER BY created_at, name"


class KnownKeys(NamedTuple):
    """All keys, and the secret under which a presented one is looked up."""

    secret: bytes | None
    """``None`` where no key was ever made."""
    keys: Sequence[ApiKey]


def new_key() -> str:
    """A key that nobody has."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def keyed_hash(secret: bytes, text: str) -> str:
    """What the ledger keeps in place of a key or of a session's token."""
    return hmac.digest(secret, text.encode("utf-8", "surrogateescape"), "sha256").hex()


def known_keys() -> Query[KnownKeys]:
    """Every key, also those that are revoked or have expired."""
    facts = yield Statement("SELECT value FROM facts WHERE name = ?", (SERVER_SECRET,))
    rows = yield Statement(_SELECT)
    return KnownKeys(bytes.fromhex(facts[0][0]) if facts else None, [ApiKey(*row) for row in rows])


def server_secret(connection: Connection) -> bytes:
    """The secret, in a transaction that no other writer overlaps."""
    connection.execute(
        "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (SERVER_SECRET, secrets.token_hex(32)),
    )
    query = "SELECT value FROM facts WHERE name = ?"
    return bytes.fromhex(connection.execute(query, (SERVER_SECRET,)).fetchone()[0])


def add_key(
    connection: Connection,
    key: str,
    *,
    name: str,
    role: Role,
    user_id: str,
    sensitivity: Sensitivity | None,
    now: datetime,
    expires_at: datetime | None,
) -> bool:
    """Keep a new key's hash; ``False`` where there is a key of that name."""
    query = "SELECT 1 FROM api_keys WHERE name = ? AND revoked_at IS NULL"
    if connection.execute(query, (name,)).fetchone() is not None:
        return False
    row = ApiKey(
        keyed_hash(server_secret(connection), key),
        name,
        role,
        user_id,
        sensitivity,
        timestamp(now),
        None if expires_at is None else timestamp(expires_at),
        None,
        None,
    )
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO api_keys ({', '.join(API_KEY_COLUMNS)}) VALUES ({marks})", row)
    return True


def revoke_key(connection: Connection, name: str, now: datetime) -> bool:
    """Let a key open nothing any more, and end its sessions; ``False`` where there is none."""
    revoked = connection.execute(
        "UPDATE api_keys SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL"
        " RETURNING key_hash",
        (timestamp(now), name),
    ).fetchone()
    if revoked is None:
        return False
    connection.execute("DELETE FROM sessions WHERE key_hash = ?", (revoked[0],))
    return True


def note_use(connection: Connection, hashes: Sequence[str], now: datetime) -> None:
    """Remember when keys were last used."""
    connection.executemany(
        "UPDATE api_keys SET last_used_at = ? WHERE key_hash = ?",
        [(timestamp(now), one) for one in hashes],
    )


def add_session(
    connection: Connection, token_hash: str, key_hash: str, *, now: datetime, expires_at: datetime
) -> None:
    """Keep a login, and drop those that are over."""
    connection.execute("DELETE FROM sessions WHERE expires_at <= ?", (timestamp(now),))
    connection.execute(
        "INSERT INTO sessions (token_hash, key_hash, expires_at) VALUES (?, ?, ?)",
        (token_hash, key_hash, timestamp(expires_at)),
    )


def end_session(connection: Connection, token_hash: str) -> None:
    """Let a login be over."""
    connection.execute("DELETE FROM sessions WHERE token_hash = ?", (token_hash,))


def session_key(token_hash: str, now: datetime) -> Query[str | None]:
    """The hash of the key with which a login was made, while it lasts."""
    rows = yield Statement(
        "SELECT key_hash FROM sessions WHERE token_hash = ? AND expires_at > ?",
        (token_hash, timestamp(now)),
    )
    return str(rows[0][0]) if rows else None
