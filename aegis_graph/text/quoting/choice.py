"""Which pieces of the passages answer a question; none where nothing does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aegis_graph.text.passages import NumberedPassage
from aegis_graph.text.question_parts import parts_of
from aegis_graph.text.quoting.expected import STRICT, answers, prefers
from aegis_graph.text.quoting.markup import plain
from aegis_graph.text.quoting.matching import Match, Matcher
from aegis_graph.text.quoting.neighbours import Neighbours
from aegis_graph.text.quoting.pieces import RELEASE, Quotable, read_pieces
from aegis_graph.text.quoting.question import Question, read_question
from aegis_graph.text.words import detect_language, words

ENOUGH = 0.6
"""Share of a question's weight that a piece must match with what it stands under."""
ENOUGH_DIRECT = 0.25
"""Share that it must match in its own words."""
ENOUGH_DIRECT_FITTING = 0.15
"""The same where it has the kind of thing that is asked for, such as a number with its unit."""
ENOUGH_YES_NO = 0.65
"""Share for a question of yes or no: it has no other sign of an answer than its words."""
HEADING_ASKS = 0.8
"""Share from which a heading is the question, and what stands below it the answer."""

_FOREIGN = 0.7
"""What a piece in another language than the question counts."""
_NEW = 0.2
"""Share of a question's weight that a further piece must add."""
_EQUAL = 0.95
"""A further piece that adds nothing must score this much of the best one."""
_LONGEST_CODE = 1200
_WANTS_CODE = re.compile(
    r"\b(commands?|examples?|snippet|code|install\w*|configur\w*|befehle?|beispiele?|aufruf)\b",
    re.IGNORECASE,
)
_INSTRUCTS = re.compile(
    r"^\W*(?:to \w+|(?:first|then|next|now|please|simply|just|run|use|set|add|open|click|press"
    r"|select|choose|enter|create|install|call|pass|send|go|turn|make|remove|delete|copy|edit|start"
    r"|stop|put|write|enable|disable|bitte|zuerst|dann|um|führen|verwenden|setzen|öffnen|klicken"
    r"|wählen|drücken|geben|erstellen|starten|fügen|löschen|kopieren|bearbeiten)\b)"
    r"|\b(?:you can|you (?:must|need|should|have)|can be|by \w+ing|via"
    r"|können sie|kann man|sie können|müssen sie|lässt sich|lassen sich|wird durch|indem)\b",
    re.IGNORECASE,
)
_DEFINES = (
    r"\W*(?:(?:the|an?|der|die|das|eine?)\s+)?(?:[\w-]+\s+)?{topic}\w{{0,2}}(?![\w-])"
    r"(?:\s*\([^)]*\))?(?:,[^,]{{1,60}},)?\s*(?:\w+ly\s+|also\s+)?"
    r"(?:\b(?:is|are|means?|refers|stands|ist|sind|bedeutet|heißt|bezeichnet)\b|[-\u2013\u2014]\s|:)"
    r"|.*\b(?:called|known as|genannt|sogenannte[nr]?|heißt|nennt man)\b.{{0,20}}{topic}"
)


@dataclass(slots=True)
class _Candidate:
    at: int
    match: Match
    share: float
    direct: float
    score: float = 0.0
    with_: list[int] = field(default_factory=list)
    """Places of what it is shown with: a line that leads to it, the sentence after it."""


def choose(question: str, passages: Sequence[NumberedPassage], *, limit: int = 3) -> list[Quotable]:
    """The pieces that answer a question, best passage first; none where nothing does.

    They are at most ``limit``, where a sentence counts with its list, its table or its code.
    """
    pieces = read_pieces(passages)
    found: list[int] = []
    for part in parts_of(question):
        asked = read_question(part, language=detect_language(question))
        if asked.words and pieces and len(found) < limit:
            places = _Chooser(asked, pieces, limit - len(found)).places()
            found += [at for at in places if at not in found]
    return [pieces[at] for at in found]


class _Chooser:
    def __init__(self, question: Question, pieces: Sequence[Quotable], limit: int) -> None:
        self.question = question
        self.pieces = pieces
        self.limit = limit
        self.matcher = Matcher(question, pieces)
        self.near = Neighbours(pieces)

    def places(self) -> list[int]:
        found = (self._candidate(at) for at in range(len(self.pieces)))
        candidates = sorted((one for one in found if one is not None), key=lambda one: -one.score)
        if not candidates:
            return []
        chosen = self._extended(candidates)
        places: list[int] = []
        for one in chosen:
            places += [at for at in self._shown(one) if at not in places]
        return self._in_order(places)

    def _candidate(self, at: int) -> _Candidate | None:
        """The piece as an answer, or ``None`` where it cannot be one."""
        if not self._can_be_quoted(at):
            return None
        lead, before = self.near.lead(at), self.near.before(at)
        match = self.matcher.match(at, before, lead)
        one = _Candidate(at, match, self.matcher.share(match.all), self.matcher.share(match.own))
        # What costs more to find out comes last.
        if not self.matcher.has_counted(match) or not self._is_enough(one):
            return None
        after = self._needed_after(at)
        if after is None:
            return None
        one.with_ = after
        around = "\n".join(self.pieces[x].text for x in (before, lead, *after) if x is not None)
        if not self.matcher.has_literals(at, around) or not self.matcher.is_qualified(at, around):
            return None
        if self.question.expected == "yes_no" and self.matcher.is_about_another(at, match):
            return None
        one.score = self._score(one)
        return one

    def _can_be_quoted(self, at: int) -> bool:
        piece, question = self.pieces[at], self.question
        if piece.kind == "heading":
            # That of a release has its date.
            return bool(question.about_releases and question.literals) and _is_release(piece)
        if piece.text.rstrip().endswith("?"):
            return False
        if piece.in_release_notes and not question.about_releases:
            return False
        if piece.kind == "code":
            # A number in code is an example's.
            led_to = self.near.lead(at) is not None and question.expected not in STRICT
            return led_to or self._wants_code()
        # A line that leads nowhere says nothing.
        return not piece.leads or bool(self.near.below(at))

    def _needed_after(self, at: int) -> list[int] | None:
        """What has to follow a piece for it to have what is asked for; ``None``: nothing helps."""
        question = self.question
        if question.expected not in STRICT or self._has_kind([at]):
            return []
        if self._has_kind(self.near.below(at)):
            return []
        after = at + 1
        if (
            after < len(self.pieces)
            and self.pieces[after].n == self.pieces[at].n
            and self.pieces[after].paragraph == self.pieces[at].paragraph
            and self.pieces[after].kind == self.pieces[at].kind == "prose"
            and self._has_kind([after])
        ):
            return [after]
        return None

    def _has_kind(self, places: Iterable[int]) -> bool:
        asked = self.question
        return any(
            answers(
                asked.expected,
                self._said(at),
                question=asked.text,
                counted=asked.counted,
                common=self.matcher.common,
            )
            for at in places
        )

    def _said(self, at: int) -> str:
        """A piece, in release notes with the heading that says which release it is."""
        piece = self.pieces[at]
        release = self.near.release(at)
        return piece.text if release is None else f"{self.pieces[release].text}\n{piece.text}"

    def _is_enough(self, one: _Candidate) -> bool:
        piece, asks = self.pieces[one.at], self._heading_asks(one)
        if piece.kind == "heading":
            return self.matcher.has_literals(one.at, "")
        fits = prefers(self.question.expected, piece.text)
        is_steps = self.question.expected == "steps"
        if asks and (piece.first or fits or (is_steps and self._is_step(one.at))):
            return True
        needed = ENOUGH_YES_NO if self.question.expected == "yes_no" else ENOUGH
        direct = ENOUGH_DIRECT_FITTING if fits else ENOUGH_DIRECT
        if one.share < needed or one.direct < direct:
            return False
        if len(self.question.words) == 1 and self.question.expected == "definition":
            return self._defines(piece) or asks
        return True

    def _heading_asks(self, one: _Candidate) -> bool:
        # A heading of one word of the question and three others is about something else.
        return self.matcher.share(one.match.heading) >= HEADING_ASKS and one.match.heading_fit > 0.5

    def _score(self, one: _Candidate) -> float:
        piece, question = self.pieces[one.at], self.question
        spoken = words(piece.text)
        score = one.share + 0.5 * one.direct
        # The passages come best first. A long piece shares words by chance; one of a word or two
        # is a fragment.
        score -= 0.01 * piece.n + 0.002 * max(0, min(len(spoken), 80) - 30)
        score += 0.25 if prefers(question.expected, piece.text) else 0.0
        if self._heading_asks(one):
            score += 0.3 if piece.first else 0.15
        if question.expected == "definition" and self._defines(piece):
            score += 0.4
        if question.expected == "steps":
            score += 0.3 if self._is_step(one.at) else -0.1
        elif piece.kind == "code" and not self._wants_code():
            score -= 0.4
        if any(word in one.match.own for word in spoken[:4]):
            score += 0.1
        score -= 0.15 if one.with_ else 0.0
        score -= 0.2 if self.matcher.is_about_another(one.at, one.match) else 0.0
        if {question.language, detect_language(piece.text)} == {"en", "de"}:
            score *= _FOREIGN
        return score

    def _wants_code(self) -> bool:
        return self.question.expected == "steps" or bool(_WANTS_CODE.search(self.question.text))

    def _is_step(self, at: int) -> bool:
        piece = self.pieces[at]
        return (
            piece.kind == "code"
            or bool(_INSTRUCTS.search(plain(piece.text)))
            or self.near.code_below(at) is not None
        )

    def _defines(self, piece: Quotable) -> bool:
        topic = r"\W+(?:\w+\W+)?".join(map(re.escape, self._topic()))
        return bool(topic) and bool(
            re.match(_DEFINES.format(topic=topic), plain(piece.text), re.I | re.S)
        )

    def _topic(self) -> list[str]:
        """The question's words as it spells them, with a plural's ending left out."""
        wanted = set(self.question.words)
        spelled = re.findall(r"\w+", self.question.text)
        return [one.removesuffix("s") for one in spelled if set(words(one)) & wanted]

    def _extended(self, candidates: Sequence[_Candidate]) -> list[_Candidate]:
        """The best, and what covers more of the question or answers it about as well."""
        best = candidates[0]
        chosen, shown = [best], {self._plain(best)}
        most_equal = self.limit if self.question.wants_list else min(2, self.limit)
        for one in candidates[1:]:
            if len(chosen) == self.limit:
                break
            union = _union([*chosen, one])
            gain = self.matcher.share(union) - self.matcher.share(_union(chosen))
            equal = one.score >= _EQUAL * best.score and len(chosen) < most_equal
            # Documents repeat themselves: the same words again would use up the limit.
            if self._plain(one) not in shown and (gain >= _NEW or equal):
                chosen.append(one)
                shown.add(self._plain(one))
        return chosen

    def _plain(self, one: _Candidate) -> str:
        return " ".join(words(self.pieces[one.at].text))

    def _shown(self, one: _Candidate) -> list[int]:
        """Places of a piece, of what it refers back to, and of what it leads into."""
        lead, before = self.near.lead(one.at), self.near.before(one.at)
        release = self.near.release(one.at) if self.question.about_releases else None
        places = [at for at in (release, before, lead) if at is not None]
        places += [one.at, *one.with_]
        below = self.near.below(one.at)
        if below and (self.pieces[one.at].leads or self._wants_code()):
            places += below
        return [at for at in places if len(self.pieces[at].text) <= _LONGEST_CODE]

    def _in_order(self, places: Sequence[int]) -> list[int]:
        """The best piece's passage first, then each passage's pieces as they stand there."""
        passages = list(dict.fromkeys(self.pieces[at].n for at in places))
        return sorted(set(places), key=lambda at: (passages.index(self.pieces[at].n), at))


def _is_release(piece: Quotable) -> bool:
    return RELEASE.match(piece.text) is not None


def _union(chosen: Sequence[_Candidate]) -> Mapping[str, float]:
    union: dict[str, float] = {}
    for one in chosen:
        for word, value in one.match.all.items():
            union[word] = max(union.get(word, 0.0), value)
    return union
