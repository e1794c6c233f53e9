"""Posts notices to an address of the operator's: beside the requests, never in their way.

Where there is a secret, each post is signed as Standard Webhooks are.

Source: https://github.com/standard-webhooks/standard-webhooks (spec/standard-webhooks.md)
"""

from __future__ import annotations

import atexit
import base64
import binascii
import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from uuid import uuid4

from aegis_graph.config.addresses import is_loopback, webhook_fault
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.sources import environment_value
from aegis_graph.errors import ProviderUnavailableError
from aegis_graph.routing.alerting.notices import Notice

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0
"""For each step of a post: to connect, to send, and to the head of the answer, in seconds."""
RETRY_WAITS_S = (0.5, 1.0, 2.0)
"""Before the second try and each further one, in seconds."""
MAX_POSTS = 8
"""Posts under way at the same time; what comes while a receiver takes none of them is dropped."""
EXIT_WAIT_S = 5.0
"""How long the interpreter's exit waits for a post that is under way, in seconds."""


class AlertWebhook:
    """Where notices are posted.

    Args:
        config: Names the address and the secret, or the variables that have them.
        environ: Where those variables are looked up, by default the process's environment.
    """

    def __init__(self, config: RouterConfig, environ: Mapping[str, str] | None) -> None:
        self.config = config
        """The one in force; a reload replaces it."""
        self._environ = config.variables(environ)
        self._places = threading.BoundedSemaphore(MAX_POSTS)

    @property
    def is_wanted(self) -> bool:
        """Whether the configuration names an address, or the variable that has it."""
        return bool(self.config.alert_webhook or self.config.alert_webhook_env)

    def post_soon(self, notice: Notice) -> None:
        """Post a notice in the background. It neither waits nor raises."""
        url = self._address(notice)
        if url is None:
            return
        secret_env = self.config.alert_webhook_key_env
        secret = environment_value(secret_env, self._environ) if secret_env else None
        if secret_env and secret is None:
            # A receiver that checks signatures would refuse it, and one that does not is fooled.
            _report(notice, f"{secret_env} is not set")
            return
        if not self._places.acquire(blocking=False):
            _report(notice, f"{MAX_POSTS} posts are still under way")
            return
        # No task: an event loop often ends with the request. A daemon, because the exit waits for
        # it no longer than it is told to.
        thread = threading.Thread(
            target=self._post, args=(url, notice, secret), name="aegis-alert", daemon=True
        )
        atexit.register(thread.join, EXIT_WAIT_S)
        thread.start()

    def _address(self, notice: Notice) -> str | None:
        name, given = self.config.alert_webhook_env, self.config.alert_webhook
        # Read for each notice, as keys are: it may be replaced while the program runs.
        url = environment_value(name, self._environ) if name else None
        fault = webhook_fault(url) if url else None
        if fault is not None:
            _report(notice, f"{name}: {fault}")
            return None
        if url is None and given is None and name:
            _report(notice, f"{name} is not set")
        return url or (given.get_secret_value() if given else None)

    def _post(self, url: str, notice: Notice, secret: str | None) -> None:
        post = {"text": notice.text, "event": notice.event, **notice.facts}
        body, post_id = json.dumps(post).encode(), f"msg_{uuid4().hex}"
        try:
            problem = _problem_of_post(url, body, signed_headers(post_id, body, secret))
            for wait_s in RETRY_WAITS_S:
                if problem is None or not _is_worth_a_retry(problem):
                    break
                time.sleep(wait_s)
                # Signed anew, because a receiver refuses what was signed long ago.
                problem = _problem_of_post(url, body, signed_headers(post_id, body, secret))
            if problem is not None:
                _report(notice, problem)
        finally:
            self._places.release()
            atexit.unregister(threading.current_thread().join)


def signed_headers(post_id: str, body: bytes, secret: str | None) -> dict[str, str]:
    """The headers of a post; the same identifier at each try, so that a receiver sees a repetition.

    Args:
        post_id: Names the post.
        body: What is sent.
        secret: ``whsec_`` and base64, or any text; ``None`` where nothing is signed.
    """
    headers = {"content-type": "application/json", "webhook-id": post_id}
    moment = str(int(time.time()))
    headers["webhook-timestamp"] = moment
    if secret is not None:
        signed = b".".join([post_id.encode(), moment.encode(), body])
        digest = hmac.new(_key_of(secret), signed, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def _key_of(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        # Text may only begin so.
        with suppress(binascii.Error):
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    return secret.encode()


def _is_worth_a_retry(problem: str) -> bool:
    """Whether the same post may arrive later: not where the receiver has understood and refused."""
    return not problem.startswith(("HTTP 3", "HTTP 4")) or problem in {"HTTP 408", "HTTP 429"}


def _problem_of_post(url: str, body: bytes, headers: Mapping[str, str]) -> str | None:
    """Why a notice did not arrive, without the address, which may be a secret."""
    # Loaded with the first notice: few programs see one.
    import httpx  # noqa: PLC0415

    from aegis_graph.providers.http.proxies import environment_proxy  # noqa: PLC0415

    steps = httpx.Timeout(TIMEOUT_S).as_dict()
    request = httpx.Request(
        "POST", url, content=body, headers=headers, extensions={"timeout": steps}
    )
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


def _report(notice: Notice, problem: str) -> None:
    logger.warning("the alert for %s was not posted: %s", notice.subject, problem)
