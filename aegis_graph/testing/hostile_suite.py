"""Every hostile response of a wire, as tests that a kind of your own inherits.

They need ``pytest`` and nothing else; nothing outside this module imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from aegis_graph.testing.corpus import HostileResponse, hostile_responses
from aegis_graph.testing.embedded_suite import each_mode
from aegis_graph.testing.hostile_faults import faults_of
from aegis_graph.testing.hostile_run import HostileRun, batches
from aegis_graph.testing.loopback.journal import ProtocolName

each_chain = pytest.mark.parametrize("second", [False, True], ids=["alone", "with-a-second"])


class HostileSuite:
    """The hostile responses for a kind that asks a server, over the loopback server.

    One request for each response, many at once: each has to end in the right answer or in the
    right class of error, with a true row in the ledger, and with nothing held. With a second
    provider, that one answers where the first one fails.

    Example:
        >>> class TestMine(HostileSuite):
        ...     facts = {"kind": "openai", "model": "gpt-4o"}
        ...     protocol = "openai"
        >>> len(TestMine().responses()) > 400
        True
    """

    facts: ClassVar[Mapping[str, Any]]
    """``kind``, ``model`` and the row's other settings."""
    protocol: ClassVar[ProtocolName]
    """The protocol that the server is to speak."""
    known_wrong: ClassVar[Mapping[str, str]] = {}
    """Names of responses that the kind does not take as it should, each with the reason."""

    validates: ClassVar[bool] = False
    """Whether the kind's client checks the types of all fields: then an answer with one of a wrong
    type may as well be a failed attempt that counts as paid, and a text of digits a count."""
    thorough: ClassVar[bool] = False
    """Whether each response is asked for in all modes, and not in one of them, in turn."""

    def responses(self) -> tuple[HostileResponse, ...]:
        """What is played."""
        return hostile_responses(self.protocol)

    def turns(self, *, stream: bool, second: bool) -> tuple[HostileResponse, ...]:
        """What is played in one mode: all four together play every response."""
        chosen = self.responses()
        if self.thorough:
            return chosen
        # A form that a response lacks cannot be asked for: the other modes share it.
        both, whole, streamed = (
            [one for one in chosen if one.forms.whole and one.forms.streamed],
            [one for one in chosen if one.forms.streamed is None],
            [one for one in chosen if one.forms.whole is None],
        )
        # Another order for each kind, so that kinds of one wire take turns as well.
        shift = sum(str(self.facts).encode())
        own = streamed if stream else whole
        return (*both[(2 * stream + second + shift) % 4 :: 4], *own[(second + shift) % 2 :: 2])

    def faults(self, folder: Path, *, stream: bool, second: bool) -> dict[str, list[str]]:
        """What is wrong, by the name of the response."""
        found: dict[str, list[str]] = {}
        for number, batch in enumerate(batches(self.turns(stream=stream, second=second))):
            first = self._play(batch, folder / str(number), stream=stream, second=second)
            # Once more, by themselves: where a server ends the connection behind its last byte, a
            # busy machine may show the client the end before that byte, and then it is right to say
            # that the connection was dropped.
            again = tuple(one for one in batch if one.name in first)
            if again:
                place = folder / f"{number} again"
                found.update(self._play(again, place, stream=stream, second=second))
        return found

    def _play(
        self, batch: tuple[HostileResponse, ...], place: Path, *, stream: bool, second: bool
    ) -> dict[str, list[str]]:
        place.mkdir()
        run = HostileRun(self.facts, batch, stream=stream, second=second).play(place)
        return faults_of(batch, run, second=second, validates=self.validates)

    # A client's own checks of types find fault with the answers that it takes, and generators that
    # a client drops in the middle of a broken stream are left to the collector.
    @pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @each_chain
    @each_mode
    def test_every_hostile_response_becomes_what_is_right(
        self, tmp_path: Path, stream: bool, second: bool
    ) -> None:
        """The right answer or the right error, a true row, and nothing held."""
        found = self.faults(tmp_path, stream=stream, second=second)
        lines = [
            f"{name}: {'; '.join(faults)}"
            for name, faults in found.items()
            if name not in self.known_wrong
        ]
        assert not lines, f"{len(lines)} responses\n" + "\n".join(lines)
