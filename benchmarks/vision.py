"""How well each tier of the default vision chain reads text and sees colours, and what it costs.

The images are drawn here. Text recognition on this machine always runs. The others run where they
can: a model in Ollama where it is there, DashScope where a key is set; without one, it is said what
it would cost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage

from aegis_graph import RouterConfig, create_router, describe_image, image_part
from aegis_graph.components.prompts import prompts
from aegis_graph.config.defaults import VISION_PROVIDERS
from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.pricing.prices import most_usd
from aegis_graph.pricing.rates import TokenUsage
from aegis_graph.providers.base import Provider
from aegis_graph.providers.registry import create_provider
from aegis_graph.request.request import Request
from aegis_graph.routing.reservation import bound_of
from benchmarks.vision_images import Case, cases

TARGET_GROUP, TARGET = "clean documents, 150 dpi", 0.95
BYTES_PER_TOKEN = 4
"""Of text, for what a call is likely to cost; the reservation counts one byte as one token."""


def main() -> int:
    """Run what can be run, and print it side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one image of each group")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the images as well")
    options = parser.parse_args()
    drawn = list(cases(quick=options.quick))
    if options.save:
        save(drawn, options.save)
    found = asyncio.run(measure(drawn))
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


async def measure(drawn: Sequence[Case]) -> dict[str, Any]:
    """Every tier's figures, or why it did not run and what it would cost."""
    variables = {**os.environ}
    providers = RouterConfig.load_vision(environ=variables).providers
    assert len(providers) == len(VISION_PROVIDERS)
    tiers = []
    for spec in providers:
        provider = create_provider(spec, source="the benchmark")
        reason = await why_not(provider)
        row: dict[str, Any] = {
            "tier": spec.name,
            "model": spec.model,
            "images": len(drawn),
            "likely_usd_per_image": str(likely_usd(provider, drawn)),
            "reserved_usd_per_image": str(reserved_usd(provider, drawn)),
            "skipped": reason,
        }
        if reason is None:
            print(f"{spec.name} ...", file=sys.stderr)
            row |= await run(spec, drawn)
        tiers.append(row)
    return {"images": len(drawn), "tiers": tiers}


async def why_not(provider: Provider) -> str | None:
    """Why a tier cannot run here, if it cannot."""
    if (missing := provider.missing_package()) is not None:
        return f"needs: {missing}"
    if provider.key_env and not provider.api_key():
        return f"no key: {provider.key_env} is not set"
    found = await provider.probe()
    if not found.reachable or found.model_there is False:
        return found.detail or "not reachable"
    return None


async def run(spec: ProviderSpec, drawn: Sequence[Case]) -> dict[str, Any]:
    """One tier over all images, each a routed request."""
    began, figures, usd = time.perf_counter(), [], Decimal(0)
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        ledger = LedgerSpec(url=f"sqlite:///{folder}/costs.db")
        router = create_router(RouterConfig(ledger=ledger, providers=(spec,), budgets=()))
        for case in drawn:
            kind = "text" if case.text else "description"
            result = await describe_image(router, case.data, kind=kind)
            usd += Decimal(result["cost_usd"])
            figures.append(
                {
                    "group": case.group,
                    "name": case.name,
                    "characters": accuracy(case.text, result["text"]) if case.text else None,
                    "colours": seen(case, result) if case.colours else None,
                    "colours_by": result["colours_by"],
                    "error": result["error"],
                }
            )
    seconds = time.perf_counter() - began
    return {
        "figures": figures,
        "usd_per_image": str(usd / len(drawn)),
        "seconds_per_image": round(seconds / len(drawn), 2),
    }


def accuracy(expected: str, got: str) -> float:
    """1 minus the edits between the texts per expected character; white space counts once."""
    wanted, read = (" ".join(text.split()) for text in (expected, got))
    return max(0.0, 1 - edits(wanted, read) / len(wanted))


def edits(one: str, other: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(other) + 1))
    for number, left in enumerate(one, start=1):
        diagonal, row[0] = row[0], number
        for place, right in enumerate(other, start=1):
            cost = diagonal if left == right else 1 + min(diagonal, row[place], row[place - 1])
            diagonal, row[place] = row[place], cost
    return row[-1]


def seen(case: Case, result: Any) -> float:
    """The share of the image's colours that were named; other names for them do not count."""
    named = " ".join(colour["name"].lower() for colour in result["colours"])
    names = named.replace("gray", "grey").replace("violet", "purple")
    return sum(colour in names for colour in case.colours) / len(case.colours)


def requests(drawn: Sequence[Case]) -> Iterator[tuple[Case, Request]]:
    """What the router is asked for each image."""
    for case in drawn:
        kind = "text" if case.text else "description"
        wanted = prompts(f"image_{kind}")["en"].substitute()
        message = HumanMessage([{"type": "text", "text": wanted}, image_part(case.data)])
        yield case, Request.from_state({"messages": [message], "task": "vision"}, {})


def likely_usd(provider: Provider, drawn: Sequence[Case]) -> Decimal:
    """What an image is likely to cost on average: its tokens, the prompt and the answer."""
    total = Decimal(0)
    for case, request in requests(drawn):
        prompt = request.prompt_tokens // BYTES_PER_TOKEN
        images = sum(provider.image_bound(image.size) for image in request.images)
        total += provider.price(TokenUsage(prompt + images, 150 + len(case.text) // 3))
    return total / len(drawn)


def reserved_usd(provider: Provider, drawn: Sequence[Case]) -> Decimal:
    """What is reserved for an image on average: the most that it can cost."""
    output = provider.output_bound(provider.spec.max_output_tokens)
    bounds = [bound_of(provider, request).input_tokens for _, request in requests(drawn)]
    return sum((most_usd(provider.price, one, output) for one in bounds), Decimal(0)) / len(drawn)


def report(found: dict[str, Any]) -> None:
    """Print a table as Markdown, and whether the target is met."""
    tiers = found["tiers"]
    print("| measured | " + " | ".join(tier["tier"] for tier in tiers) + " |")
    print("|---" * (len(tiers) + 1) + "|")
    groups = [row["group"] for tier in tiers for row in tier.get("figures", [])]
    for group in dict.fromkeys(groups):
        print(f"| {group} | " + " | ".join(cell(tier, group) for tier in tiers) + " |")
    for label, key in (
        ("cost per image", "usd_per_image"),
        ("likely cost per image", "likely_usd_per_image"),
        ("reserved per image", "reserved_usd_per_image"),
        ("seconds per image", "seconds_per_image"),
    ):
        values = [str(tier.get(key, "-")) for tier in tiers]
        shown = [f"${float(v):.5f}" if "usd" in key and v != "-" else v for v in values]
        print(f"| {label} | " + " | ".join(shown) + " |")
    print()
    for tier in tiers:
        if tier["skipped"]:
            print(f"{tier['tier']} did not run: {tier['skipped']}")
        elif reached := values_of(tier, TARGET_GROUP):
            met = "met" if min(reached) >= TARGET else "MISSED"
            print(f"{tier['tier']}: at least {TARGET:.0%} of each of the {TARGET_GROUP}: {met}")


def values_of(tier: dict[str, Any], group: str) -> list[float]:
    """The accuracies of a tier's images of a group."""
    rows = [row for row in tier.get("figures", []) if row["group"] == group]
    values = [row["colours"] if row["characters"] is None else row["characters"] for row in rows]
    return [value for value in values if value is not None]


def cell(tier: dict[str, Any], group: str) -> str:
    """The mean and the worst of a group."""
    values = values_of(tier, group)
    if not values:
        return "not run"
    return f"{statistics.mean(values):.1%} (worst {min(values):.1%}, {len(values)} images)"


def save(drawn: Sequence[Case], folder: Path) -> None:
    """Write the images, for looking at them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(drawn):
        suffix = "jpg" if case.data.startswith(b"\xff\xd8") else "png"
        (folder / f"{number:02} {case.group}, {case.name}.{suffix}".replace("/", "-")).write_bytes(
            case.data
        )


if __name__ == "__main__":
    sys.exit(main())
