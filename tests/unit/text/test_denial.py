"""A sentence that says no to what it says of two names, in English and German."""

from __future__ import annotations

import pytest

from aegis_graph.text.denial import is_denied
from aegis_graph.text.mentions import find_mentions

DENIED = [
    ("Nordwind supplies Suedlicht no more.", "Nordwind", "Suedlicht"),
    (
        "Contrary to reports, Sable Wines did not acquire Rowanberry Estate.",
        "Sable Wines",
        "Rowanberry Estate",
    ),
    ("Edmund Lasker no longer works for Pinnacle Tents.", "Edmund Lasker", "Pinnacle Tents"),
    ("Wilma Stroud was not born in Ketterby but in Lower Hask.", "Wilma Stroud", "Ketterby"),
    ("Not Gable Systems but Ferrox acquired the start-up Dewpoint.", "Gable Systems", "Dewpoint"),
    ("Quenby Clocks has never supplied Marchmont Hotels.", "Quenby Clocks", "Marchmont Hotels"),
    ("Thessaly Vane denies that she founded Cobalt Theatre.", "Thessaly Vane", "Cobalt Theatre"),
    ("Die Firma Drosselbart stellt den Mixer Quirlo nicht her.", "Drosselbart", "Quirlo"),
    (
        "Ruprecht Zinnhobel hat nie an der Akademie Falkenstein studiert.",
        "Ruprecht Zinnhobel",
        "Akademie Falkenstein",
    ),
    ("Ada Berg hat nicht Nordwind gegründet, sondern Suedlicht.", "Ada Berg", "Nordwind"),
    ("Ada Berg works for Nordwind, not for Suedlicht.", "Ada Berg", "Suedlicht"),
    ("Nordwind was not founded by Ada Berg.", "Ada Berg", "Nordwind"),
    (
        "Thessaly Vane bestreitet, dass sie das Cobalt Theatre gegründet hat.",
        "Thessaly Vane",
        "Cobalt Theatre",
    ),
    ("Drosselbart stellt den Quirlo nicht her, sondern den Rührfix.", "Drosselbart", "Quirlo"),
    ("Kein Mensch namens Ada Berg arbeitet bei Nordwind.", "Ada Berg", "Nordwind"),
    ("Neither Ada Berg nor Bo Lind works for Nordwind.", "Ada Berg", "Nordwind"),
    ("Weder Ada Berg noch Bo Lind arbeitet bei Nordwind.", "Bo Lind", "Nordwind"),
    ("Nordwind, not Suedlicht, was founded by Ada Berg.", "Ada Berg", "Suedlicht"),
    (
        "It is not true that Quenby Clocks supplies Marchmont Hotels.",
        "Quenby Clocks",
        "Marchmont Hotels",
    ),
    ("Nordwind beliefert Suedlicht nicht mehr.", "Nordwind", "Suedlicht"),
    ("Nordwind didn't buy Suedlicht.", "Nordwind", "Suedlicht"),
    ("Nordwind has no plant in Ulm.", "Nordwind", "Ulm"),
    ("Nordwind supplies Suedlicht, but not Ostluft.", "Nordwind", "Ostluft"),
    ("Nordwind supplies Suedlicht but not Ostluft.", "Nordwind", "Ostluft"),
]
STATED = [
    ("Nordwind supplies Suedlicht with no fewer than nine mills.", "Nordwind", "Suedlicht"),
    ("Wilma Stroud was not born in Ketterby but in Lower Hask.", "Wilma Stroud", "Lower Hask"),
    ("Not Gable Systems but Ferrox acquired the start-up Dewpoint.", "Ferrox", "Dewpoint"),
    ("Ada Berg, who never married, works for Nordwind.", "Ada Berg", "Nordwind"),
    ("Ada Berg not only founded Nordwind but also Suedlicht.", "Ada Berg", "Nordwind"),
    ("Ada Berg not only founded Nordwind but also Suedlicht.", "Ada Berg", "Suedlicht"),
    ("Ada Berg hat nicht nur Nordwind gegründet, sondern auch Suedlicht.", "Ada Berg", "Nordwind"),
    ("Ada Berg hat nicht nur Nordwind gegründet, sondern auch Suedlicht.", "Ada Berg", "Suedlicht"),
    ("Ada Berg hat nicht Nordwind gegründet, sondern Suedlicht.", "Ada Berg", "Suedlicht"),
    ("Ada founded Suedlicht without any money from a bank.", "Ada", "Suedlicht"),
    ("Ada Berg works for Nordwind, not for Suedlicht.", "Ada Berg", "Nordwind"),
    ("Ada Berg works for Nordwind and does not like Suedlicht.", "Ada Berg", "Nordwind"),
    ("Ada has never been to Ulm, she works for Nordwind.", "Ada", "Nordwind"),
    ("Ada founded Cobalt not in 1990 but in 1991.", "Ada", "Cobalt"),
    ("Drosselbart stellt den Quirlo nicht her, sondern den Rührfix.", "Drosselbart", "Rührfix"),
    ("Nordwind, not Suedlicht, was founded by Ada Berg.", "Ada Berg", "Nordwind"),
    ("The factory of Nordwind is not far from Ulm.", "Nordwind", "Ulm"),
    ("Never Summer supplies Marchmont Hotels.", "Never Summer", "Marchmont Hotels"),
    (
        "Nordwind acquired Suedlicht in 2001, although the price was not right.",
        "Nordwind",
        "Suedlicht",
    ),
    ("Since Bo Lind did not answer, Nordwind bought Suedlicht.", "Nordwind", "Suedlicht"),
    ("Ada Berg arbeitet bei Nordwind, weil sie nicht umziehen will.", "Ada Berg", "Nordwind"),
    ("Nordwind, das keine Schulden hat, gehört zu Suedlicht.", "Nordwind", "Suedlicht"),
    ("Gideon Plask compared the Aerolite with the Swifty.", "Gideon Plask", "Swifty"),
    ("Not until 1990 did Nordwind acquire Suedlicht.", "Nordwind", "Suedlicht"),
    ("There is no doubt that Nordwind supplies Suedlicht.", "Nordwind", "Suedlicht"),
    ("Nordwind supplies Suedlicht, but not Ostluft.", "Nordwind", "Suedlicht"),
    ("Nordwind supplies Suedlicht but not Ostluft.", "Nordwind", "Suedlicht"),
]


def verdict(text: str, one: str, other: str) -> bool:
    return is_denied(text, find_mentions(one, text), find_mentions(other, text))


@pytest.mark.parametrize(("text", "one", "other"), DENIED)
def test_a_denial_is_found(text: str, one: str, other: str) -> None:
    assert verdict(text, one, other)
    assert verdict(text, other, one)


@pytest.mark.parametrize(("text", "one", "other"), STATED)
def test_what_is_stated_is_no_denial(text: str, one: str, other: str) -> None:
    assert not verdict(text, one, other)
    assert not verdict(text, other, one)


def test_a_pronoun_may_stand_for_a_name_and_an_unknown_language_denies_nothing() -> None:
    assert is_denied("She has never worked for Nordwind.", [], [(25, 33)])
    assert not is_denied("She has never worked.", [], [])
    assert not is_denied(
        "\u0410\u0434\u0430 \u043d\u0435 \u0431\u044b\u043b\u0430 \u0432"
        " \u0423\u043b\u044c\u043c\u0435.",
        [(0, 3)],
        [(15, 20)],
    )
