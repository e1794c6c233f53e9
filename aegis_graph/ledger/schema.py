"""The tables, as an append-only list of migrations, for every kind of database.

``requests`` has one row per attempt, and ``request_tags`` one per tag of it. ``totals`` has one row
per scope and local day, kept by the transaction that writes the row it counts: a budget's window
and a month's report are sums over a few of them, at any size of ``requests``. ``unanswered`` has
one row per request without an answer. ``budgets`` has the limits in force, ``alerts`` the windows
whose alert was given, ``budget_raises`` what people allowed beyond a limit in a window, and
``facts`` what the ledger knows of itself. ``limit_counts`` has the last minute's use of scopes with
limits, by the second, and what a day's totals lack for them. ``days`` has the first row of each
local day, ``pruned_failures`` why attempts failed whose rows are gone, ``api_keys`` the server's
callers, ``sessions`` their logins.
"""

from __future__ import annotations

from collections.abc import Mapping

_NAMED = [(name, name) for name in ("provider", "model", "task")]
_NAMED += [(name, f"{name}_id") for name in ("user", "run")]

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE requests (
            id {key},
            timestamp TEXT NOT NULL,
            day TEXT NOT NULL,
            route_id TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            provider TEXT NOT NULL,
            model TEXT NOT NULL,
            task TEXT NOT NULL,
            sensitivity TEXT NOT NULL,
            user_id TEXT NOT NULL,
            thread_id TEXT,
            query_hash TEXT NOT NULL,
            status TEXT NOT NULL DEFAULT 'reserved'
                CHECK (status IN ('reserved', 'answered', 'failed', 'cancelled', 'expired')),
            error_type TEXT,
            cost_basis TEXT NOT NULL DEFAULT 'held'
                CHECK (cost_basis IN ('reported', 'estimated', 'held', 'none')),
            hold_nano_usd {integer} NOT NULL CHECK (hold_nano_usd >= 0),
            cost_nano_usd {integer} NOT NULL DEFAULT 0 CHECK (cost_nano_usd >= 0),
            cost_usd {usd},
            input_tokens {integer},
            output_tokens {integer},
            cached_input_tokens {integer},
            reasoning_tokens {integer},
            latency_ms {integer},
            expires_at TEXT NOT NULL
        ) {strict}
        """,
        "CREATE INDEX requests_route ON requests (route_id)",
        # For the sweep, which comes before every admission.
        "CREATE INDEX requests_open ON requests (expires_at) WHERE status = 'reserved'",
        """
        CREATE TABLE totals (
            scope {text} NOT NULL,
            day {text} NOT NULL,
            spent_nano_usd {integer} NOT NULL DEFAULT 0,
            held_nano_usd {integer} NOT NULL DEFAULT 0 CHECK (held_nano_usd >= 0),
            calls {integer} NOT NULL DEFAULT 0,
            failures {integer} NOT NULL DEFAULT 0,
            input_tokens {integer} NOT NULL DEFAULT 0,
            output_tokens {integer} NOT NULL DEFAULT 0,
            PRIMARY KEY (scope, day)
        ) {keyed}
        """,
        """
        CREATE TABLE unanswered (
            route_id TEXT PRIMARY KEY,
            timestamp TEXT NOT NULL,
            task TEXT NOT NULL,
            sensitivity TEXT NOT NULL,
            user_id TEXT NOT NULL,
            thread_id TEXT,
            query_hash TEXT NOT NULL,
            error_type TEXT NOT NULL,
            reasons TEXT NOT NULL
        ) {keyed}
        """,
        """
        CREATE TABLE budgets (
            scope TEXT NOT NULL,
            period TEXT NOT NULL CHECK (period IN ('day', 'week', 'month', 'total')),
            limit_nano_usd {integer} CHECK (limit_nano_usd >= 0),
            file_limit_nano_usd {integer},
            alert_at TEXT,
            origin TEXT NOT NULL CHECK (origin IN ('file', 'set')),
            PRIMARY KEY (scope, period)
        ) {keyed}
        """,
        """
        CREATE TABLE alerts (
            scope TEXT NOT NULL,
            period TEXT NOT NULL,
            first_day TEXT NOT NULL,
            PRIMARY KEY (scope, period, first_day)
        ) {keyed}
        """,
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) {keyed}",
    ),
    (
        "ALTER TABLE requests ADD COLUMN run_id TEXT",
        "CREATE INDEX requests_run ON requests (run_id) WHERE run_id IS NOT NULL",
    ),
    ("ALTER TABLE unanswered ADD COLUMN run_id TEXT",),
    (
        "ALTER TABLE requests ADD COLUMN cache_write_tokens {integer}",
        # As the provider names the tier that it served, and the model that answered.
        "ALTER TABLE requests ADD COLUMN service_tier TEXT",
        "ALTER TABLE requests ADD COLUMN served_model TEXT",
        # Nano-USD above the hold; -1 where the provider reported more than can be true, and the
        # hold was spent instead.
        "ALTER TABLE requests ADD COLUMN overrun {integer}",
        # For the question how often that is: almost no row is in it.
        "CREATE INDEX requests_overrun ON requests (day) WHERE overrun <> 0",
    ),
    (
        """
        CREATE TABLE request_tags (
            request_id {integer} NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (request_id, key)
        ) {keyed}
        """,
        # The same as JSON, written with the row and never changed: a settlement learns all the
        # scopes that it moves from the row that it reads anyway, and an export needs no join.
        "ALTER TABLE requests ADD COLUMN tags TEXT",
        "ALTER TABLE unanswered ADD COLUMN tags TEXT",
    ),
    (
        "ALTER TABLE requests ADD COLUMN queued_ms {integer}",
        # What a row is counted for in ``limit_counts``, and under which scopes, as JSON: it is
        # taken out again by whichever program settles it.
        "ALTER TABLE requests ADD COLUMN hold_tokens {integer}",
        "ALTER TABLE requests ADD COLUMN counted_scopes TEXT",
        "ALTER TABLE totals ADD COLUMN open_holds {integer} NOT NULL DEFAULT 0",
        # Of the few rows that are open, so that a large ledger is not read through.
        """
        UPDATE totals SET open_holds = (
            SELECT count(*) FROM requests
            WHERE requests.status = 'reserved' AND requests.day = totals.day AND (
                totals.scope = 'total'
                OR totals.scope = 'provider:' || provider OR totals.scope = 'model:' || model
                OR totals.scope = 'task:' || task OR totals.scope = 'user:' || user_id
                OR totals.scope = 'run:' || run_id OR EXISTS (
                    SELECT 1 FROM request_tags WHERE request_id = requests.id
                    AND totals.scope = 'tag:' || key || '=' || value
                )
            )
        ) WHERE day IN (SELECT day FROM requests WHERE status = 'reserved')
        """,
        """
        CREATE TABLE limit_counts (
            scope {text} NOT NULL,
            part {text} NOT NULL,
            requests {integer} NOT NULL,
            tokens {integer} NOT NULL,
            PRIMARY KEY (scope, part)
        ) {keyed}
        """,
        "CREATE INDEX limit_counts_part ON limit_counts (part)",
    ),
    # What an answer was expected to cost where providers are not asked as they are listed.
    ("ALTER TABLE requests ADD COLUMN expected_nano_usd {integer}",),
    (
        """
        CREATE TABLE api_keys (
            key_hash {text} NOT NULL PRIMARY KEY,
            name TEXT NOT NULL,
            role TEXT NOT NULL CHECK (role IN ('call', 'read', 'admin')),
            user_id TEXT NOT NULL,
            sensitivity TEXT,
            created_at TEXT NOT NULL,
            expires_at TEXT,
            revoked_at TEXT,
            last_used_at TEXT
        ) {keyed}
        """,
        # A revoked key's name is free for its successor.
        "CREATE UNIQUE INDEX api_keys_name ON api_keys (name) WHERE revoked_at IS NULL",
        """
        CREATE TABLE sessions (
            token_hash {text} NOT NULL PRIMARY KEY,
            key_hash TEXT NOT NULL,
            expires_at TEXT NOT NULL
        ) {keyed}
        """,
    ),
    (
        "ALTER TABLE totals ADD COLUMN cached_input_tokens {integer} NOT NULL DEFAULT 0",
        "ALTER TABLE totals ADD COLUMN cache_write_tokens {integer} NOT NULL DEFAULT 0",
        # Where the rows of a day begin: an index by day would take more room than a row may.
        "CREATE TABLE days (day {text} PRIMARY KEY, first_id {integer} NOT NULL) {keyed}",
        "INSERT INTO days (day, first_id) SELECT day, min(id) FROM requests GROUP BY day",
        # For the question why attempts fail: few rows are in it, and all of its answer is.
        """
        CREATE INDEX requests_failed ON requests (day, status, error_type)
        WHERE status IN ('failed', 'cancelled', 'expired')
        """,
        *(
            f"""
            INSERT INTO totals (scope, day, cached_input_tokens, cache_write_tokens)
            SELECT {scope} AS name, day,
                sum(coalesce(cached_input_tokens, 0)), sum(coalesce(cache_write_tokens, 0))
            FROM requests {tags}
            WHERE (cached_input_tokens > 0 OR cache_write_tokens > 0) AND {scope} IS NOT NULL
            GROUP BY name, day
            ON CONFLICT (scope, day) DO UPDATE SET
                cached_input_tokens = excluded.cached_input_tokens,
                cache_write_tokens = excluded.cache_write_tokens
            """
            for scope, tags in (
                *((f"'{kind}:' || {name}", "") for kind, name in _NAMED),
                ("'total'", ""),
                ("'tag:' || key || '=' || value", "JOIN request_tags ON request_id = id"),
            )
        ),
    ),
    (
        """
        CREATE TABLE budget_raises (
            question_id TEXT NOT NULL,
            budget TEXT NOT NULL,
            scope TEXT NOT NULL,
            period TEXT NOT NULL CHECK (period IN ('day', 'week', 'month', 'total')),
            first_day TEXT NOT NULL,
            nano_usd {integer} NOT NULL CHECK (nano_usd > 0),
            timestamp TEXT NOT NULL,
            route_id TEXT NOT NULL,
            approved_by TEXT NOT NULL,
            PRIMARY KEY (question_id, budget, scope, period)
        ) {keyed}
        """,
        "CREATE INDEX budget_raises_window ON budget_raises (period, first_day, scope)",
    ),
    # What rows were before a bill corrected them.
    (
        """
        CREATE TABLE corrections (
            request_id {integer} NOT NULL,
            timestamp {text} NOT NULL,
            old_nano_usd {integer} NOT NULL,
            new_nano_usd {integer} NOT NULL CHECK (new_nano_usd >= 0),
            source TEXT NOT NULL,
            PRIMARY KEY (request_id, timestamp)
        ) {keyed}
        """,
    ),
    ("ALTER TABLE requests ADD COLUMN first_token_ms {integer}",),
    (
        # A monitoring system asks every few seconds: all of its answer is in here.
        """
        CREATE INDEX requests_failed_providers ON requests (provider, status, error_type)
        WHERE status IN ('failed', 'cancelled', 'expired')
        """,
        """
        CREATE TABLE pruned_failures (
            provider {text} NOT NULL,
            reason {text} NOT NULL,
            failures {integer} NOT NULL,
            PRIMARY KEY (provider, reason)
        ) {keyed}
        """,
        # Of rows that are gone already, the totals know the number and nothing knows the reason.
        """
        INSERT INTO pruned_failures (provider, reason, failures)
        SELECT name, 'pruned', counted - there FROM (
            SELECT substr(scope, 10) AS name, sum(failures) AS counted, (
                SELECT count(*) FROM requests WHERE provider = substr(scope, 10)
                AND status IN ('failed', 'cancelled', 'expired')
            ) AS there FROM totals WHERE scope >= 'provider:' AND scope < 'provider;' GROUP BY scope
        ) AS known WHERE counted > there
        """,
    ),
)

SCHEMA_VERSION = len(MIGRATIONS)


def statements(dialect: Mapping[str, str], *, done: int) -> list[str]:
    """What brings tables from version ``done`` to the present one, in a database's own words."""
    return [text.format_map(dialect) for group in MIGRATIONS[done:] for text in group]
