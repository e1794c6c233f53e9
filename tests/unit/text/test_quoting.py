"""What is quoted fits the kind of the question; what is no prose is never quoted as prose."""

import time

import pytest

from aegis_graph.text.passages import NumberedPassage
from aegis_graph.text.quotes import quoted_lines
from aegis_graph.text.quoting.expected import Expected, answers, expected_of
from aegis_graph.text.quoting.markup import without_markup
from aegis_graph.text.quoting.question import is_in_another_language, read_question
from tests.counting import counted_functions


def quoted(question: str, *texts: str) -> list[str]:
    passages = [NumberedPassage(n, f"{n}.md", text) for n, text in enumerate(texts, start=1)]
    return quoted_lines(question, passages)


TLS = "# Security\n\nTLS uses port 443. The certificate is renewed every night."
OPTIONS = (
    "# Options\n\n* `--port <int>` - Bind to this port. If it is 0, a free one is picked."
    " **Default:** *8000*.\n* `--host <str>` - Bind to this host. **Default:** *'127.0.0.1'*."
)
APP = "# Application\n\nAn error is raised when the app is created without a name."
INSTALL = (
    "# Installation\n\nInstall with pip:\n\n```bash\npip install httpx\n```\n\n"
    "Or, to include HTTP/2 support, use:\n\n```shell\npip install 'httpx[http2]'\n```\n"
)
STAFF = (
    "# Staff\n\nThe workshop was founded by Maria Keller in 1987. Invoices above 500 EUR are"
    " approved by the head of finance. Invoices are paid within 14 days."
)
HOURS = "# Library\n\n## Opening hours\n\nMonday to Friday, 9:00 to 17:00\n\n## License\n\nMIT\n"
PRICES = (
    "# Prices\n\nAll prices are per month:\n\n| plan | price | users |\n|---|---|---|\n"
    "| Basic | 9 EUR | 3 |\n| Team | 29 EUR | 10 |\n"
)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("What is the default port?", TLS),
        ("default port?", TLS),
        ("Who created it?", APP),
        ("Who created the app?", APP),
        ("When was the app created?", APP),
        ("How many names does the app have?", APP),
        ("How much does the app cost?", APP),
        ("Who renews the certificate?", TLS),
        ("What is the price of the Enterprise plan?", PRICES),
        ("How many invoices are paid?", STAFF),
        ("Does it support HTTP/3?", INSTALL),
        ("What is the maximum number of ports?", TLS),
        ("Wer hat die Rechnung geschrieben?", "Die Rechnung wird am Montag geschrieben."),
        ("Wie viele Räume gibt es?", "Die Räume sind im ersten Stock."),
        ("Was kostet der Versand?", "Der Versand dauert zwei Tage."),
    ],
)
def test_a_sentence_without_what_is_asked_for_is_no_answer(question: str, text: str) -> None:
    assert quoted(question, text) == []


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("What is the default port?", OPTIONS, "8000"),
        ("What is the default host?", OPTIONS, "127.0.0.1"),
        ("Which port does TLS use?", TLS, "443"),
        ("How often is the certificate renewed?", TLS, "every night"),
        ("Who founded the workshop?", STAFF, "Maria Keller"),
        ("Who approves invoices above 500 EUR?", STAFF, "head of finance"),
        ("When was the workshop founded?", STAFF, "1987"),
        ("When was Ada born?", "Ada was born in Ulm in 1867. She wrote.", "1867"),
        ("When was the abbey founded?", "The abbey was founded in 734.", "734"),
        ("Wann wurde Ada geboren?", "Ada wurde im Jahr 1599 in Ulm geboren.", "1599"),
        ("Within how many days are invoices paid?", STAFF, "14 days"),
        ("When are the opening hours?", HOURS, "9:00 to 17:00"),
        ("What is the license?", HOURS, "MIT"),
        ("How much does the Team plan cost?", PRICES, "29 EUR"),
        ("How many users does the Basic plan have?", PRICES, "Basic | 9 EUR | 3"),
        ("Wann beginnt der Kurs?", "Der Kurs beginnt am 3. Oktober um 18 Uhr.", "3. Oktober"),
        ("Wie lange dauert der Versand?", "Der Versand dauert zwei Tage.", "zwei Tage"),
        ("Wer leitet die Werkstatt?", "Leiterin der Werkstatt ist Frau Anna Roth.", "Anna Roth"),
        ("Was kostet die Lieferung?", "Für die Lieferung gilt: 4,90 € je Paket.", "4,90 €"),
        ("Welcher Port ist voreingestellt?", "Standardmäßig gilt Port 25.", "Port 25"),
    ],
)
def test_the_sentence_of_the_kind_asked_for_is_quoted(
    question: str, text: str, expected: str
) -> None:
    assert any(expected in line for line in quoted(question, TLS, APP, text)), quoted(
        question, TLS, APP, text
    )


def test_code_comes_whole_with_the_sentence_that_leads_to_it() -> None:
    assert quoted("How do I install it with pip?", INSTALL)[:2] == [
        "Install with pip: [1]",
        "```\npip install httpx\n```",
    ]
    assert quoted("How do I include HTTP/2 support?", INSTALL) == [
        "Or, to include HTTP/2 support, use: [1]",
        "```\npip install 'httpx[http2]'\n```",
    ]


def test_code_with_a_fence_and_brackets_is_shown_letter_for_letter() -> None:
    text = "Print the list like this:\n\n~~~\nrows[0]  # ```\n  rows[1]\n~~~\n"
    assert quoted("How do I print the list?", text) == [
        "Print the list like this: [1]",
        "````\nrows[0]  # ```\n  rows[1]\n````",
    ]


def test_a_bullet_is_quoted_with_all_of_its_sentences() -> None:
    [line] = quoted("What is the default port?", OPTIONS)
    assert line.startswith("`--port <int>` - Bind to this port. If it is 0,")
    assert line.endswith("**Default:** *8000*. [1]")


@pytest.mark.parametrize(
    "noise",
    [
        "---\ntitle: The limit of a budget\nlayout: budget limit\n---",
        "{!docs/budget_limit.md!}",
        "--8<-- 'the/budget/limit.md'",
        "{% include 'the budget limit' %}",
        ".. include:: the-budget-limit.rst",
        ":doc: the budget limit",
        "include::the-budget-limit.adoc[]",
        "[![budget limit](https://a.b/budget-limit.svg)](https://a.b)",
        "![the budget limit](budget-limit.png)",
        '<img src="the-budget-limit.png" alt="the budget limit">',
        "<!-- the limit of a budget is 3 -->",
        '!!! note "the limit of a budget"',
        "::: warning the budget limit",
        "* [The budget limit](#the-budget-limit)",
        "[budget limit]: https://a.b/budget-limit",
        "## 1.2.0 (2024-03-01)\n\n* Raise the limit of a budget (#77)",
        "## Changelog\n\n- The limit of a budget is checked.",
    ],
)
def test_what_is_no_prose_is_not_quoted(noise: str) -> None:
    assert quoted("What is the limit of a budget?", noise) == []
    prose = "The limit of a budget is 10 USD a month."
    text = f"{noise}\n\n# Limits\n\n{prose}"
    assert quoted("What is the limit of a budget?", text)[:1] == [f"{prose} [1]"]


def test_release_notes_answer_a_question_about_a_release() -> None:
    notes = "## 1.2.0 (March 1, 2024)\n\n* Raise the limit of a budget (#77)"
    assert quoted("Which version did raise the limit of a budget?", notes)
    assert not quoted("What is the limit of a budget?", notes)


def test_a_comment_in_code_is_no_markup() -> None:
    text = "```\n<!-- kept -->\n!!! kept\n```\n<!-- gone -->"
    assert without_markup(text)[: text.index("<!-- gone")].count("kept") == 1
    assert len(without_markup(text)) == len(text)
    assert "gone" not in without_markup(text)


def test_each_part_of_a_question_gets_its_answer() -> None:
    lines = quoted(
        "Who founded the workshop, and which port does TLS use?", STAFF, "Nothing else.", TLS
    )
    assert lines == [
        "The workshop was founded by Maria Keller in 1987. [1]",
        "TLS uses port 443. [3]",
    ]


def test_a_name_that_the_document_has_elsewhere_counts_for_its_sentences() -> None:
    one = "# Lamp One\n\nThe Lamp One shines for 26 hours on low."
    duo = "# Lamp Duo\n\nIt shines for 19 hours on low."
    assert quoted("How long does the Lamp Duo shine on low?", one, duo)[0].endswith("[2]")
    assert quoted("How long does the Lamp One shine on low?", one, duo)[0].endswith("[1]")


def test_a_product_that_the_documents_speak_of_is_no_person() -> None:
    text = (
        "Nimbus is a server. Nimbus is small. Nimbus is fast. An instance is created by Nimbus at"
        " the start."
    )
    assert quoted("Who created it?", text) == []
    assert quoted("Who created it?", f"{text} It was created by Ann.") != []


def test_a_name_with_a_hyphen_is_not_the_name_in_front_of_it() -> None:
    addon = "# Nimbus-Compress\n\nNimbus-Compress is a fast filter for Nimbus."
    assert quoted("What is Nimbus?", addon) == []
    assert quoted("What is Nimbus?", addon, "Nimbus is a small server.") == [
        "Nimbus is a small server. [2]"
    ]


def test_what_happens_is_answered_by_a_condition() -> None:
    text = (
        "The value is read in this order:\n\n* The configuration value of the file.\n\n"
        "If no value matches, the configuration raises an error."
    )
    assert quoted("What happens if no configuration value matches?", text) == [
        "If no value matches, the configuration raises an error. [1]"
    ]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who wrote it?", "person"),
        ("What happens when it fails?", "consequence"),
        ("By whom was it written?", "person"),
        ("Wem gehört das Haus?", "person"),
        ("When was it written?", "date"),
        ("When does it start?", "time"),
        ("Wann wurde es gegründet?", "date"),
        ("How long does it take?", "duration"),
        ("Wie oft wird geprüft?", "frequency"),
        ("How much does it cost?", "money"),
        ("Was kostet ein Aufruf?", "money"),
        ("How many are there?", "number"),
        ("Which port is used?", "number"),
        ("Where is it?", "place"),
        ("Warum ist das so?", "reason"),
        ("How do I install it?", "steps"),
        ("Wie installiere ich es?", "steps"),
        ("What is a hold?", "definition"),
        ("Is it hard?", "yes_no"),
        ("Darf ich das?", "yes_no"),
        ("Which file holds it?", "anything"),
    ],
)
def test_the_kind_of_a_question_is_told_by_its_words(question: str, expected: Expected) -> None:
    assert expected_of(question) == expected


@pytest.mark.parametrize(
    ("kind", "yes", "no"),
    [
        ("person", "It was made by Ann Lee.", "It was made by hand."),
        ("person", "The treasurer signs.", "It is signed twice."),
        ("date", "It opened on 3 May.", "It opened with a party."),
        ("time", "It ends when the call returns.", "It ends."),
        ("duration", "It takes 30 seconds.", "It takes a while."),
        ("frequency", "It is checked weekly.", "It is checked."),
        ("money", "It is free of charge.", "It is charged."),
        ("number", "There are seven rooms.", "See `room-7/a` and (#12)."),
    ],
)
def test_a_text_has_the_kind_or_has_it_not(kind: Expected, yes: str, no: str) -> None:
    assert answers(kind, yes)
    assert not answers(kind, no)


def test_a_number_of_the_question_is_no_answer() -> None:
    assert not answers("number", "It holds for 500 of them.", question="How many are over 500?")


def test_what_a_question_spells_out_has_to_be_there() -> None:
    question = read_question("What is the default of `--port` in gpt-4o-mini, version 2?")
    assert question.literals == ("--port", "gpt-4o-mini")
    assert [one.search("since v2") is not None for one in question.numbered] == [True]


@pytest.mark.parametrize(
    ("question", "other"),
    [
        ("Quel est le port par défaut ?", True),
        ("¿Cuál es el puerto por defecto?", True),
        ("默认端口是什么?", True),
        ("Какой порт по умолчанию?", True),
        ("What is the default port?", False),
        ("Welcher Port ist voreingestellt?", False),
        ("default port?", False),
    ],
)
def test_another_language_is_noticed(question: str, other: bool) -> None:
    assert is_in_another_language(question) is other


def functions_called_for(passages: int) -> int:
    texts = [f"{OPTIONS}\n\n{STAFF}\n\n{PRICES}\n\nPart {n} follows." for n in range(passages)]
    with counted_functions() as count:
        quoted("How long is the keep-alive timeout of the server by default?", *texts)
    return count.calls


def test_twice_the_passages_are_twice_the_work() -> None:
    quoted("What is a?", "An a is a letter.")
    assert functions_called_for(50) < 2.2 * functions_called_for(25)


@pytest.mark.parametrize(
    "piece",
    [
        "<a ",
        "[a](",
        "- ",
        "{%",
        "![",
        "1,",
        "A b ",
        "`",
        "a_",
        "# ",
        "[",
        "| ",
        "aa",
        "x=",
        "a/",
        "Ab ",
        "<b>",
        "&a;",
        "[![a](b)",
        "by ",
        "---\n",
        "> ",
        "1 ",
        "\u00b7 ",
        "how many ",
        "A",
    ],
)
def test_rubbish_is_read_in_time(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    begin = time.thread_time()
    quoted("How many a's does b have by default?", text)
    quoted("Where is a, and who made b?", text, f"{piece[:1]}{' ' * 20_000}x")
    quoted("What is a?", "\n".join(text[at : at + 80] for at in range(0, len(text), 80)))
    assert time.thread_time() - begin < 2
