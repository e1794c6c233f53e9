"""What is written in another way is the same, and what says the opposite supports nothing."""

from __future__ import annotations

import time

import pytest

from aegis_graph.text.support import judge

SAME = [
    ("It opened on 3 March 2024.", "It opened on 2024-03-03."),
    ("It opened on March 3, 2024.", "It opened on 3 March 2024."),
    ("It opened on 03/04/2024.", "It opened on 3 April 2024."),
    ("It opened on 3 March.", "It opened on March 3rd, 2024."),
    ("It opened on 3 March 2024.", "It opened on 3 to 5 March 2024."),
    ("It opened in 2024.", "It opened on 2024-03-03."),
    ("Es öffnete am 3.3.2024.", "Es öffnete am 3. März 2024."),
    ("It starts at 5 pm.", "It starts at 17:00."),
    ("It starts at 9:00.", "It starts at 09:00."),
    ("Es beginnt um 17 Uhr.", "Es beginnt um 17:00 Uhr."),
    ("It has three rooms.", "It has 3 rooms."),
    ("It has 21 rooms.", "It has twenty-one rooms."),
    ("Es hat zwölf Zimmer.", "Es hat 12 Zimmer."),
    ("Ada and Bo are the two founders.", "Ada and Bo are the founders, both of them two."),
    ("Between 5 and 10 seats are free.", "5 to 10 seats are free."),
    ("It is 20 degrees Celsius.", "It is 20 °C."),
    ("It is 5 litres.", "It is 5 l."),
    ("The fee is 5 bps.", "The fee is 5 basis points."),
    ("J. R. Smith wrote it.", "J.R. Smith wrote it."),
    ("It costs more than 5 EUR.", "It costs over 5 EUR, more than others."),
]
OTHER = [
    ("It opened on 2024-03-04.", "It opened on 3 March 2024."),
    ("It opened on 4 March 2024.", "It opened on March 3, 2024, with 4 rooms."),
    ("It starts at 5 pm.", "It starts at 5 am."),
    ("It starts at 9:00.", "It starts at 9:30, with 9 rooms of 00."),
    (
        "The house by the river in Ulm has three rooms.",
        "The house by the river in Ulm has 4 rooms.",
    ),
    ("It opened in the 1990s.", "It opened in 1990."),
    ("It is 1 km long.", "It is 1 mile long."),
    ("It is 5 l.", "It is 5 ml."),
    ("It is 5 V.", "It is 5 W."),
    ("It drives 100 km/h.", "It drives 100 km."),
    ("It costs ₹5.", "It costs ₽5."),
    ("It takes 60 minutes.", "It takes 1 hour."),
    ("The rate rose by 5 percent.", "The rate rose by 5 percentage points."),
]
OPPOSITE = [
    ("Refunds are paid.", "Refunds are paid unless the item is used."),
    ("Images are read.", "All files are read except images."),
    ("The service supports IPv4.", "The service stopped supporting IPv4."),
    ("The service supports IPv4.", "The service lacks support for IPv4."),
    ("Ada unterschrieb.", "Alle außer Ada unterschrieb."),
    ("Es ist frei.", "Es ist mitnichten frei."),
    ("More than 5 seats are free here.", "Less than 5 seats are free here, more or less."),
    ("Mehr als 5 Plätze sind frei.", "Weniger als 5 Plätze sind frei."),
    ("≥ 5 seats are free.", "≤ 5 seats are free."),
    (
        "The price of bread in the old town rose by 5%.",
        "The price of bread in the old town fell by 5%.",
    ),
    (
        "Backups of the archive in Ulm are written daily.",
        "Backups of the archive in Ulm are written weekly.",
    ),
    ("The train is faster than the coach.", "The coach is faster than the train."),
    ("J. Smith wrote the report on the case.", "K. Smith wrote the report on the case."),
]


@pytest.mark.parametrize(("claim", "text"), SAME)
def test_another_way_of_writing_is_the_same(claim: str, text: str) -> None:
    assert judge(claim, text) == "supported"


@pytest.mark.parametrize(("claim", "text"), OTHER)
def test_another_number_is_another_one(claim: str, text: str) -> None:
    assert judge(claim, text) in ("numbers", "words")


@pytest.mark.parametrize(("claim", "text"), OPPOSITE)
def test_an_opposite_supports_nothing(claim: str, text: str) -> None:
    assert judge(claim, text) in ("negation", "words")


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("Notice is given in May.", "It goes on unless notice is given in May."),
        ("Ada pays.", "Ada pays; Ben does not, unless he is asked."),
        ("Ada fragt vorher.", "Es ist verboten, es sei denn, Ada fragt vorher."),
        ("Refunds are paid unless it is used.", "Refunds are paid unless it is used."),
        ("Bolt was bought by Acme.", "Bolt was bought by Acme."),
        ("The train is faster than the coach.", "In Ulm the train is faster than the coach."),
        ("It lasts a week.", "It lasts a week of seven days."),
    ],
)
def test_what_a_text_says_itself_is_supported(claim: str, text: str) -> None:
    assert judge(claim, text) == "supported"


@pytest.mark.parametrize("piece", ["3 ", "3 March ", "9:00 ", "twenty ", "more than 5 ", "A. B "])
def test_a_long_text_is_judged_in_time(piece: str) -> None:
    began = time.perf_counter()
    judge("Acme has more than 3 rooms on 3 March 2024 at 9:00.", piece * 20_000)
    assert time.perf_counter() - began < 10
