"""What the file says of privacy counts wherever a caller says nothing, and is never undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from typing_extensions import override

from aegis_graph import (
    InvalidRequestError,
    NoProviderError,
    RoutedChatModel,
    RoutedLightRAG,
    RouterHandle,
    create_answer_generator,
    create_embeddings,
    create_image_describer,
    create_query_decomposer,
    create_rag,
    create_relation_extractor,
    create_retriever,
)
from aegis_graph.components.relation_extractor.store import AnswerStore
from aegis_graph.testing import LoopbackServer, Reply
from aegis_graph.text.passages import Passage
from tests.flow.support import KEYS, drawn, make_config, open_router, provider, read, rows

FACT = "Ada Berg lives in Ulm."
QUESTION = "Where does Ada Berg live, and since when, and why did she leave?"
PASSAGES = [Passage(source="a.md", text=FACT)]


def configured(server: LoopbackServer, db: Path, **defaults: str) -> Any:
    """A chain of one cloud, with what the file says for requests that do not."""
    server.always("openai", Reply("Ulm. [1]"))
    return make_config(
        server, db, providers=[provider(server, "openai", images=True)], defaults=defaults
    )


class CloudEmbeddings(Embeddings):
    """Embeddings that are no routed ones; they keep what they were shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.shown += texts
        return [[1.0, 0.0] for _ in texts]

    @override
    def embed_query(self, text: str) -> list[float]:
        self.shown.append(text)
        return [1.0, 0.0]


GRAPHS: dict[str, Any] = {
    "answer": lambda router: (
        create_answer_generator(router),
        {"question": QUESTION, "documents": [Document(FACT)]},
    ),
    "decompose": lambda router: (
        create_query_decomposer(router, create_retriever(PASSAGES)),
        {"question": QUESTION},
    ),
    "rag": lambda router: (create_rag(router, create_retriever(PASSAGES)), {"question": QUESTION}),
    "relations": lambda router: (create_relation_extractor(router), {"text": FACT}),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("how", ["file", "bound", "handle"])
def test_a_component_is_as_private_as_the_file_or_the_router_says(
    server: LoopbackServer, db: Path, name: str, how: str
) -> None:
    config = configured(server, db, **({} if how == "bound" else {"sensitivity": "pii"}))
    router: Any = RouterHandle(config, environ=KEYS) if how == "handle" else open_router(config)
    router = router.with_options(sensitivity="pii") if how == "bound" else router
    graph, asked = GRAPHS[name](router)
    result = graph.invoke(asked)
    assert server.calls() == ()
    assert result.get("degraded", True) is True


@pytest.mark.parametrize("name", GRAPHS)
def test_a_component_refuses_what_must_be_said_and_is_not(
    server: LoopbackServer, db: Path, name: str
) -> None:
    graph, asked = GRAPHS[name](open_router(configured(server, db, sensitivity="required")))
    with pytest.raises(InvalidRequestError, match=r"^sensitivity: the configuration requires one"):
        graph.invoke(asked)
    assert server.calls() == ()
    graph.invoke({**asked, "sensitivity": "public"})
    assert server.calls() != ()


@pytest.mark.parametrize("name", GRAPHS)
def test_a_misspelt_choice_of_a_component_is_refused(
    server: LoopbackServer, db: Path, name: str
) -> None:
    graph, asked = GRAPHS[name](open_router(configured(server, db)))
    with pytest.raises(InvalidRequestError, match=r"'sensitivty' is unknown; is it 'sensitivity'"):
        graph.invoke({**asked, "sensitivty": "pii"})
    assert server.calls() == ()


def test_a_search_shows_a_cloud_no_question_that_the_file_calls_private(
    server: LoopbackServer, db: Path
) -> None:
    embeddings = CloudEmbeddings()
    retriever = create_retriever(PASSAGES, embeddings=embeddings)
    router = open_router(configured(server, db, sensitivity="pii"))
    create_rag(router, retriever).invoke({"question": QUESTION})
    assert embeddings.shown == []
    # The same search is by meaning where a caller says that it may be.
    create_rag(router, retriever).invoke({"question": QUESTION, "sensitivity": "public"})
    assert embeddings.shown != []


def test_no_answer_that_the_file_calls_private_gets_into_a_store(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    found = '{"entities": [{"name": "Ada Berg", "type": "Person"}], "relations": []}'
    server.always("ollama", Reply(found))
    config = make_config(
        server, db, providers=[provider(server, "ollama")], defaults={"sensitivity": "pii"}
    )
    store = tmp_path / "answers.db"
    graph = create_relation_extractor(open_router(config), store=AnswerStore(store))
    assert graph.invoke({"text": FACT})["entities"]
    assert {row["sensitivity"] for row in rows(db)} == {"pii"}
    assert not store.exists() or read(store, "SELECT * FROM answers") == []


def test_an_image_is_as_private_as_the_file_says(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    (tmp_path / "scan.png").write_bytes(drawn(text="Ada"))
    graph = create_image_describer(open_router(configured(server, db, sensitivity="pii")))
    [result] = graph.invoke({"paths": [str(tmp_path)]})["results"]
    assert result["error"]
    assert server.calls() == ()


def test_a_chat_model_says_nothing_that_was_not_said_to_it(
    server: LoopbackServer, db: Path
) -> None:
    config = configured(server, db, sensitivity="pii", task="support/triage")
    model = RoutedChatModel(router=open_router(config))
    with pytest.raises(NoProviderError, match="pii data stays on local providers"):
        model.invoke(FACT)
    assert server.calls() == ()
    model.invoke(FACT, sensitivity="public")
    assert [row["task"] for row in rows(db)] == ["support/triage"]


def test_embeddings_say_nothing_that_was_not_said_to_them(server: LoopbackServer, db: Path) -> None:
    price = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "0"}
    row = provider(server, "openai", price=price, dimensions=2)
    config = configured(server, db, sensitivity="pii")
    config = type(config).model_validate({**config.model_dump(), "embeddings": [row]})
    embeddings = create_embeddings(config, environ=KEYS)
    with pytest.raises(NoProviderError, match="pii data stays on local providers"):
        embeddings.embed_query(FACT)
    assert server.calls() == ()


def test_a_lightrag_workspace_is_as_private_as_the_file_says(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    required = configured(server, db, sensitivity="required")
    with pytest.raises(InvalidRequestError, match=r"^sensitivity: the configuration requires one"):
        RoutedLightRAG(required, working_dir=tmp_path, environ=KEYS)
    config = configured(server, db, sensitivity="pii")
    with RoutedLightRAG(config, working_dir=tmp_path, environ=KEYS) as rag:
        report = rag.add({"a.txt": FACT})
    assert report.state != "done"
    assert server.calls() == ()
