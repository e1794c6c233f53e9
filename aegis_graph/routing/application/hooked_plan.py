"""What the application's ``policy`` function makes of a plan: another order, or less of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aegis_graph.request.request import Request
from aegis_graph.routing.application.hooks import HookCall, Policy
from aegis_graph.routing.policy import Candidate, ProviderPlan, passed_over
from aegis_graph.routing.state import RouterState
from aegis_graph.text.foreign import clean_text


async def plan_by_policy(
    policy: Policy | None, plan: ProviderPlan, request: Request, state: RouterState
) -> ProviderPlan:
    """The plan as the application wants it. It never has a provider that the plan had not.

    Args:
        policy: The application's function; without one the plan stays as it is.
        plan: As the router would go by it.
        request: What is asked.
        state: The request's.

    Raises:
        HookError: The function failed, or returned what it may not.
    """
    if policy is None:
        return plan
    call = HookCall("policy", state)
    # Copies: what the function does to its lists is no answer.
    returned = await call.result(policy, list(plan.candidates), list(plan.skipped), request)
    chosen = _checked(returned, plan.candidates, call)
    names = {candidate.asked_as for candidate in chosen}
    dropped = [
        passed_over(candidate, "policy", "left out by the policy")
        for candidate in plan.candidates
        if candidate.asked_as not in names
    ]
    return ProviderPlan(chosen, [*plan.skipped, *dropped])


def _checked(returned: Any, offered: Sequence[Candidate], call: HookCall) -> list[Candidate]:
    if not isinstance(returned, Sequence) or isinstance(returned, str):
        raise call.error(f"returned {type(returned).__name__}; return a list of candidates")
    left = {candidate.asked_as: candidate for candidate in offered}
    chosen = []
    for candidate in returned:
        if not isinstance(candidate, Candidate):
            raise call.error(f"returned {type(candidate).__name__} among the candidates")
        known = left.pop(candidate.asked_as, None)
        if known is None or known.spec != candidate.spec:
            raise call.error(f"{candidate.asked_as!r} is no candidate, or was returned twice")
        # The reason may be the policy's own; it is recorded.
        chosen.append(known._replace(reason=clean_text(str(candidate.reason))))
    return chosen
