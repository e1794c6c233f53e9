"""Posts budget alerts to an address of the operator's: beside the requests, never in their way."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Mapping

from aegis_graph.config.addresses import is_loopback, webhook_fault
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.sources import environment_value
from aegis_graph.errors import ProviderUnavailableError
from aegis_graph.ledger.alerts import Alert

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0
"""For each step of a post: to connect, to send, and to the head of the answer, in seconds."""
RETRY_WAIT_S = 0.5
"""Before the second and last try, in seconds."""
EXIT_WAIT_S = 5.0
"""How long the interpreter's exit waits for a post that is under way, in seconds."""


class AlertWebhook:
    """Where alerts are posted.

    Args:
        config: Names the address, or the variable that has it.
        environ: Where that variable is looked up, by default the process's environment.
    """

    def __init__(self, config: RouterConfig, environ: Mapping[str, str] | None) -> None:
        self.config = config
        """The one in force; a reload replaces it."""
        self._environ = config.variables(environ)

    def post_soon(self, alert: Alert) -> None:
        """Post an alert in the background. It neither waits nor raises."""
        url = self._address(alert)
        if url is None:
            return
        # No task: an event loop often ends with the request. A daemon, because the exit waits for
        # it no longer than it is told to.
        thread = threading.Thread(target=_post, args=(url, alert), name="aegis-alert", daemon=True)
        atexit.register(thread.join, EXIT_WAIT_S)
        thread.start()

    def _address(self, alert: Alert) -> str | None:
        name, given = self.config.alert_webhook_env, self.config.alert_webhook
        # Read for each alert, as keys are: it may be replaced while the program runs.
        url = environment_value(name, self._environ) if name else None
        fault = webhook_fault(url) if url else None
        if fault is not None:
            _report(alert, f"{name}: {fault}")
            return None
        if url is None and given is None and name:
            _report(alert, f"{name} is not set")
        return url or (given.get_secret_value() if given else None)


def _post(url: str, alert: Alert) -> None:
    try:
        problem = _problem_of_post(url, alert)
        if problem is not None and not problem.startswith(("HTTP 3", "HTTP 4")):
            time.sleep(RETRY_WAIT_S)
            problem = _problem_of_post(url, alert)
        if problem is not None:
            _report(alert, problem)
    finally:
        atexit.unregister(threading.current_thread().join)


def _problem_of_post(url: str, alert: Alert) -> str | None:
    """Why an alert did not arrive, without the address, which may be a secret."""
    # Loaded with the first alert: few programs see one.
    import httpx  # noqa: PLC0415

    from aegis_graph.providers.http.proxies import environment_proxy  # noqa: PLC0415

    body = {"text": alert.text, **alert.facts}
    steps = httpx.Timeout(TIMEOUT_S).as_dict()
    request = httpx.Request("POST", url, json=body, extensions={"timeout": steps})
    try:
        proxy = None if is_loopback(url) else environment_proxy(url)
        # The transport alone: a client would log the address, follow redirects, and sign with what
        # it finds in the user's folder.
        with httpx.HTTPTransport(proxy=proxy) as transport:
            response = transport.handle_request(request)
            response.close()
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return type(error).__name__
    except ProviderUnavailableError as error:
        return str(error)
    return None if response.is_success else f"HTTP {response.status_code}"


def _report(alert: Alert, problem: str) -> None:
    logger.warning("the alert for budget %s was not posted: %s", alert.scope, problem)
