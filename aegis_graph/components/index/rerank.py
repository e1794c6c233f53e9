"""A cross-encoder behind HTTP as a LangChain document compressor: it ranks what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.callbacks import Callbacks
from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from pydantic import ConfigDict, SecretStr
from typing_extensions import override

from aegis_graph.config.addresses import is_private_address
from aegis_graph.errors import MalformedAnswerError, ProviderUnavailableError

_MAX_CHARS = 4000
"""Characters of a passage that are sent; cross-encoders read about 512 tokens."""


class HttpReranker(BaseDocumentCompressor):
    """Ranks passages by the ``/rerank`` API of llama.cpp, TEI, vLLM, Infinity, Jina or Cohere.

    It asks a server of your own beside the router: its calls are in no ledger and no budget.
    Passages that are ``confidential``, ``pii`` or ``hipaa`` are sent to a private address only.

    Example:
        >>> reranker = HttpReranker(url="http://localhost:8080/v1/rerank")
        >>> reranker.location
        'local'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    model: str | None = None
    api: Literal["jina", "tei"] = "jina"
    """How requests are written; llama.cpp takes either, Hugging Face's TEI only its own."""
    api_key: SecretStr | None = None
    timeout_s: float = 10.0

    @property
    def location(self) -> Literal["local", "cloud"]:
        """Where it runs, by its address."""
        return "local" if is_private_address(self.url) else "cloud"

    @override
    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """All of the documents, best first.

        Raises:
            ProviderUnavailableError: The server does not answer, or refuses.
            MalformedAnswerError: Its answer has no ranking of these documents.
        """
        if not documents:
            return []
        texts = [one.page_content[:_MAX_CHARS] for one in documents]
        ranked = _ranked(self._post(_body(self, query, texts)), len(documents))
        # What a server leaves out stands behind what it ranks.
        rest = [place for place in range(len(documents)) if place not in ranked]
        return [documents[place] for place in [*ranked, *rest]]

    def _post(self, body: Mapping[str, Any]) -> Any:
        import httpx  # noqa: PLC0415 - takes a while, and few retrievers rerank

        headers = {}
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key.get_secret_value()}"
        # A private address is asked without the proxy that the environment may name.
        is_local = self.location == "local"
        try:
            with httpx.Client(timeout=self.timeout_s, trust_env=not is_local) as client:
                answer = client.post(self.url, json=body, headers=headers)
        except httpx.HTTPError as error:
            what = type(error).__name__
            raise ProviderUnavailableError(f"the reranker does not answer ({what})") from error
        if answer.status_code != httpx.codes.OK:
            raise ProviderUnavailableError(f"the reranker answers HTTP {answer.status_code}")
        try:
            return answer.json()
        except ValueError as error:
            raise MalformedAnswerError("the reranker's answer is no JSON") from error


def _body(reranker: HttpReranker, query: str, texts: Sequence[str]) -> dict[str, Any]:
    if reranker.api == "tei":
        return {"query": query, "texts": list(texts), "truncate": True}
    named = {} if reranker.model is None else {"model": reranker.model}
    return {**named, "query": query, "documents": list(texts), "top_n": len(texts)}


def _ranked(answer: Any, count: int) -> list[int]:
    """The documents' places, best first; ties in the order in which they were given."""
    rows = answer.get("results") if isinstance(answer, Mapping) else answer
    scores: dict[int, float] = {}
    for row in rows if isinstance(rows, list) else ():
        match row:
            case {"index": int(place), "relevance_score": int(score) | float(score)}:
                scores[place] = float(score)
            case {"index": int(place), "score": int(score) | float(score)}:
                scores[place] = float(score)
    if not scores or not all(0 <= place < count for place in scores):
        raise MalformedAnswerError("the reranker's answer has no ranking of the passages")
    return sorted(scores, key=lambda place: (-scores[place], place))
