"""Describes images: finds them, asks the router about each, and gathers the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.channels import EphemeralValue
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Checkpointer, Send
from typing_extensions import TypedDict, Unpack

from aegis_graph.components.documents.sources import shown
from aegis_graph.components.dual_node import DualCall, dual_node
from aegis_graph.components.image_describer.describe_one import ImageDescriber, ImageJob, as_kept
from aegis_graph.components.image_describer.results import (
    ImageResult,
    failed_result,
)
from aegis_graph.components.image_describer.size_limit import SizedSemaphore
from aegis_graph.components.image_describer.sources import FoundImage, find_images
from aegis_graph.components.image_describer.store import ImageStore
from aegis_graph.components.prompts import prompts
from aegis_graph.components.router_node import CommonInput, CommonOutput, RouterGraph, options_of
from aegis_graph.concurrency.loop_scoped import LoopScoped
from aegis_graph.concurrency.portal import Portal
from aegis_graph.errors import DocumentError, InvalidRequestError
from aegis_graph.request.image_files import image_part, whole_image_part
from aegis_graph.routing.hosts.private_runs import PrivateRuns
from aegis_graph.text.words import LANGUAGES, Language
from aegis_graph.types import RESULT_KINDS, AttemptRecord, ResultKind

CONCURRENCY = 4
"""How many images are looked at at once."""

ROOM_BYTES = 48_000_000
"""How large the files of those images may be together; decoded they take several times that."""


class DescribeInput(CommonInput, total=False):
    """What a caller gives: ``paths``, ``images`` or both."""

    paths: Annotated[list[str], EphemeralValue]
    """Files, folders, and PDFs whose pictures are meant."""
    images: Annotated[list[dict[str, Any]], EphemeralValue]
    """Image parts of a message, as ``image_part`` makes them."""
    kind: Annotated[ResultKind, EphemeralValue]
    """What is wanted: ``description`` (the default), ``text``, ``table`` or ``chart``."""
    language: Annotated[Language, EphemeralValue]
    """Of descriptions: ``en`` (the default) or ``de``. Transcriptions keep that of the image."""
    again: Annotated[bool, EphemeralValue]
    """Whether to ask also where a result was kept."""


class DescribeOutput(CommonOutput):
    """What a caller gets."""

    results: list[ImageResult]
    """One per image, in the order in which they were named; an image without an answer says why."""


class _Place(TypedDict):
    """Where a result belongs in the order of the request."""

    source: str
    sha256: str | None
    unusable: ImageResult | None
    """Set where there is nothing to ask about."""


def _append_or_reset(left: list[ImageResult], right: list[ImageResult] | None) -> list[ImageResult]:
    # A new request on the same thread starts with none.
    return [] if right is None else [*left, *right]


class DescribeState(DescribeInput, total=False):
    """The graph's own state."""

    places: list[_Place]
    jobs: Annotated[list[ImageJob], EphemeralValue]
    looked: Annotated[list[ImageResult], _append_or_reset]
    results: list[ImageResult]
    attempts: list[AttemptRecord]
    degraded: bool
    degraded_reason: str | None


def create_image_describer(
    router: RouterGraph,
    *,
    store: ImageStore | None = None,
    root: Path | None = None,
    concurrency: int = CONCURRENCY,
    room_bytes: int = ROOM_BYTES,
    prompts_folder: str | Path | None = None,
    checkpointer: Checkpointer = None,
    name: str = "image_describer",
) -> CompiledStateGraph[DescribeState, None, DescribeInput, DescribeOutput]:
    """Build the graph that says what is in images: ``find -> look (each image) -> gather``.

    Each image is one request to the router, with its own reservation and its own rows. A file that
    is no image, and one that no provider may be shown, become a result with an ``error``; the
    others go on. The same image is asked about once. Custom events ``image_started`` and
    ``image_done`` tell of the progress.

    Args:
        router: The compiled router. Its chain needs providers that take images:
            ``RouterConfig.load_vision``. A durable checkpointer of the host keeps every image
            several times; the router compiled with ``checkpointer=False`` is not drawn, and keeps
            none.
        store: Where results are kept, so that a second run buys nothing twice; see
            ``create_image_store``. Nothing is kept when absent.
        root: A folder that every path must be in; anywhere when absent. Give one where strangers
            choose the paths.
        concurrency: How many images are looked at at once.
        room_bytes: How large their files may be together; a larger one is looked at alone.
        prompts_folder: Files there win over the prompts of this package.
        checkpointer: Where the graph keeps its state between steps, if anywhere.
        name: Name of the graph.

    Raises:
        ConfigError: A prompt is wrong.

    Example:
        >>> from aegis_graph import RouterConfig, create_router
        >>> config = RouterConfig.load_vision(environ={})
        >>> graph = create_image_describer(create_router(config))
        >>> result = graph.invoke({"paths": ["scans"], "kind": "text"})  # doctest: +SKIP
        >>> [one["text"] for one in result["results"]]                   # doctest: +SKIP
        ['Invoice 2024-0815 ...']
    """
    wording = {kind: prompts(f"image_{kind}", prompts_folder) for kind in RESULT_KINDS}
    # One for each event loop, because a future belongs to one; sync hosts run on the portal's.
    room = LoopScoped(lambda: SizedSemaphore(concurrency, room_bytes), _nothing_to_close)
    look = _look_node(router, ImageDescriber(wording, store, room))
    builder: StateGraph[DescribeState, None, DescribeInput, DescribeOutput] = StateGraph(
        DescribeState, input_schema=DescribeInput, output_schema=DescribeOutput
    )
    builder.add_node("find", _Finder(root).find)
    builder.add_node("look", look)
    builder.add_node("gather", _gather)
    builder.add_edge(START, "find")
    builder.add_conditional_edges("find", _each, ["look", "gather"])
    builder.add_edge("look", "gather")
    builder.add_edge("gather", END)
    return PrivateRuns.of(builder.compile(checkpointer=checkpointer, name=name), router=router)


async def describe_image(
    router: RouterGraph,
    image: Path | bytes,
    *,
    kind: ResultKind = "description",
    language: Language = "en",
    store: ImageStore | None = None,
    **options: Unpack[CommonInput],
) -> ImageResult:
    """Say what is in one image; for many, build the graph once with ``create_image_describer``.

    Args:
        router: The compiled router, as there.
        image: A file, as a ``pathlib.Path``, or its bytes. A text is refused.
        kind: ``description``, ``text``, ``table`` or ``chart``.
        language: Of descriptions: ``en`` or ``de``.
        store: Where results are kept, if anywhere.
        **options: What every component takes: ``sensitivity``, ``user_id`` and so on.

    Returns:
        The result; its ``error`` says why there is no answer.

    Raises:
        InvalidRequestError: It is no image, or an option is wrong.
        LedgerError: The ledger cannot be used.
        StoreError: The store cannot be used.

    Example:
        >>> (await describe_image(router, Path("cat.png")))["objects"]  # doctest: +SKIP
        ['cat', 'sofa']
    """
    # First: what is no image is refused here, and not reported as a result.
    part = whole_image_part(image) if kind == "text" else image_part(image, shrink=True)
    graph = create_image_describer(router, store=store)
    request = {"images": [part], "kind": kind, "language": language, **options}
    result: ImageResult = (await graph.ainvoke(cast("DescribeInput", request)))["results"][0]
    return {**result, "source": shown(str(image))} if isinstance(image, Path) else result


async def _nothing_to_close(semaphore: SizedSemaphore) -> None:
    pass


def _look_node(router: RouterGraph, describer: ImageDescriber) -> Runnable[Any, Any]:
    """The node that asks about one image; the drawing shows the router inside it."""
    portal = Portal()

    async def look(router: RouterGraph, job: Any, config: RunnableConfig, call: DualCall) -> Any:
        def in_portal() -> Any:
            return portal.run(lambda: describer.describe(router, job, config))

        return await call(in_portal, lambda: describer.describe(router, job, config))

    return dual_node(router, look)


@dataclass(frozen=True, slots=True)
class _Finder:
    """The node ``find``."""

    root: Path | None

    def find(self, state: DescribeState) -> dict[str, Any]:
        """Find the images, and make one job of each that is not the same as another."""
        kind = _one_of("kind", state.get("kind"), RESULT_KINDS)
        language = _one_of("language", state.get("language"), LANGUAGES)
        # Once for all images: without a ``run_id`` each of them would get an envelope of its own.
        options = options_of(state)
        parts = state.get("images") or []
        found = find_images(_paths(state.get("paths")), parts, root=self.root)
        # Turned round twice, so that the first of equal images stands for all, and the order stays.
        refs = {one["sha256"]: one for one in reversed(found) if "sha256" in one}
        jobs = [
            ImageJob(
                ref=ref,
                # Only what is not in a file has to travel with the job: a checkpointer keeps it.
                part=None if ref["path"] else parts[(ref["number"] or 0) - 1],
                kind=kind,
                language=language,
                again=bool(state.get("again")),
                options=options,
                number=number,
                count=len(refs),
            )
            for number, ref in enumerate(reversed(refs.values()), start=1)
        ]
        return {"places": [_place(one, kind) for one in found], "jobs": jobs, "looked": None}


def _place(one: FoundImage, kind: ResultKind) -> _Place:
    if "sha256" in one:
        return _Place(source=one["source"], sha256=one["sha256"], unusable=None)
    unusable = failed_result(one["source"], kind, one["error"], error_type=DocumentError.__name__)
    return _Place(source=one["source"], sha256=None, unusable=unusable)


def _one_of(key: str, value: object, allowed: Sequence[Any]) -> Any:
    if value is None:
        return allowed[0]
    if value in allowed:
        return value
    raise InvalidRequestError(f"{key}: {value!r} is unknown; use one of {', '.join(allowed)}")


def _paths(value: object) -> list[Path]:
    rows = [] if value is None else value
    if not isinstance(rows, list) or not all(isinstance(row, str) and row for row in rows):
        raise InvalidRequestError("paths: must be a list of texts, each a file or a folder")
    return [Path(row) for row in rows]


def _each(state: DescribeState) -> list[Send] | str:
    return [Send("look", job) for job in state["jobs"]] or "gather"


def _gather(state: DescribeState) -> dict[str, Any]:
    """The node ``gather``: a result for each image, in order, and what the run came to."""
    looked = {result["sha256"]: result for result in state["looked"]}
    results: list[ImageResult] = []
    seen: set[str] = set()
    for place in state["places"]:
        digest = place["sha256"]
        if digest is None:
            results += [place["unusable"]] if place["unusable"] else []
            continue
        # A twin costs nothing, and says so.
        again = digest in seen
        seen.add(digest)
        results.append(as_kept(looked[digest], place["source"]) if again else looked[digest])
    reason = _reason(results)
    return {
        "results": results,
        "attempts": [attempt for result in results for attempt in result["attempts"]],
        "degraded": reason is not None,
        "degraded_reason": reason,
    }


def _reason(results: Sequence[ImageResult]) -> str | None:
    failed = sum(result["error"] is not None for result in results)
    reasons = [f"{failed} of {len(results)} without an answer"] if failed else []
    counts: dict[str, int] = {}
    for result in results:
        if result["degraded_reason"]:
            counts[result["degraded_reason"]] = counts.get(result["degraded_reason"], 0) + 1
    reasons += [f"{count} of {len(results)}: {why}" for why, count in counts.items()]
    return "; ".join(reasons) or None
