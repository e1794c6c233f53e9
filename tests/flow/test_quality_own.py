"""The quality benchmark over our own data: each component beside the plainest prompt."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.testing import Fault, LoopbackServer
from tests.flow.components.extraction_support import reply
from tests.flow.quality_support import assert_refused, configuration, run, started

PLAIN = "Answer from these passages. If they do not answer, say so."


def played(server: LoopbackServer) -> None:
    """A model that knows the first answer; only the component's prompt makes it cite."""

    def answer(call: Any) -> Any:
        text = json.dumps(call.body["messages"])
        cites = "" if PLAIN in text else " [1]"
        return reply(f"The pump lifts water up to 6.2 metres.{cites}")

    server.always("openai", answer)


def own(folder: Path, server: LoopbackServer, task: str, *more: str, status: int = 0) -> Any:
    written, config = folder / "figures.json", configuration(folder, server)
    arguments = ("--config", config, "--providers", "good", "--json", str(written), *more)
    done = run(task, *arguments)
    assert done.returncode == status, done.stderr
    return json.loads(written.read_text(encoding="utf-8"))[task]["good"], done


def test_answers_beside_the_plainest_prompt(tmp_path: Path, server: LoopbackServer) -> None:
    played(server)

    report, done = own(tmp_path, server, "answers", "--baseline", "--limit", "2")

    plain, component = report["systems"]["plain prompt"], report["systems"]["answer generator"]
    assert plain["figures"]["right, strict"] == component["figures"]["right, strict"] == 0.5
    assert plain["figures"]["citation recall"] == 0.0
    assert component["figures"]["citation recall"] > 0
    assert plain["calls per item"] == component["calls per item"] == "1.00"
    assert (plain["tokens in"], plain["tokens out"]) == ("20", "10")
    apart = report["differences"]["answer generator"]["right, strict"]
    assert apart == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert "answer generator - plain prompt" in done.stdout.replace("\n", " ")
    assert done.stderr.splitlines()[-1].startswith("answers: 2 of 2, ")
    bodies = [call.body for call in server.calls()]
    assert {body.get("max_tokens") or body["max_completion_tokens"] for body in bodies} == {400}


def test_with_the_gold_passages_what_is_wrong_is_the_models(
    tmp_path: Path, server: LoopbackServer
) -> None:
    played(server)
    report, _ = own(tmp_path, server, "answers", "--oracle", "--limit", "2")
    [figures] = (one["figures"] for one in report["systems"].values())
    assert figures["gold passages shown"] == 1.0
    # What the documents do not answer has no passages, and is not asked.
    assert figures["unanswerable refused"] is None
    prompts = [json.dumps(call.body["messages"]) for call in server.calls()]
    [pump] = [one for one in prompts if "How high can the pump" in one]
    assert "The pump lifts water up to 6.2 metres" in pump
    assert "[2] (source" not in pump


def test_both_are_shown_the_same_passages(tmp_path: Path, server: LoopbackServer) -> None:
    played(server)
    own(tmp_path, server, "answers", "--baseline", "--limit", "1")
    prompts = [json.dumps(call.body["messages"]) for call in server.calls()]
    assert len(prompts) == 2
    assert all("The pump lifts water up to 6.2 metres" in one for one in prompts)
    assert sum(PLAIN in one for one in prompts) == 1


def test_a_rerun_asks_only_for_what_is_missing(tmp_path: Path, server: LoopbackServer) -> None:
    played(server)
    results = tmp_path / "results.jsonl"
    arguments = ("--baseline", "--results", str(results), "--concurrency", "1")
    first, _ = own(tmp_path, server, "answers", *arguments, "--limit", "4")
    lines = results.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(server.calls()) == 8
    assert json.loads(lines[0])["said"]["answer"].startswith("The pump lifts")

    # As an aborted run leaves it.
    results.write_text("\n".join(lines[:5]) + "\n" + lines[5][:40], encoding="utf-8")
    again, _ = own(tmp_path, server, "answers", *arguments, "--limit", "4")

    assert len(server.calls()) == 8 + 3
    assert (
        again["systems"]["plain prompt"]["figures"] == first["systems"]["plain prompt"]["figures"]
    )


def test_a_run_that_is_stopped_has_its_pairs(tmp_path: Path, server: LoopbackServer) -> None:
    answers = [reply("Not said.")] * 4
    server.script("openai", *answers, Fault.hang())
    results = tmp_path / "results.jsonl"
    arguments = ("--config", configuration(tmp_path, server), "--providers", "good", "--baseline")

    with started("answers", *arguments, "--results", str(results), "--concurrency", "1") as running:
        server.wait_for_calls(5)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate()

    assert running.returncode == 130
    assert f"quality: stopped; {results} has what was said so far" in errors.decode()
    systems = [json.loads(line)["system"] for line in results.read_text("utf-8").splitlines()]
    assert systems == ["plain prompt", "answer generator"] * 2


def test_relations_of_our_own_beside_one_prompt(tmp_path: Path, server: LoopbackServer) -> None:
    triple = {
        "head": "Mirel Tanaquist",
        "relation": "works_for",
        "tail": "Orbeck Shipping",
        "quote": "Mirel Tanaquist works for Orbeck Shipping",
    }
    entities = [
        {"name": "Mirel Tanaquist", "type": "Person"},
        {"name": "Orbeck Shipping", "type": "Organization"},
    ]

    def answer(call: Any) -> Any:
        plain = "Extract the relations that the text states" in json.dumps(call.body["messages"])
        said: Any = {"entities": entities, "relations": [triple]}
        return reply("I cannot do that." if plain else json.dumps(said))

    server.always("openai", answer)

    report, _ = own(tmp_path, server, "relations", "--baseline", "--limit", "1")

    assert report["systems"]["relation extractor"]["figures"]["F1"] == 1.0
    assert report["systems"]["plain prompt"]["figures"]["F1"] == 0.0
    assert report["differences"]["relation extractor"]["F1"]["value"] == 1.0


def test_decomposition_of_our_own_says_which_plans_were_valid(
    tmp_path: Path, server: LoopbackServer
) -> None:
    server.always("openai", reply("1,400 pump hours [1]"))

    report, _ = own(tmp_path, server, "decomposition", "--baseline", "--limit", "6")

    plain, component = report["systems"]["question itself"], report["systems"]["query decomposer"]
    assert plain["figures"]["valid plan"] is None
    assert component["figures"]["valid plan"] == 0.0
    assert float(component["calls per item"]) > float(plain["calls per item"]) == 1.0


def test_a_model_that_is_away_is_no_right_answer(tmp_path: Path, server: LoopbackServer) -> None:
    server.always("openai", Fault.status(400))
    results = tmp_path / "results.jsonl"

    report, _ = own(
        tmp_path, server, "answers", "--baseline", "--limit", "2", "--results", str(results)
    )

    assert [side["not complete"] for side in report["systems"].values()] == ["2", "2"]
    # The component quotes the documents by rule then, which may be right.
    assert report["systems"]["plain prompt"]["figures"]["right, simple"] == 0.0
    asked = len(server.calls())
    own(tmp_path, server, "answers", "--baseline", "--limit", "2", "--results", str(results))
    assert len(server.calls()) > asked, "what failed is asked again"


def test_retrieval_needs_no_model(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    done = run("retrieval", "--baseline", "--json", str(written), "--config", "examples/demo.toml")
    assert done.returncode == 0, done.stderr
    systems = json.loads(written.read_text(encoding="utf-8"))["retrieval"]["search"]["systems"]
    assert list(systems) == [
        "BM25 of whole words",
        "bm25",
        "index",
        "index, diverse",
        "index, neighbours",
    ]
    assert systems["bm25"]["items"] == "50"
    assert systems["bm25"]["figures"]["recall@5"] > 0.9


def test_the_environment_names_a_model_that_is_free(tmp_path: Path, server: LoopbackServer) -> None:
    server.models = ("tiny-1b",)
    played(server)
    written = tmp_path / "figures.json"

    done = run(
        *("answers", "--limit", "1", "--json", str(written)), AEGIS_QUALITY_URL=server.openai_url
    )

    assert done.returncode == 0, done.stderr
    side = json.loads(written.read_text(encoding="utf-8"))["answers"]["local"]["systems"]
    assert side["answer generator"]["cost in USD"] == "0"
    assert {call.model for call in server.calls()} == {"tiny-1b"}
    assert "answers: local, tiny-1b" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["all", "--baseline"], "set AEGIS_QUALITY_URL to an OpenAI-compatible address"),
        (["relations", "DATA", "--baseline"], "--baseline: only over our own data"),
        (["relations", "DATA", "--embeddings"], "--embeddings: only over our own data"),
        (["relations", "--relation-names", "DATA"], "--relation-names: only over a public data"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert_refused(tmp_path, arguments, message)
