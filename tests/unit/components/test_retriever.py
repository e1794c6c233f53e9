"""Passages as a LangChain retriever: by words, by meaning, both joined, and what is private."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from typing_extensions import override

from aegis_graph.components.documents.langchain import document_of, passages_of
from aegis_graph.components.retriever.base import OPTIONS_KEY, fuse
from aegis_graph.components.retriever.retriever import create_retriever
from aegis_graph.text.passages import Passage

PASSAGES = [
    Passage(source="a.md", text="A dog barks.", start=7, heading="Animals"),
    Passage(source="b.pdf", text="A hound howls at the moon.", page=2),
    Passage(source="c.md", text="Prices rise."),
]


class Meaning(Embeddings):
    """Knows that a hound is a dog; counts what it is asked."""

    def __init__(self) -> None:
        self.texts = 0
        self.questions: list[str] = []
        self.lock = threading.Lock()

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        with self.lock:
            self.texts += len(texts)
        return [self._vector(text) for text in texts]

    @override
    def embed_query(self, text: str) -> list[float]:
        with self.lock:
            self.questions.append(text)
        return self._vector(text)

    def _vector(self, text: str) -> list[float]:
        dog = float("dog" in text.lower()) + 2 * float("hound" in text.lower())
        return [dog, float("price" in text.lower()), 0.0]


def sources(documents: Sequence[Document]) -> list[str]:
    return [one.metadata["source"] for one in documents]


def test_words_alone_find_words_alone() -> None:
    assert sources(create_retriever(PASSAGES).invoke("Which dog barks?")) == ["a.md"]


async def test_embeddings_find_what_other_words_say() -> None:
    retriever = create_retriever(PASSAGES, embeddings=Meaning())
    assert sources(await retriever.ainvoke("Which dog barks?")) == ["a.md", "b.pdf"]
    assert sources(retriever.invoke("Which dog barks?")) == ["a.md", "b.pdf"]


def test_the_limit_holds_for_both_together() -> None:
    retriever = create_retriever(PASSAGES, embeddings=Meaning(), limit=1)
    assert sources(retriever.invoke("Which dog barks?")) == ["a.md"]


YARD = "crane of the north yard lifts tonnes of steel"
CROWDED = [
    *(Passage(source=f"crane-{n}.md", text=f"Number {n}: the {YARD}.") for n in range(4)),
    *(Passage(source=f"ferry-{n}.md", text=f"Ferry {n} has a hound.") for n in range(4)),
    *(Passage(source=f"lamp-{n}.md", text=f"Lamp {n} burns oil.") for n in range(4)),
]


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        (f"How many {YARD}, and where is the ferry?", {"crane", "ferry"}),
        (f"Who says that the {YARD}, and which lamp burns?", {"crane", "lamp"}),
        (f"Was heißt {YARD}, und wo ist die Ferry?", {"crane", "ferry"}),
        (f"Why {YARD}, and which ferry, and which lamp?", {"crane", "ferry", "lamp"}),
    ],
)
@pytest.mark.parametrize("embeddings", [None, Meaning()])
def test_one_part_of_a_question_does_not_crowd_out_the_others(
    question: str, kinds: set[str], embeddings: Embeddings | None
) -> None:
    retriever = create_retriever(
        CROWDED, embeddings=embeddings, embeddings_location="local", limit=4
    )
    sources = [one.metadata["source"] for one in retriever.invoke(question)]
    assert {source.split("-")[0] for source in sources} == kinds
    assert len(sources) == len(set(sources)) == 4


def test_what_only_one_part_means_is_found_by_meaning() -> None:
    embeddings = Meaning()
    retriever = create_retriever(CROWDED, embeddings=embeddings, limit=3)
    found = retriever.invoke("What does the crane lift, and where is a dog?")
    assert "ferry-0.md" in {one.metadata["source"] for one in found}
    assert embeddings.questions[1:] == ["What does the crane lift", "where is a dog?"]


def test_passages_are_read_and_embedded_once_however_many_ask_at_first() -> None:
    reads: list[int] = []
    meaning = Meaning()

    def read() -> Sequence[Passage]:
        reads.append(1)
        return PASSAGES

    retriever = create_retriever(read, embeddings=meaning)
    assert reads == []
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(retriever.invoke, ["Which dog barks?"] * 16))
    assert {tuple(sources(one)) for one in found} == {("a.md", "b.pdf")}
    assert (len(reads), meaning.texts, len(meaning.questions)) == (1, 3, 16)


@pytest.mark.parametrize("sensitivity", ["confidential", "pii", "hipaa"])
def test_what_is_private_is_not_shown_to_embeddings_in_a_cloud(sensitivity: str) -> None:
    meaning = Meaning()
    retriever = create_retriever(PASSAGES, embeddings=meaning)
    config: Any = {"metadata": {OPTIONS_KEY: {"sensitivity": sensitivity}}}
    assert sources(retriever.invoke("Which dog barks?", config)) == ["a.md"]
    found = retriever.find("Which dog barks?", {"sensitivity": sensitivity})
    assert found["degraded_reason"] == (
        f"searched by words alone: {sensitivity} is not embedded in a cloud"
    )
    assert (meaning.texts, meaning.questions) == (0, [])
    local = create_retriever(PASSAGES, embeddings=meaning, embeddings_location="local")
    assert sources(local.invoke("Which dog barks?", config)) == ["a.md", "b.pdf"]


def test_nothing_to_search_in_finds_nothing() -> None:
    assert create_retriever([]).invoke("Which dog barks?") == []


def test_a_question_is_not_embedded_where_there_are_no_passages() -> None:
    meaning = Meaning()
    empty = [Passage(source="a.md", text=" ")]
    assert create_retriever(empty, embeddings=meaning).invoke("Which dog barks?") == []
    assert meaning.questions == []


@pytest.mark.parametrize(
    ("rankings", "joined"),
    [
        ([[1, 2, 3], [3, 1]], [1, 3, 2]),
        ([[1], [2]], [1, 2]),
        ([[], [2, 1]], [2, 1]),
        ([], []),
        ([[5, 6, 7], [7, 6, 5]], [5, 7, 6]),
    ],
)
def test_rankings_are_joined_by_rank(rankings: list[list[int]], joined: list[int]) -> None:
    assert fuse(rankings) == joined


def test_a_passage_is_the_same_after_being_a_document() -> None:
    assert passages_of([document_of(passage) for passage in PASSAGES]) == PASSAGES


@pytest.mark.parametrize(
    ("metadata", "location"),
    [
        ({}, "document 1"),
        ({"title": "Report"}, "Report"),
        ({"source": "r.pdf", "page": 0}, "r.pdf, page 1"),
        ({"source": "r.pdf", "page": 4, "page_label": "3"}, "r.pdf, page 3"),
        ({"source": "r.pdf", "page_label": "iv"}, "r.pdf"),
        ({"source": "r.pdf", "page": "x", "start_index": True}, "r.pdf"),
    ],
)
def test_any_loaders_metadata_says_where_a_document_is_from(
    metadata: dict[str, Any], location: str
) -> None:
    [passage] = passages_of([Document("Text.", metadata=metadata)])
    assert passage.location == location
