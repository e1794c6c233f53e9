"""The quality benchmark runs from end to end over played providers, and refuses bad files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.testing import LoopbackServer
from tests.flow.components.extraction_support import reply
from tests.flow.quality_support import assert_refused, configuration, run, write
from tests.quality_excerpts import ALCE, CONLL04, HOTPOTQA

GOOD = json.dumps(
    {
        "entities": [{"name": "Ada Berg", "type": "Peop"}, {"name": "Ulm", "type": "Loc"}],
        "relations": [
            {"head": "Ada Berg", "relation": "Live_In", "tail": "Ulm", "quote": "lives in Ulm"}
        ],
    }
)
POOR = json.dumps({"entities": [{"name": "Ulm", "type": "Peop"}], "relations": []})


def measured(
    folder: Path, server: LoopbackServer, task: str, data: Any, *more: str, fresh: bool = False
) -> Any:
    written = folder / "figures.json"
    path, config = write(folder, "data.json", data), configuration(folder, server)
    done = run(task, path, "--config", config, "--json", str(written), *more, fresh=fresh)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return json.loads(written.read_text(encoding="utf-8"))["columns"], done.stdout


def test_relations_side_by_side(tmp_path: Path, server: LoopbackServer) -> None:
    server.always("openai", reply(GOOD), model="model-good")
    server.always("openai", reply(POOR), model="model-poor")

    columns, shown = measured(tmp_path, server, "relations", CONLL04, fresh=True)

    good, poor = columns["good"]["figures"], columns["poor"]["figures"]
    assert good["relations: F1"] == good["relations, typed: F1"] == 1.0
    assert (good["entities: precision"], good["entities: recall"]) == (1.0, 2 / 3)
    assert poor["relations: F1"] == 0.0
    assert (poor["entities: F1"], poor["entities, typed: F1"]) == (0.5, 0.0)
    assert [columns[name]["cost_usd"] for name in columns] == ["0.00014", "0.00014"]
    assert columns["good"]["calls"] == columns["good"]["examples"] == 2
    assert "relations, typed: F1" in shown
    assert "100.0" in shown


def test_decomposition_with_and_without(tmp_path: Path, server: LoopbackServer) -> None:
    server.always("openai", reply("Ulm [1]"))

    columns, _ = measured(
        tmp_path, server, "decomposition", HOTPOTQA, "--providers", "good", "--limit", "1"
    )

    assert list(columns) == ["good, without decomposition", "good, with decomposition"]
    for column in columns.values():
        assert column["figures"]["answer F1"] == column["figures"]["exact match"] == 1.0
        assert column["figures"]["recall@5"] > 0
    without, with_ = columns.values()
    assert with_["calls"] > without["calls"] == 1
    assert with_["incomplete"] == 1, "an answer is no plan"


def test_citations(tmp_path: Path, server: LoopbackServer) -> None:
    server.always("openai", reply("Ada Berg was born in Ulm [1]. Giraffes have long necks [2]."))

    columns, shown = measured(tmp_path, server, "citations", ALCE, "--providers", "good")

    assert columns["good"]["figures"] == {
        "citation recall": 0.5,
        "citation precision": 0.5,
        "answer match": 0.5,
    }
    assert "judged by words" in shown


def test_a_model_can_judge(tmp_path: Path, server: LoopbackServer) -> None:
    server.always("openai", reply("Ada Berg was born in Ulm [1]."), model="model-good")
    server.always("openai", reply("No."), model="model-poor")

    columns, _ = measured(
        tmp_path, server, "citations", ALCE, "--providers", "good", "--judge", "poor"
    )

    assert columns["good"]["figures"]["citation recall"] == 0.0
    assert len([call for call in server.calls() if call.model == "model-poor"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["relations", "nowhere.json"], "quality: nowhere.json: cannot be read"),
        (["citations", "DATA"], "example 0: not in the format of ALCE"),
        (["relations", "DATA", "--providers", "nobody"], "no provider 'nobody' in"),
        (["relations", "DATA", "--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert_refused(tmp_path, arguments, message)
