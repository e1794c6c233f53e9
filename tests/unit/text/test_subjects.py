"""A claim that gives one name's deed to another is not supported."""

from __future__ import annotations

import pytest

from aegis_graph.text.subjects import is_said_of_another
from aegis_graph.text.support import is_supported

MINUTES = (
    "Present: Joris Adeyne, Wim Taggart, Ana Lusk. Joris asked for a second offer. The council"
    " voted on the dredging: four in favour, and Joris abstained. Wim signs the contract"
    " by 20 October, which Ana has drafted."
)


@pytest.mark.parametrize(
    ("claim", "supported"),
    [
        ("Joris abstained from the vote on the dredging.", True),
        ("Adeyne abstained from the vote on the dredging.", True),
        ("Wim abstained from the vote on the dredging.", False),
        ("Wim signs the contract by 20 October.", True),
        ("Joris signs the contract by 20 October.", False),
        ("Ana drafted the contract.", True),
        ("Joris has drafted the contract.", False),
        ("Wim asked for a second offer.", False),
    ],
)
def test_what_one_did_is_not_said_of_another(claim: str, supported: bool) -> None:
    assert is_supported(claim, MINUTES) is supported


@pytest.mark.parametrize(
    ("claim", "text", "of_another"),
    [
        ("Anna hired Ben.", "Anna hired Ben.", False),
        ("Ben hired Anna.", "Anna hired Ben.", True),
        ("Ben hired Anna.", "Anna was hired by Ben.", False),
        ("Orlewerk pays Pegelnet.", "Pegelnet pays Orlewerk 20 EUR.", True),
        ("Wim and Joris abstained.", "Joris abstained, as did Wim.", False),
        ("Wim abstained.", "In the end Joris abstained, as did Wim.", False),
        ("Wim abstained.", "Wim and Joris abstained.", False),
        # What has another name is not known to be another thing.
        ("The chair abstained.", "Joris abstained.", False),
        ("Wim abstained.", "Joris abstained.", False),
        ("Es zahlt Wim die Miete.", "Joris zahlt die Miete an Wim.", False),
        ("The API answers with 429.", "The API has a limit. All answers are in German.", False),
        ("Pumps lift water.", "Filters hold dirt. Pumps of steel lift water.", False),
    ],
)
def test_a_name_that_the_text_lacks_and_another_language_are_left_to_other_rules(
    claim: str, text: str, of_another: bool
) -> None:
    assert is_said_of_another(claim, text) is of_another
