"""How much the models behind a router take, from what is known of each of them."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import BaseMessage

from aegis_graph.pricing.book import book_context
from aegis_graph.providers.base import Provider
from aegis_graph.providers.local import InProcessProvider
from aegis_graph.request.content_parts import request_image
from aegis_graph.request.images import is_image
from aegis_graph.request.options import SAMPLING
from aegis_graph.request.token_bounds import prompt_bound
from aegis_graph.routing.assembly import RouterBuilder
from aegis_graph.routing.handle import RouterHandle


def providers_in_force(router: object) -> tuple[Provider, ...]:
    """The providers that a router asks now, in order; none for a graph that is no router.

    Args:
        router: A compiled router, or a handle, whose file is not read.
    """
    compiled = router.router if isinstance(router, RouterHandle) else router
    builder = getattr(compiled, "builder", None)
    return builder.providers if isinstance(builder, RouterBuilder) else ()


def chain_profile(chain: Sequence[Provider], output_cap: int | None) -> ModelProfile | None:
    """What every model of a chain can do, because each of them may be the one that answers.

    Args:
        chain: The providers. Those of this package's own are no models, and do not count.
        output_cap: Most tokens of an answer, where all requests have the same.

    Returns:
        ``None`` where there is no model. ``max_input_tokens`` is the smallest length of context
        that is known, less what the answer may take of it: as the row of an Ollama says, or the
        price book. It is absent where none is known.
    """
    models = [provider for provider in chain if not isinstance(provider, InProcessProvider)]
    if not models:
        return None
    profile = ModelProfile(
        text_inputs=True,
        text_outputs=True,
        image_inputs=all(model.spec.images for model in models),
        image_url_inputs=all(model.spec.images and model.fetches_images for model in models),
        max_output_tokens=min(output_cap or model.spec.max_output_tokens for model in models),
        tool_calling=all(model.takes_tools for model in models),
        structured_output=all(
            model.structured == "json_schema" and model.schema_beside_tools for model in models
        ),
        temperature=all(SAMPLING[0] in model.sampling for model in models),
    )
    rooms = [room for model in models if (room := _room(model, output_cap)) is not None]
    if rooms:
        profile["max_input_tokens"] = min(rooms)
    return profile


def _room(model: Provider, output_cap: int | None) -> int | None:
    """The tokens that a prompt may have, beside an answer that is as long as it may be."""
    context = model.context_length or book_context(model.priced_spec())
    if context is None:
        return None
    return max(1, context - model.output_bound(output_cap or model.spec.max_output_tokens))


def messages_bound(messages: Sequence[BaseMessage], chain: Sequence[Provider]) -> int:
    """The most tokens that messages are for any provider of a chain, images included."""
    lists = (message.content for message in messages if isinstance(message.content, list))
    parts = (part for content in lists for part in content if isinstance(part, dict))
    images = [request_image(part, "an image") for part in parts if is_image(part)]
    most = (sum(one.image_bound(image.size) for image in images) for one in chain)
    return prompt_bound(messages) + max(most, default=0)
