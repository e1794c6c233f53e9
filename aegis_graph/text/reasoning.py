"""The reasoning that models write into their answers, cut off: the one place for it.

Every component reads a model's text through ``spoken_part``, so that no reasoning is shown, and no
draft in it is taken for the answer.
"""

from __future__ import annotations

import json
import re

from aegis_graph.text.code import code_spans, is_inside
from aegis_graph.text.foreign import whole_characters

_NAMES = (
    r"(?:(?:\w{1,10}:)?think|(?:ant)?thinking|thoughts?|thought_process|reason|reasoning"
    r"|reasoning_content|reflection|analysis|scratch_?pad|(?:inner|internal)_monologue|cot"
    r"|chain_of_thought)"
)
_TOKENS = r"(?:think|thinking|thoughts?|reasoning)"
"""What the names of special tokens are made of, ``<|begin_of_thought|>``."""

_END = re.compile(
    rf"</\s*{_NAMES}\s*>|\[/THINK\]|\u25c1/think\u25b7|<channel\|>|<unused95>"
    rf"|<\|(?:/|end_(?:of_)?){_TOKENS}\|>|<\|{_TOKENS}_end\|>"
    r"|<\|channel\|>\s*final\s*(?:<\|constrain\|>\w*\s*)?<\|message\|>",
    re.IGNORECASE,
)
"""Where a model stops to think, as its template writes it: Qwen, DeepSeek, Mistral, Kimi, Cohere,
gpt-oss, Gemma. Some templates leave the beginning to the server, so only the end is sure."""

_START = re.compile(
    rf"<\s*{_NAMES}\s*>|\[THINK\]|\u25c1think\u25b7|<\|channel>thought\b|<unused94>thought\b"
    rf"|<\|(?:(?:begin|start)_(?:of_)?)?{_TOKENS}\|>|<\|{_TOKENS}_(?:start|begin)\|>"
    r"|(?:<\|start\|>assistant\s*)?<\|channel\|>\s*(?:analysis|commentary)",
    re.IGNORECASE,
)
_LINE_START = re.compile(rf"^[ \t]*(?:{_START.pattern})", re.IGNORECASE | re.MULTILINE)

_GLUED = re.compile(r"\s*analysis\S.*assistant\s?final(?=\S)", re.DOTALL)
"""Reasoning of gpt-oss, where a server leaves out the template's marks."""

_ANSWERS = r"answer|final_answer|final|output|response|solution"
_AROUND = re.compile(
    rf"(?:<(?P<name>{_ANSWERS})>|<\|(?:START_|begin_of_)(?:RESPONSE|TEXT|solution)\|>)"
    rf"(?P<inner>.*?)(?:</(?:{_ANSWERS})>\s*)?\Z",
    re.IGNORECASE | re.DOTALL,
)
"""What some templates put around the answer that follows the reasoning."""

_LEFT_OVER = re.compile(
    r"(?:(?:<\|(?:end|return|im_end|eot_id|eom_id|endoftext|end_of_text|END_RESPONSE|END_TEXT"
    r"|end_of_solution)\|>|<end_of_turn>|</s>)\s*)+\Z",
    re.IGNORECASE,
)
_JSON_START = re.compile(r"\s*(?:```\w*\s*)?(?=\{)")
_QUOTES = "\"'`\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_AROUND_START = re.compile(
    rf"\s*(?:(?:<(?:{_ANSWERS})>|<\|(?:START_|begin_of_)(?:RESPONSE|TEXT|solution)\|>)\s*)?",
    re.IGNORECASE,
)
_AROUND_END = re.compile(rf"(?:\s*</(?:{_ANSWERS})>\s*)?\Z", re.IGNORECASE)
_NAMED_BESIDE = re.compile(
    rf"\w.*(?:{_START.pattern})[{_QUOTES}]?\s*(?:and|or|to|und|oder|bis|\.{{3}}|[,/&\u2026])\s*"
    rf"[{_QUOTES}]?\Z",
    re.IGNORECASE,
)
"""A sentence that names the mark that begins reasoning beside the one that ends it."""
_MARK_CHARS = frozenset("<[\u25c1")
_UNFINISHED = re.compile(
    r"(?:<\|(?:start|channel|constrain)\|>[\w\s<|>]{0,40}|<[^<>\n]{0,24}|\[/?[A-Z]{0,5}|\u25c1/?\w{0,5}"
    r"|(?:<\|channel|<unused94)>\w{0,8}"
    rf"|(?:</(?:{_ANSWERS})>|<\|\w{{1,20}}\|>|<end_of_turn>|</s>|\s)+)\Z",
    re.IGNORECASE,
)
"""The end of a text that may yet become a mark, or be left out where nothing follows it."""
_LONGEST = 80
"""Characters of a mark, at most."""
_DECODER = json.JSONDecoder()
_MOST_CUTS = 8
"""Marks that are looked at one by one; in a text with more of them, the last one counts."""


def spoken_part(text: str) -> str:
    r"""A model's text without its reasoning: what follows the last mark that ends one.

    A mark in code, in quotes, or in a text of the JSON value that the text begins with, is part of
    the answer. Reasoning that has no end leaves nothing of what follows its beginning. Halves of
    characters are U+FFFD.

    Example:
        >>> spoken_part("<think>Hm.</think> Ulm."), spoken_part("<think>Hm."), spoken_part("Ulm.")
        ('Ulm.', '', 'Ulm.')
        >>> spoken_part('{"draft": 1}</think>{"plan": 2}'), spoken_part("It ends with `</think>`.")
        ('{"plan": 2}', 'It ends with `</think>`.')
    """
    text = whole_characters(text)
    rest = _GLUED.sub("", text) if text.lstrip().startswith("analysis") else text
    for _ in range(_MOST_CUTS):
        if (end := _end_of_reasoning(rest)) is None:
            break
        rest = rest[end:].lstrip()
    else:
        rest = rest[max((mark.end() for mark in _END.finditer(rest)), default=0) :]
    spoken = _without_open(rest)
    if not spoken.strip() and (said := _before_reasoning(text)):
        spoken = said
    if spoken is text:
        ended = _without_left_over(text)
        return text if ended == text else ended.strip()
    spoken = _without_left_over(spoken.strip())
    around = _AROUND.match(spoken)
    return (around["inner"] if around else spoken).strip()


def _end_of_reasoning(text: str) -> int | None:
    """Where the first reasoning of a text ends, if any does."""
    marks = list(_END.finditer(text))
    if not marks:
        return None
    # Reasoning that is begun ends at the first mark, whatever its text is like.
    if _START.match(text.lstrip()):
        return marks[0].end()
    value = _JSON_START.match(text)
    code = [] if value else code_spans(text, closed_only=True)
    inside = 0 if value is None else _end_of_value(text, value.end())
    for mark in marks:
        around = text[max(0, mark.start() - 1) : mark.start()], text[mark.end() : mark.end() + 1]
        mentioned = all(one and one in _QUOTES for one in around) or _NAMED_BESIDE.search(
            text[max(0, mark.start() - _LONGEST) : mark.start()]
        )
        if not mentioned and mark.start() >= inside and not is_inside(mark.start(), code):
            return mark.end()
    return None


def _without_left_over(text: str) -> str:
    # What is struck out in HTML ends like the answers of Llama.
    if not text.rstrip().endswith(">") or "<s>" in text:
        return text
    return _LEFT_OVER.sub("", text)


def _before_reasoning(text: str) -> str:
    """What stands before reasoning that nothing follows: the answer came first."""
    begun = _START.search(text)
    return text[: begun.start()].strip() if begun and _END.search(text, begun.end()) else ""


def _end_of_value(text: str, start: int) -> int:
    """Where the JSON value ends that begins at a place; the place itself where it is damaged."""
    try:
        return _DECODER.raw_decode(text, start)[1]
    # Brackets nested beyond the stack are no value either.
    except (ValueError, RecursionError):
        return start


def _without_open(text: str) -> str:
    """A text up to where reasoning begins that has no end."""
    if _START.match(text.lstrip()):
        return ""
    opened = _LINE_START.search(text)
    if opened is None or _JSON_START.match(text):
        return text
    code = code_spans(text)
    return text if is_inside(opened.end() - 1, code) else text[: opened.start()].rstrip()


class SpokenStream:
    """Shows a text while a model writes it, as ``spoken_part`` gives it in the end.

    What may be the beginning of a mark waits for the next piece. Thoughts before a mark that ends
    them, and that no mark has begun, are seen: nothing tells them from an answer until then.

    Example:
        >>> stream = SpokenStream()
        >>> [stream.feed(piece) for piece in ("<thi", "nk>Hm.</thi", "nk> Ulm", " <3")]
        ['', '', 'Ulm', ' ']
        >>> stream.end()
        '<3'
    """

    def __init__(self) -> None:
        self._text = ""
        self._begin = self._sent = self._looked = 0
        self._is_cut = self._waits = False

    def feed(self, piece: str) -> str:
        """What to show, now that a piece has come."""
        self._text += piece
        if not self._waits and _MARK_CHARS.isdisjoint(piece):
            self._looked = self._sent = len(self._text)
            return piece
        return self._advance(is_whole=False)

    def end(self) -> str:
        """What is left to show, now that nothing more comes."""
        return self._advance(is_whole=True)

    def _advance(self, *, is_whole: bool) -> str:
        stop = self._skip_reasoning(is_whole=is_whole)
        if self._is_cut and self._sent == self._begin:
            around = _AROUND_START.match(self._text, self._begin)
            self._begin = self._sent = around.end() if around else self._begin
        rest = self._text[self._begin :]
        spoken = _without_open(rest)
        if spoken is not rest:
            # Without the spaces in front of the mark, some of which may have been shown.
            stop = self._begin + len(spoken)
        elif not is_whole and (mark := _UNFINISHED.search(rest, max(0, len(rest) - _LONGEST))):
            stop = min(stop, self._begin + mark.start())
        shown = self._text[self._sent : stop]
        self._sent = max(self._sent, stop)
        self._waits = stop < len(self._text) or (self._is_cut and self._sent == self._begin)
        if is_whole and self._is_cut:
            return _AROUND_END.sub("", _without_left_over(shown.rstrip()))
        return _without_left_over(shown) if is_whole and "<s>" not in self._text else shown

    def _skip_reasoning(self, *, is_whole: bool) -> int:
        """Begin anew behind each mark that ends reasoning; up to where it is known what is one."""
        while mark := _END.search(self._text, max(self._sent, self._looked - _LONGEST)):
            rest = self._text[self._begin :]
            if not is_whole and self._may_be_mentioned(mark, rest):
                return mark.start()
            end = _end_of_reasoning(rest)
            if end is None:
                break
            self._begin += end
            self._sent = self._looked = self._begin
            self._is_cut = True
        self._looked = len(self._text)
        return len(self._text)

    def _may_be_mentioned(self, mark: re.Match[str], rest: str) -> bool:
        """Whether the next piece may put a mark into quotes or code."""
        if _START.match(rest.lstrip()):
            return False
        quoted = self._text[: mark.start()][-1:]
        if mark.end() == len(self._text) and quoted and quoted in _QUOTES:
            return True
        return is_inside(mark.start() - self._begin, code_spans(rest))
