"""A server that is still loading its model is no failure: it is asked again until it is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from langchain_core.messages import AIMessage

from aegis_graph.errors import AegisError, ModelLoadingError, ProviderError
from aegis_graph.routing.exchange.attempt_timer import AttemptTimer

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0
"""Between two questions, in seconds. The wait doubles, so a server is asked at most once more than
would be needed for a quarter of the time that it takes to load."""


async def answer_when_loaded(
    ask: Callable[[], Awaitable[AIMessage]],
    translate: Callable[[Exception], ProviderError],
    timer: AttemptTimer,
) -> AIMessage:
    """The answer of a model, also where its server has to load it first.

    A server that is loading refuses at once and does no work, so the reservation of the attempt
    covers all of these questions: at most the last one can be billed.

    Args:
        ask: Asks once.
        translate: The error of ours that an error of the client means.
        timer: Knows how long this may take.

    Raises:
        Exception: Whatever ``ask`` raises, as soon as it is no loading, or the time is up.
    """
    wait_s = FIRST_WAIT_S
    while True:
        try:
            return await ask()
        except Exception as error:
            if not _is_loading(error, translate) or not timer.may_wait(wait_s):
                raise
        await timer.wait(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def _is_loading(error: Exception, translate: Callable[[Exception], ProviderError]) -> bool:
    ours = error if isinstance(error, AegisError) else translate(error)
    return isinstance(ours, ModelLoadingError)
