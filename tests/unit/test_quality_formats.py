"""The readers of the quality benchmark: excerpts in each data set's shape, made up here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scoring.formats import (
    BadFileError,
    Paragraph,
    read_citations,
    read_names,
    read_questions,
    read_relations,
)

from tests.quality_excerpts import ALCE, CONLL04, HOTPOTQA, MUSIQUE, REDOCRED


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_conll04(tmp_path: Path) -> None:
    first, second = read_relations(write(tmp_path / "a.json", CONLL04))
    assert first.text == "Ada Berg lives in Ulm ."
    assert [one.type for one in first.entities] == ["Peop", "Loc"]
    assert [first.text[slice(*place)] for one in first.entities for place in one.places] == [
        "Ada Berg",
        "Ulm",
    ]
    assert first.relations == {(0, "Live_In", 1)}
    assert (first.id, second.relations) == ("17", frozenset())


def test_redocred(tmp_path: Path) -> None:
    names = read_names(write(tmp_path / "names.json", {"P19": "place of birth"}))
    [example] = read_relations(write(tmp_path / "a.json", REDOCRED), names)
    mentions = [
        sorted(example.text[slice(*place)] for place in one.places) for one in example.entities
    ]
    assert mentions == [["Ada Berg", "She"], ["Ulm"]]
    assert example.relations == {(0, "place of birth", 1)}
    assert example.id == "Ada Berg"


def test_hotpotqa(tmp_path: Path) -> None:
    first, _ = read_questions(write(tmp_path / "a.json", HOTPOTQA))
    assert first.answers == ["Ulm"]
    assert first.paragraphs[0] == Paragraph("Ada Berg", "Ada Berg wrote Dust. She is a poet.")
    assert {one.title for one in first.supporting} == {"Ada Berg", "Dust (novel)"}


def test_hotpotqa_as_hugging_face_has_it(tmp_path: Path) -> None:
    row = HOTPOTQA[0]
    columns = {
        **row,
        "id": row["_id"],
        "context": {
            "title": [title for title, _ in row["context"]],
            "sentences": [sentences for _, sentences in row["context"]],
        },
        "supporting_facts": {
            "title": [title for title, _ in row["supporting_facts"]],
            "sent_id": [place for _, place in row["supporting_facts"]],
        },
    }
    theirs = read_questions(write(tmp_path / "a.jsonl", columns))
    assert theirs == read_questions(write(tmp_path / "b.json", HOTPOTQA))[:1]


def test_musique_in_json_lines(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(row) for row in MUSIQUE)
    first, _ = read_questions(write(tmp_path / "a.jsonl", lines))
    assert first.answers == ["Ulm", "Ulm, Germany"]
    assert [one.title for one in first.supporting] == ["Ada Berg"]


def test_alce(tmp_path: Path) -> None:
    for value in (ALCE, {"data": ALCE}):
        [example] = read_citations(write(tmp_path / "a.json", value))
        assert example.documents[0] == Paragraph("Ada Berg", "Ada Berg was born in Ulm.")
        assert example.short_answers == [["Ulm", "Ulm, Germany"], ["1901"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not JSON", "not JSON"),
        ("", "not JSON"),
        ("[]", "has no examples"),
        ("[7]", "example 0: not in the format of CoNLL04"),
        ('[{"question": "?"}]', "example 0: not in the format of CoNLL04"),
        ('{"tokens": ["a"]}', "example 0: lacks 'entities'"),
        (
            '{"tokens": ["a"], "entities": [{"type": "T", "start": 0, "end": 2}], "relations": []}',
            "example 0: an entity at tokens 0 to 2 of 1",
        ),
        (
            '{"tokens": ["a"], "entities": [], "relations": [{"head": 0, "tail": 0, "type": "R"}]}',
            "example 0: a relation of entity 0 of 0",
        ),
        ('{"a": 1}\n{"b": 2', "line 2: not JSON"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path / "bad.json", content)
    with pytest.raises(BadFileError) as caught:
        read_relations(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_of_another_task(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="cannot be read: No such file"):
        read_questions(tmp_path / "nowhere.json")
    with pytest.raises(BadFileError, match="not in the format of HotpotQA"):
        read_questions(write(tmp_path / "a.json", CONLL04))
    with pytest.raises(BadFileError, match="not in the format of ALCE"):
        read_citations(write(tmp_path / "a.json", CONLL04))
    with pytest.raises(BadFileError, match="from relation ids to names"):
        read_names(write(tmp_path / "a.json", ["P19"]))
