"""Sentences of other languages than English and German end at their own full stops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.text.sentences import split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "限额是10美元。每周从周一开始\uff01是吗\uff1f",
            ["限额是10美元。", "每周从周一开始\uff01", "是吗\uff1f"],
        ),
        ("彼は「はい。」と言った。次の文。", ["彼は「はい。」と言った。", "次の文。"]),
        ("ما هو الحد؟ الحد هو 10.", ["ما هو الحد؟", "الحد هو 10."]),
        ("सीमा 10 है। सप्ताह सोमवार।", ["सीमा 10 है।", "सप्ताह सोमवार।"]),
        ("Лимит 10. Неделя начинается.", ["Лимит 10.", "Неделя начинается."]),
        ("Vale. ¿Cuánto es? ¡Diez!", ["Vale.", "¿Cuánto es?", "¡Diez!"]),
        ("La Sra. Gil llegó. El Sr. Paz no.", ["La Sra. Gil llegó.", "El Sr. Paz no."]),
        ("M. Blanc et Mme. Noir. C'est tout.", ["M. Blanc et Mme. Noir.", "C'est tout."]),
        ("El límite (pág. 3) es 10. Fin.", ["El límite (pág. 3) es 10.", "Fin."]),
        ("Il dott. Rossi arriva. Basta.", ["Il dott. Rossi arriva.", "Basta."]),
    ],
)
def test_sentences_of_other_languages(text: str, sentences: list[str]) -> None:
    assert [one.text for one in split_sentences(text)] == sentences


@given(st.text(alphabet='ab。\uff01\uff1f؟।. \n」"*_A1', max_size=60))
def test_each_sentence_is_a_piece_of_its_text_in_order(text: str) -> None:
    position = 0
    for one in split_sentences(text):
        assert text[one.start : one.start + len(one.text)] == one.text
        assert one.start >= position
        position = one.start + len(one.text)
