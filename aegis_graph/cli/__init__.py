"""The command line: ``aegis "a prompt"``, and the commands of ``aegis --help``.

Data goes to standard output, everything else to standard error. Exit status: 0 done, 2 wrong usage
or configuration, 3 nothing may or can be asked (budget, privacy, keys, ledger), 4 every provider
failed, 5 a job ended without a result for some of its items, 130 interrupted.
"""

from __future__ import annotations

# Nothing more: until ``main`` runs, Ctrl-C ends in a traceback.
import signal

OK, USAGE_ERROR, NOT_ADMITTED, PROVIDERS_FAILED, ITEMS_LEFT, INTERRUPTED = 0, 2, 3, 4, 5, 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: By default those of the process, which then is one command from its beginning to
            its end, and handles Ctrl-C as such.
    """
    # As a job in the background a process has SIGINT ignored, and leaves it so.
    if arguments is not None or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        from aegis_graph.cli.commands import run  # noqa: PLC0415  as below

        return run(arguments)
    from aegis_graph.cli.interrupts import InterruptHandler, leave  # noqa: PLC0415

    handler = InterruptHandler()
    signal.signal(signal.SIGINT, handler)
    # Only now, because it takes a while, and the handler is there.
    from aegis_graph.cli.commands import run  # noqa: PLC0415

    status = run(None, on_start=handler.command_starts)
    if status == INTERRUPTED:
        leave()
    handler.command_ended()
    return status
