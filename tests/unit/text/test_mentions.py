"""Names and quotations are found where they stand, and what is found really says them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.text.mentions import find_mentions, find_quote


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("Ada", "Ada met Adam, and Ada-Lee.", ["Ada", "Ada"]),
        ("marie curie", "Marie\nCurie and Marie  Curie", ["Marie\nCurie", "Marie  Curie"]),
        ("Curie", "CURIE", ["CURIE"]),
        ("Berlin", "Berlins Mitte", ["Berlin"]),
        ("Berlin", "Berliner Mitte", []),
        ("O'Neill", "O\u2019Neill said", ["O\u2019Neill"]),
        ("Jean-Luc", "Jean\u2013Luc", ["Jean\u2013Luc"]),
        ("C++", "C++ and C", ["C++"]),
        ("U.S.", "the U.S. Army", ["U.S."]),
        ("北京", "他在北京工作。", ["北京"]),
        ("IBM", "我在IBM工作", ["IBM"]),
        ("Köln", "Ko\u0308ln am Rhein", ["Ko\u0308ln"]),
        ("(the) [x]*", "a (the) [x]* b", ["(the) [x]*"]),
        ("...", "wait...", []),
        ("", "text", []),
        ("Ada", "", []),
    ],
)
def test_names(name: str, text: str, found: list[str]) -> None:
    assert [text[begin:end] for begin, end in find_mentions(name, text)] == found


@pytest.mark.parametrize(
    ("quote", "text", "found"),
    [
        ("was born in Ulm", "He was born\nin Ulm.", "was born\nin Ulm"),
        ("“He was born…”", "He was born in Ulm", "He was born"),
        ("WAS BORN", "He was born", "was born"),
        ("died in Ulm", "He was born in Ulm", None),
        ("  ", "text", None),
    ],
)
def test_quotes(quote: str, text: str, found: str | None) -> None:
    place = find_quote(quote, text)
    assert (None if place is None else text[slice(*place)]) == found


@given(st.text(), st.text())
def test_whatever_is_found_is_a_piece_of_the_text(name: str, text: str) -> None:
    places = [*find_mentions(name, text)]
    quoted = find_quote(name, text)
    for begin, end in [*places, *([quoted] if quoted else [])]:
        assert 0 <= begin < end <= len(text)


@given(st.text(), st.integers(0, 40), st.integers(1, 40), st.text())
def test_every_piece_with_a_word_in_it_is_found(
    before: str, start: int, size: int, after: str
) -> None:
    text = before + after
    piece = text[start : start + size]
    place = find_quote(piece, text)
    if any(char.isalnum() for char in piece):
        assert place is not None
        assert place[0] <= text.index(piece.strip()) + len(piece)


def test_a_long_text_full_of_near_hits_takes_no_time_to_speak_of() -> None:
    text = "a a a a a a a a b " * 20_000
    assert find_quote("a " * 2_000 + "c", text) is None
    assert find_quote("a a b", text) is not None
