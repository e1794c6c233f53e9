"""How long a context Ollama is asked for, and when its answer shows that the prompt was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage, SystemMessage

from aegis_graph.providers.ollama.context import LEAST_CUT, SIZES, fitting_context, is_cut

ENGLISH = "The town was small and the river wide. "
CHINESE = "小镇很小而河流很宽。"
THAI = "เมืองนี้เล็กและแม่น้ำกว้าง"


@pytest.mark.parametrize(
    ("prompt_bytes", "images", "cap", "context"),
    [
        (100, 0, 1024, None),
        (9_000, 0, 1024, None),
        (9_300, 0, 1024, 8192),
        (100, 2, 1024, 8192),
        (135_000, 0, 1024, 65_536),
        (10**7, 0, 1024, SIZES[-1]),
    ],
)
def test_the_context_fits_the_prompt_the_images_and_the_answer(
    prompt_bytes: int, images: int, cap: int, context: int | None
) -> None:
    assert fitting_context(prompt_bytes, images, cap) == context


@pytest.mark.parametrize(
    ("text", "evaluated"),
    [
        (ENGLISH * 3500, 4096),
        ("x" * 135_000, 4096),
        (CHINESE * 4500, 4096),
        (ENGLISH * 1000, 2048),
    ],
    ids=["words", "one word", "no spaces", "old default"],
)
def test_a_count_far_below_the_prompt_shows_that_it_was_cut(text: str, evaluated: int) -> None:
    assert is_cut(evaluated, [HumanMessage(text)], None)
    assert is_cut(evaluated, [SystemMessage("Be brief."), HumanMessage(text)], None)


def test_a_full_context_shows_that_the_prompt_was_cut() -> None:
    asked = [HumanMessage(CHINESE)]
    assert is_cut(8192, asked, 8192)
    assert not is_cut(8191, asked, 8192)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        # What tokenizers with large vocabularies make of them, or fewer.
        (ENGLISH * 500, 4_500),
        (CHINESE * 500, 2_500),
        (THAI * 500, 4_000),
        ("    return x\n" * 1000, 3_000),
        ("0123456789" * 500, 1_700),
    ],
    ids=["English", "Chinese", "Thai", "code", "digits"],
)
def test_a_prompt_that_was_read_whole_is_no_alarm_in_any_language(text: str, tokens: int) -> None:
    assert not is_cut(tokens, [HumanMessage(text)], 32_768)


@given(st.integers(0, LEAST_CUT - 1))
def test_a_small_count_is_no_alarm_because_a_cache_may_explain_it(evaluated: int) -> None:
    assert not is_cut(evaluated, [HumanMessage(ENGLISH * 1000)], 16_384)
