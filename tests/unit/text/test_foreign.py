"""What a provider wrote is short, printable, and repeats neither the key nor the prompt."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.errors import AuthenticationError, BadRequestError, ProviderError
from aegis_graph.text.foreign import MAX_LENGTH, clean_error, clean_text

KEY = "sk-distinctive+0123/456789=abcdef"
PROMPT = "Is Ada Berg of 12 Garden Street, Ulm, pregnant, and what does her file say?"
RUBBISH = (
    "\x1b]0;PWNED\x07\x1b[2J",
    "\x1b[31mred\x1b[0m",
    "\x9b31m",
    "\ud800",
    "a\x00b",
    "a\r\nb\u2028c",
    "\u202eevil\u2066",
    "\u200b\u200d\ufeff",
    "x" * 5000,
    "\x1b" * 5000,
)


def cleaned(error: ProviderError, *, prompt: str = PROMPT, known: tuple[str, ...] = ()) -> str:
    clean_error(error, key=KEY, prompt=[prompt], known=known)
    return f"{error} {error.code}"


@pytest.mark.parametrize("rubbish", RUBBISH, ids=lambda text: ascii(text[:20]))
def test_what_no_row_and_no_terminal_takes_is_left_out(rubbish: str) -> None:
    for text in (
        clean_text(rubbish),
        cleaned(BadRequestError(f"HTTP 400 ({rubbish})", status=400, code=rubbish)),
        cleaned(BadRequestError(rubbish)),
    ):
        assert text.isprintable()
        assert len(text) <= 2 * MAX_LENGTH
        text.encode()
    assert "31m" not in clean_text("\x1b[31mred")


def test_an_honest_code_stays() -> None:
    error = BadRequestError("HTTP 400 (unsupported_parameter)", code="unsupported_parameter")
    assert cleaned(error) == "HTTP 400 (unsupported_parameter) unsupported_parameter"


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        KEY.upper(),
        quote(KEY, safe=""),
        base64.b64encode(KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY.encode()).decode(),
        f"{KEY[:9]}\n{KEY[9:]}",
        f"{KEY[:9]}\x00{KEY[9:]}",
        f"{KEY[:9]}\x1b[0m{KEY[9:]}",
        f"{KEY[:9]}\u200b{KEY[9:]}",
    ],
)
def test_no_form_of_the_key_stays(form: str) -> None:
    for error in (
        AuthenticationError(f"HTTP 401 (no.{form})", status=401, code=f"no.{form}"),
        AuthenticationError(f"refused: {form} is no key"),
        AuthenticationError("x" * 150 + form),
    ):
        text = cleaned(error)
        assert KEY.casefold() not in text.casefold().replace(" ", "")
        assert form not in text


@pytest.mark.parametrize(
    "code", [PROMPT, "Ada.Berg.of.12", "Ada Berg", "garden", "x-Garden Street"]
)
def test_a_code_that_is_a_piece_of_the_prompt_goes(code: str) -> None:
    error = BadRequestError(f"HTTP 400 ({code})", status=400, code=code)
    assert cleaned(error) in {"HTTP 400 None", f"HTTP 400 ({code}) {code}"}
    if code.casefold() in PROMPT.casefold() or "Garden" in code:
        assert error.code is None


def test_a_prompt_of_one_word_goes_too() -> None:
    error = BadRequestError("HTTP 400 (no.geheim)", status=400, code="no.geheim")
    assert cleaned(error, prompt="geheim") == "HTTP 400 None"


def test_a_word_of_the_protocol_stays_also_where_the_prompt_has_it() -> None:
    error = BadRequestError("HTTP 400 (model_not_found)", status=400, code="model_not_found")
    asked = "What does model_not_found mean?"
    assert "model_not_found" in cleaned(error, prompt=asked, known=("model_not_found",))


@pytest.mark.parametrize("status", [None, 400])
def test_a_message_of_a_foreign_kind_does_not_repeat_the_prompt(status: int | None) -> None:
    error = ProviderError(f"could not send {PROMPT[10:60]!r}", status=status)
    text = cleaned(error)
    assert "Garden" not in text
    assert "Berg" not in text


@given(st.text(), st.text(), st.text(max_size=40))
def test_whatever_it_is_it_ends_short_and_printable(message: str, code: str, key: str) -> None:
    error = ProviderError(message, code=code)
    clean_error(error, key=key, prompt=[message, code])
    text = str(error)
    assert text.isprintable()
    assert len(text) <= MAX_LENGTH
    assert error.code is None or error.code.isprintable()
