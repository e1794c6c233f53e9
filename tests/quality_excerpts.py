"""Examples in the shape of the public data sets. Their content is made up."""

from __future__ import annotations

from typing import Any

CONLL04: list[dict[str, Any]] = [
    {
        "tokens": ["Ada", "Berg", "lives", "in", "Ulm", "."],
        "entities": [
            {"type": "Peop", "start": 0, "end": 2},
            {"type": "Loc", "start": 4, "end": 5},
        ],
        "relations": [{"type": "Live_In", "head": 0, "tail": 1}],
        "orig_id": 17,
    },
    {
        "tokens": ["Bob", "slept", "."],
        "entities": [{"type": "Peop", "start": 0, "end": 1}],
        "relations": [],
        "orig_id": 18,
    },
]

REDOCRED: list[dict[str, Any]] = [
    {
        "title": "Ada Berg",
        "sents": [
            ["Ada", "Berg", "is", "a", "poet", "."],
            ["She", "was", "born", "in", "Ulm", "."],
        ],
        "vertexSet": [
            [
                {"name": "Ada Berg", "sent_id": 0, "pos": [0, 2], "type": "PER"},
                {"name": "She", "sent_id": 1, "pos": [0, 1], "type": "PER"},
            ],
            [{"name": "Ulm", "sent_id": 1, "pos": [4, 5], "type": "LOC"}],
        ],
        "labels": [{"h": 0, "t": 1, "r": "P19", "evidence": [0, 1]}],
    }
]

HOTPOTQA: list[dict[str, Any]] = [
    {
        "_id": "h1",
        "question": "In which city was the author of the novel Dust born?",
        "answer": "Ulm",
        "type": "bridge",
        "level": "hard",
        "supporting_facts": [["Ada Berg", 0], ["Dust (novel)", 0]],
        "context": [
            ["Ada Berg", ["Ada Berg wrote Dust.", " She is a poet."]],
            ["Dust (novel)", ["Dust is a novel by Ada Berg, born in Ulm."]],
            ["Giraffe", ["Giraffes have long necks."]],
        ],
    },
    {
        "_id": "h2",
        "question": "Do giraffes have long necks?",
        "answer": "yes",
        "type": "comparison",
        "level": "easy",
        "supporting_facts": [["Giraffe", 0]],
        "context": [["Giraffe", ["Giraffes have long necks."]]],
    },
]

MUSIQUE: list[dict[str, Any]] = [
    {
        "id": "2hop__1",
        "paragraphs": [
            {
                "idx": 0,
                "title": "Ada Berg",
                "paragraph_text": "Ada Berg was born in Ulm.",
                "is_supporting": True,
            },
            {
                "idx": 1,
                "title": "Giraffe",
                "paragraph_text": "Giraffes have long necks.",
                "is_supporting": False,
            },
        ],
        "question": "Where was Ada Berg born?",
        "question_decomposition": [],
        "answer": "Ulm",
        "answer_aliases": ["Ulm, Germany"],
        "answerable": True,
    }
] * 2

ALCE: list[dict[str, Any]] = [
    {
        "sample_id": "a1",
        "question": "Where and when was Ada Berg born?",
        "qa_pairs": [
            {"question": "Where?", "short_answers": ["Ulm", "Ulm, Germany"]},
            {"question": "When?", "short_answers": ["1901"]},
        ],
        "docs": [
            {"id": "1", "title": "Ada Berg", "text": "Ada Berg was born in Ulm."},
            {"id": "2", "title": "Years", "text": "In 1901 Ada Berg was born."},
        ],
    }
]
