"""Checks the FOCUS exports with the tools of others: ``make validate-focus``.

1.2 goes through the FinOps Foundation's own validator, which has the rules of that version; 1.4, of
which it has none yet, through ``focus-data-toolkit``'s lint. No network is asked.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from aegis_graph import RouterConfig, create_ledger
from aegis_graph.types import FocusVersion

TOOLS = Path(__file__).parents[1] / ".venv-focus" / "bin"

CONTRADICTION = "InvoiceId-C-005-C"
"""Of an ``InvoiceId`` without and with a value, one rule says that it must, and one that it must
not: their conditions are words that the validator does not read. The rule over both is kept."""

ROWS = """
INSERT INTO requests (timestamp, day, route_id, attempt, provider, model, task, sensitivity,
    user_id, query_hash, status, cost_basis, hold_nano_usd, cost_nano_usd, input_tokens,
    output_tokens, expires_at, tags)
VALUES
    ('2026-11-23T10:00:00.000Z', '2026-11-23', 'r1', 1, 'openai', 'gpt-4o', 'chat', 'public', 'u',
        'h', 'answered', 'reported', 9, 55000, 10, 3, '2026-11-23T10:01:00.000Z', '{"team":"a"}'),
    ('2026-11-30T23:59:59.999Z', '2026-11-30', 'r2', 1, 'ollama', 'llama', 'chat', 'pii', 'u',
        'h', 'failed', 'none', 9, 0, NULL, NULL, '2026-12-01T00:01:00.000Z', NULL),
    ('2026-12-31T23:00:00.000Z', '2026-12-31', 'r3', 1, 'dashscope', 'qwen-plus', 'chat',
        'public', 'u', 'h', 'cancelled', 'held', 9, 9, NULL, NULL, '2027-01-01T00:00:00.000Z', NULL)
"""


def main() -> int:
    """Export a ledger with rows of each sort, and say what the tools find."""
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "1.2": official(exported(Path(folder), "1.2")),
            "1.4": lint(exported(Path(folder), "1.4")),
        }
    for version, problems in found.items():
        print(f"FOCUS {version}: {'clean' if not problems else ''}")
        print("".join(f"  {line}\n" for line in problems), end="")
    return 1 if any(found.values()) else 0


def exported(folder: Path, version: FocusVersion) -> Path:
    """The export of a small ledger."""
    path = folder / f"{version}.csv"
    url = f"sqlite:///{folder}/{version}.db"
    ledger = create_ledger(RouterConfig.model_validate({"ledger": {"url": url}}))
    asyncio.run(ledger.transact(lambda connection: connection.execute(ROWS)))
    with path.open("wb") as stream:
        ledger.export_blocking(stream, format="focus", focus_version=version)
    return path


def official(path: Path) -> list[str]:
    """The rules of 1.2 that fail, but for the two that exclude each other."""
    tool = TOOLS / "focus-validator"
    # Its table of currencies is looked for below the folder in which it runs.
    [home] = (TOOLS.parent / "lib").glob("python*/site-packages")
    command = [tool, "--data-file", path, "--validate-version", "1.2", "--block-download"]
    done = subprocess.run(
        [*command, "--focus-dataset", "CostAndUsage"],
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
    )
    if "Total:" not in done.stdout:
        return ["the validator did not run", *done.stderr.splitlines()[-1:]]
    print("official validator,", re.findall(r"Total:.*", done.stdout)[0])
    failed = re.findall(r"^\S+ (\S+): FAIL(.*)$", done.stdout, re.M)
    return [f"{rule}{why}" for rule, why in failed if rule != CONTRADICTION]


def lint(path: Path) -> list[str]:
    """What is no column, or no value, of 1.4."""
    command = [TOOLS / "focus-toolkit", "validate", "--dataset", "cost-and-usage", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [*done.stdout.splitlines(), *done.stderr.splitlines()]


if __name__ == "__main__":
    sys.exit(main())
