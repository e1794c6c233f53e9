"""A reranker over HTTP, and any other: what it is shown, what it orders, and that it may fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import Callbacks
from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from typing_extensions import override

from aegis_graph import HttpReranker, create_index
from aegis_graph.components.index.index import DocumentIndex


class Server:
    """Answers each request with what it was told to."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.answer: Any = {}
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                outer.bodies.append(json.loads(self.rfile.read(length)))
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(json.dumps(outer.answer).encode())

            @override
            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/rerank"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def reranker() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def index(tmp_path: Path) -> DocumentIndex:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(3):
        (docs / f"f{number}.md").write_text(f"A penguin {'swims ' * number}")
    index = create_index(tmp_path / "index.db")
    index.update([docs])
    return index


def sources(documents: Sequence[Document]) -> list[str]:
    return [one.metadata["source"] for one in documents]


@pytest.mark.parametrize("api", ["jina", "tei"])
def test_passages_stand_in_the_order_of_the_reranker(
    reranker: Server, index: DocumentIndex, api: Any
) -> None:
    before = sources(index.retriever().invoke("penguin"))
    scored = [{"index": 1, "score": 0.1}, {"index": 2, "score": 0.9}]
    jina = [{"index": one["index"], "relevance_score": one["score"]} for one in scored]
    reranker.answer = scored if api == "tei" else {"results": jina}
    http = HttpReranker(url=reranker.url, api=api, model="m")
    found = index.retriever(reranker=http).find("penguin")
    # What the server leaves out stands last.
    assert sources(found["documents"]) == [before[2], before[1], before[0]]
    assert found["degraded_reason"] is None
    [body] = reranker.bodies
    assert body["query"] == "penguin"
    assert len(body["texts" if api == "tei" else "documents"]) == 3


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (503, {}, "the reranker answers HTTP 503"),
        (200, {"results": []}, "no ranking of the passages"),
        (200, [{"index": 7, "score": 1}], "no ranking of the passages"),
    ],
)
def test_a_reranker_that_fails_leaves_the_order_and_is_said(
    reranker: Server, index: DocumentIndex, status: int, answer: Any, reason: str
) -> None:
    before = sources(index.retriever().invoke("penguin"))
    reranker.status, reranker.answer = status, answer
    found = index.retriever(reranker=HttpReranker(url=reranker.url)).find("penguin")
    assert sources(found["documents"]) == before
    assert found["degraded_reason"] is not None
    assert reason in found["degraded_reason"]


class Reversed(BaseDocumentCompressor):
    """A reranker of another library, which turns the order around and drops the last."""

    seen: list[str] = []  # noqa: RUF012 - pydantic copies it

    @override
    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        self.seen.extend(one.page_content for one in documents)
        return list(reversed(documents))[:-1]


def test_any_document_compressor_is_a_reranker(index: DocumentIndex) -> None:
    before = sources(index.retriever().invoke("penguin"))
    found = index.retriever(reranker=Reversed()).invoke("penguin")
    assert sources(found) == [before[2], before[1]]


def test_private_passages_are_shown_to_no_reranker_in_a_cloud(
    index: DocumentIndex, tmp_path: Path
) -> None:
    (tmp_path / "docs" / ".aegis-sensitivity").write_text("pii")
    index.update()
    elsewhere = Reversed()
    found = index.retriever(reranker=elsewhere).find("penguin")
    assert found["degraded_reason"] == ("not reranked: private passages are not shown to a cloud")
    assert (len(found["documents"]), elsewhere.seen) == (3, [])
    here = Reversed()
    index.retriever(reranker=here, reranker_location="local").invoke("penguin")
    assert len(here.seen) == 3


def test_where_a_reranker_runs_is_said_by_its_address() -> None:
    assert HttpReranker(url="http://10.0.0.7/rerank").location == "local"
    assert HttpReranker(url="https://api.jina.ai/v1/rerank").location == "cloud"
