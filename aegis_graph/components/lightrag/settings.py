"""How LightRAG works in a workspace, and what one request may choose."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from typing_extensions import TypedDict

from aegis_graph.components.lightrag.spending import Operation
from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.choices import strictest
from aegis_graph.routing.router import Router
from aegis_graph.types import SENSITIVITIES, Sensitivity

OUTPUT_TOKENS: Mapping[Operation, int] = {
    "answer": 2048,
    "extract": 4096,
    "glean": 4096,
    "keywords": 512,
    "summary": 1200,
}
"""Caps of the answers. LightRAG sets none: it asks for at most 100 rows of an extraction, which
4,096 tokens hold at 40 a row, and for summaries of 600 tokens, of which it keeps 1,200."""

Documents = str | Sequence[str] | Mapping[str, str]
"""Texts by name; or texts alone, which are named by their content."""

OnProgress = Callable[[Mapping[str, Any]], None]
"""Receives events while an insert or a question runs; see ``docs/lightrag.md`` for their fields."""


def ignore_progress(event: Mapping[str, Any]) -> None:
    """The caller wants no events."""


class RunOptions(TypedDict, total=False):
    """What one insert or question may choose."""

    sensitivity: Sensitivity
    """How private it is; a workspace stays as private as the most private thing in it."""
    user_id: str
    """The user on whose budgets the calls count."""
    run_id: str
    """The envelope that its calls count in."""
    max_cost_usd: str
    """What the envelope may cost, as decimal text. Extraction leaves a tenth of it for merging
    what it has read."""
    tags: Mapping[str, str]
    """What its calls are counted by as well."""


_PIECE = re.compile(
    r" ?[A-Za-z\u00c0-\u024f]{1,6}"  # Latin letters, with the space before them
    r"| ?[0-9]{1,3}"
    r"| ?[\u0370-\u05ff]{1,4}"  # Greek, Cyrillic, Armenian, Hebrew
    r"|\s+"
    r"|.",
    re.DOTALL,
)


class PieceTokenizer:
    """Cuts text into pieces about as long as the tokens of today's models.

    It has no state: a token is the number that its piece's bytes spell. So it is safe in any
    thread, survives a deep copy, and the same text has the same tokens in every process.

    Example:
        >>> tokenizer = PieceTokenizer()
        >>> tokens = tokenizer.encode("Who pays for 1,024 tokens?")
        >>> len(tokens), tokenizer.decode(tokens)
        (8, 'Who pays for 1,024 tokens?')
    """

    name = "pieces"

    def encode(self, content: str) -> list[int]:
        """The tokens of a text."""
        return [_number(piece) for piece in _PIECE.findall(content)]

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens."""
        return "".join(_piece(token) for token in tokens)


def _number(piece: str) -> int:
    # A leading byte keeps a piece that begins with a zero byte whole.
    return int.from_bytes(b"\x01" + piece.encode("utf-8", errors="surrogatepass"), "big")


def _piece(token: int) -> str:
    spelled = token.to_bytes((token.bit_length() + 7) // 8, "big")[1:]
    return spelled.decode("utf-8", errors="surrogatepass")


@dataclass(frozen=True, slots=True, kw_only=True)
class LightRAGSettings:
    """How LightRAG works; what it costs follows from these.

    Example:
        >>> LightRAGSettings(gleaning=0).arguments()["entity_extract_max_gleaning"]
        0
    """

    chunk_tokens: int = 1200
    """Length of a chunk, in tokens of ``tokenizer``."""
    chunk_overlap_tokens: int = 100
    gleaning: int = 1
    """0 or 1: whether each chunk is read a second time for what was missed."""
    concurrency: int = 4
    """Most calls of an insert under way at the same time."""
    parallel_documents: int = 3
    """Most documents in progress at the same time."""
    output_tokens: Mapping[Operation, int] = field(default_factory=dict)
    """Caps of the answers by operation, over ``OUTPUT_TOKENS``."""
    tokenizer: Any = field(default_factory=PieceTokenizer)
    """With ``name``, ``encode`` and ``decode``, safe in threads; a model's own is more exact."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of LightRAG's constructor."""

    def caps(self) -> dict[Operation, int]:
        """The output cap of each operation, in tokens."""
        return {**OUTPUT_TOKENS, **self.output_tokens}

    def arguments(self) -> dict[str, Any]:
        """LightRAG's own names for them."""
        return {
            "chunk_token_size": self.chunk_tokens,
            "chunk_overlap_token_size": self.chunk_overlap_tokens,
            "entity_extract_max_gleaning": self.gleaning,
            "llm_model_max_async": self.concurrency,
            "embedding_func_max_async": self.concurrency,
            # The forecast counts on it.
            "embedding_batch_num": 10,
            "max_parallel_insert": self.parallel_documents,
            **self.more,
        }


def checked_sensitivity(level: object) -> Sensitivity:
    """A level of sensitivity.

    Raises:
        InvalidRequestError: It is none; it may not become a lower one.
    """
    for known in SENSITIVITIES:
        if level == known:
            return known
    raise InvalidRequestError(
        f"sensitivity: {level!r} is unknown; use one of {', '.join(SENSITIVITIES)}"
    )


def texts_by_name(documents: Documents) -> dict[str, str]:
    """Texts by name.

    >>> texts_by_name("Paris is a city.")
    {'text-53817ab400ce': 'Paris is a city.'}
    """
    if isinstance(documents, Mapping):
        return dict(documents)
    texts = [documents] if isinstance(documents, str) else list(documents)
    return {_name_of(text): text for text in texts}


def texts_by_path(texts: str | Sequence[str], names: str | Sequence[str] | None) -> Documents:
    """LightRAG's two lists as texts by name.

    Raises:
        InvalidRequestError: They are not of the same length.
    """
    if names is None:
        return texts
    given = [texts] if isinstance(texts, str) else list(texts)
    called = [names] if isinstance(names, str) else list(names)
    if len(given) != len(called):
        raise InvalidRequestError(f"file_paths: {len(called)} for {len(given)} texts")
    return dict(zip(called, given, strict=True))


def _name_of(text: str) -> str:
    # By content: the same text gets the same name, and is not inserted twice.
    return f"text-{sha256(text.encode('utf-8', errors='replace')).hexdigest()[:12]}"


def workspace_sensitivity(given: Sensitivity | None, router: Router) -> Sensitivity:
    """How private a workspace is, as its application or its router says.

    Raises:
        InvalidRequestError: It is unknown, or must be said and is not.
    """
    said = router.said_levels({} if given is None else {"sensitivity": given})
    return checked_sensitivity(strictest(said, default=router.default_sensitivity))
