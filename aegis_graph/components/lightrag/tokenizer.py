"""A tokenizer that needs no vocabulary, because LightRAG's own downloads one."""

from __future__ import annotations

import re

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
