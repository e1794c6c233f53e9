"""Where the workers of a job run."""

from __future__ import annotations

from aegis_graph.bulk.local_engine import WorkPlan, work_here, work_in_processes
from aegis_graph.bulk.opened import OpenJob
from aegis_graph.bulk.options import Engine


async def work_on(engine: Engine, plan: WorkPlan, workers: int, opened: OpenJob) -> None:
    """Work on a job until nothing is left to do.

    Args:
        engine: Where.
        plan: What to do.
        workers: Processes, or with Ray actors.
        opened: The job.

    Raises:
        ModuleNotFoundError: The engine is an extra that is not installed; says how to.
    """
    if engine == "ray":
        # Imported here: it is an extra.
        from aegis_graph.bulk.ray_engine import work_on_ray  # noqa: PLC0415

        await work_on_ray(plan, opened.queue, opened.found, workers=workers)
    elif workers > 1:
        await work_in_processes(plan, workers, opened.queue)
    else:
        await work_here(plan, opened.queue, opened.found)
