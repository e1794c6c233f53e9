"""Headers as servers send them: advice about a wait, redirects, and what is no header at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aegis_graph.testing.corpus.hostile_response import (
    BROKEN,
    EMPTY,
    FREE,
    PAID,
    Forms,
    HostileResponse,
    answered,
    failed,
)
from aegis_graph.testing.corpus.refusals import ACCESS, AUTH, BAD, DOWN, LIMIT, ODD
from aegis_graph.testing.corpus.wire_forms import TEXT, WireForm, encode
from aegis_graph.testing.loopback.replies import JSON, RawReply

ELSEWHERE = "elsewhere.invalid"
"""The host of addresses to which no call may be sent."""

WAITS: tuple[tuple[str, str], ...] = (
    ("Retry-After", "1"),
    ("Retry-After", "0"),
    ("Retry-After", "0.5"),
    ("Retry-After", "-5"),
    ("Retry-After", "1e400"),
    ("Retry-After", "nan"),
    ("Retry-After", "inf"),
    ("Retry-After", "9" * 400),
    ("Retry-After", "soon"),
    ("Retry-After", ""),
    ("Retry-After", "1, 2"),
    ("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ("Retry-After", "Wed, 99 Oct 2026 99:99:99 GMT"),
    ("Retry-After", "2026-10-21T07:28:00Z"),
    ("Retry-After", "\udcff\udcfe"),
    ("Retry-After", "١٢"),
    ("retry-after-ms", "20000"),
    ("retry-after-ms", "-1"),
    ("retry-after-ms", "many"),
    ("x-should-retry", "false"),
    ("x-should-retry", "true"),
    ("x-should-retry", "perhaps"),
    ("x-ratelimit-reset-requests", "6m0s"),
    ("x-ratelimit-reset-tokens", "1h99x"),
    ("x-ratelimit-reset-tokens", "10ms"),
    ("anthropic-ratelimit-requests-reset", "2026-10-21T07:28:00Z"),
    ("anthropic-ratelimit-tokens-reset", "never"),
    ("x-ratelimit-reset", "1792567680"),
    ("x-ratelimit-reset", "1e300"),
)
"""What servers write about when to come back."""

REDIRECTS = (300, 301, 302, 303, 304, 305, 307, 308)

LOCATIONS: Mapping[str, str] = {
    "another host": f"http://{ELSEWHERE}/v1/chat/completions",
    "another scheme": f"ftp://{ELSEWHERE}/",
    "a relative host": f"//{ELSEWHERE}/",
    "no address": "http://[::1",
    "nothing": "",
    "a file": "file:///etc/passwd",
    "a script": "javascript:alert(1)",
    "line ends": f"/\r\nX-More: 1\r\nLocation: http://{ELSEWHERE}/",
}

SOUND: Mapping[str, tuple[tuple[str, str], ...]] = {
    "a hundred of them": tuple((f"X-{number}", "x") for number in range(100)),
    "one of 4,000 characters": (("X-Long", "x" * 4_000),),
    "cookies": (("Set-Cookie", "session=1; Path=/"), ("Set-Cookie", "b=2")),
    "bytes that are no ASCII": (("X-Name", "\udcff\udce4"),),
    "an empty one": (("X-Empty", ""),),
    "an injected one": (("X-One", "1\r\nX-Two: 2"),),
    "a model's rate limits": (("x-ratelimit-remaining-tokens", "n/a"),),
    "odd processing times": (("openai-processing-ms", "fast"),),
}

ODD_HEADERS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "one of 20,000 characters": (("X-Long", "x" * 20_000),),
    "a name with a blank": (("X One", "1"),),
    "a name that is empty": (("", "1"),),
    "NUL": (("X-One", "a\x00b"),),
    "a line without a colon": (("X-One", "1\r\nnonsense"),),
    "a folded line": (("X-One", "1\r\n more"),),
    "two types": (("Content-Type", "text/html"),),
    "two lengths": (("Content-Length", "5"), ("Content-Length", "7")),
    "a length and chunks": (("Content-Length", "5"), ("Transfer-Encoding", "chunked")),
    "an upgrade": (("Upgrade", "websocket"), ("Connection", "Upgrade")),
    "an injected body": (("X-One", "1\r\n\r\n{}"),),
    "a bare line feed": (("X-One", "1\nX-Two: 2"),),
}


def header_responses(form: WireForm) -> Iterator[HostileResponse]:
    """Headers of refusals, of redirects, and of answers."""
    yield from _waits(form)
    yield from _redirects(form)
    yield from _answers(form)


def _waits(form: WireForm) -> Iterator[HostileResponse]:
    for name, text in WAITS:
        for status, error in ((429, LIMIT), (503, DOWN)):
            body = encode(form.wire.error(status, None, "Slow down"))
            reply = RawReply(status=status, headers={**JSON, name: text}, body=body)
            outcome = failed(error, bases=FREE)
            if text in {"١٢", "\udcff\udcfe"}:
                # No client has to take a header that is no ASCII.
                outcome |= failed(*BROKEN, bases=PAID)
            title = f"wait: {status}, {name}: {text[:40]!a}"
            yield HostileResponse(title, form.name, Forms(reply, reply), outcome)


def _redirects(form: WireForm) -> Iterator[HostileResponse]:
    for status in REDIRECTS:
        headers = {**JSON, "Location": LOCATIONS["another host"]}
        # An answer of status 304 has no body.
        body = b"" if status == 304 else encode(form.whole())
        reply = RawReply(status=status, headers=headers, body=body)
        outcome = failed(DOWN, bases=FREE)
        yield HostileResponse(f"redirect: {status}", form.name, Forms(reply, reply), outcome)
    for status in (302, 307):
        for what, location in LOCATIONS.items():
            reply = RawReply(status=status, headers={**JSON, "Location": location})
            outcome = failed(DOWN, ODD, bases=(*FREE, *PAID))
            name = f"redirect: {status} to {what}"
            yield HostileResponse(name, form.name, Forms(reply, reply), outcome)
    for status in (302, 307, 308):
        reply = RawReply(status=status, headers={**JSON, "Location": "/elsewhere"})
        outcome = failed(DOWN, ODD, ACCESS, BAD, AUTH, bases=(*FREE, *PAID))
        name = f"redirect: {status} to the same host"
        yield HostileResponse(name, form.name, Forms(reply, reply), outcome)
        reply = RawReply(status=status, headers=JSON)
        name = f"redirect: {status} to nowhere"
        outcome = failed(DOWN, ODD, bases=(*FREE, *PAID))
        yield HostileResponse(name, form.name, Forms(reply, reply), outcome)


def _answers(form: WireForm) -> Iterator[HostileResponse]:
    whole = encode(form.whole())
    stream = form.streamed()

    def forms(status: int, more: tuple[tuple[str, str], ...]) -> Forms:
        return Forms(
            *(
                RawReply(status=status, headers=[*headers.items(), *more], body=data)
                for headers, data in ((JSON, whole), (form.stream_headers, stream))
            )
        )

    either = answered(TEXT, bases=PAID) | failed(*BROKEN, *EMPTY)
    for what, more in SOUND.items():
        yield HostileResponse(f"headers: {what}", form.name, forms(200, more), answered(TEXT))
    for what, more in ODD_HEADERS.items():
        yield HostileResponse(f"headers: {what}", form.name, forms(200, more), either)
    for status in (201, 202, 203, 206, 207, 226, 299):
        yield HostileResponse(f"headers: status {status}", form.name, forms(status, ()), either)
    for status in (204, 205):
        nothing = RawReply(status=status, headers=JSON)
        outcome = failed(*BROKEN, *EMPTY)
        yield HostileResponse(
            f"headers: status {status} without a body", form.name, Forms(nothing, nothing), outcome
        )
