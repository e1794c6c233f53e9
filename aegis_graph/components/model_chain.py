"""What a router's chain of models is known by, where an answer is kept for the next request."""

from __future__ import annotations

from aegis_graph.chat.profile import providers_in_force
from aegis_graph.components.router_node import RouterGraph
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.routing.handle import RouterHandle
from aegis_graph.routing.policy import may_receive
from aegis_graph.types import Sensitivity, Task

_WITHOUT_EFFECT = {
    *("name", "api_key_env", "price", "max_retries", "retry_wait_s"),
    *("timeout_s", "first_token_timeout_s", "idle_timeout_s"),
    *("tasks", "images", "enabled", "tools"),
}
"""What of a provider's row does not change its answers."""


def model_chain(
    router: RouterGraph,
    *,
    with_images: bool = False,
    task: Task | None = None,
    sensitivity: Sensitivity | None = None,
) -> list[str]:
    """What identifies the models that a router asks now, in order, and how it asks them.

    A handle that watches its file reads it, which blocks. Empty for a graph that only looks like
    a router.

    Args:
        router: The compiled router, or a handle.
        with_images: Whether only providers that take images count.
        task: Whether only providers that do this task count.
        sensitivity: Whether only providers that may be given such data count.

    Example:
        >>> from aegis_graph import RouterConfig, create_router
        >>> chain = model_chain(create_router(RouterConfig()))
        >>> '"kind":"ollama"' in chain[0]
        True
    """
    # In the order of the chain: it decides which model answers.
    rows = [
        row
        for row in provider_specs(router)
        if (row.images or not with_images)
        and (task is None or row.tasks is None or task in row.tasks)
        and (sensitivity is None or may_receive(row, sensitivity))
    ]
    return [row.model_dump_json(exclude=_WITHOUT_EFFECT) for row in rows]


def provider_specs(router: object) -> tuple[ProviderSpec, ...]:
    """The providers that a router asks now, in order; none for a graph that is no router.

    Args:
        router: A compiled router, or a handle; one that watches its file reads it, which blocks.

    Example:
        >>> from aegis_graph import RouterConfig
        >>> [row.name for row in provider_specs(RouterHandle(RouterConfig()))][0]
        'ollama'
    """
    compiled = router.refresh() if isinstance(router, RouterHandle) else router
    return tuple(provider.spec for provider in providers_in_force(compiled))
