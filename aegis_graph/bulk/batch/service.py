"""A provider's batches over its API: files up and down, batches made, found, looked at, ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from aegis_graph.errors import ProviderError
from aegis_graph.providers.base import Provider
from aegis_graph.providers.http import openai_http_client
from aegis_graph.providers.waiting_tier import BatchFiles

T = TypeVar("T")

ENDPOINT = "/v1/chat/completions"
"""Of every line. DashScope names it so too, whatever its own address is."""

MOST_ANSWER_BYTES = 8 * 1024**3
"""Of a file of answers: 50,000 of the longest that are usual. It goes to disk piece by piece."""

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
"""The statuses of a batch that changes no more."""


class BatchState(NamedTuple):
    """A batch, as its provider has it."""

    batch_id: str
    status: str
    output_id: str | None
    """The file of what was answered."""
    error_id: str | None
    """The file of what was not."""
    reason: str | None
    """Why none of its lines was served, where that is so."""

    @property
    def has_ended(self) -> bool:
        """Whether it changes no more."""
        return self.status in ENDED


class BatchService:
    """The batches of one provider. Nothing is sent again by itself: that could buy it twice.

    Args:
        provider: Whose calls are lines of batches.
    """

    def __init__(self, provider: Provider) -> None:
        assert provider.batch_files is not None, "opened for batches"
        self._provider = provider
        self.files: BatchFiles = provider.batch_files

    async def upload(self, path: Path) -> str:
        """Send a file of lines; returns what the provider calls it.

        Raises:
            ProviderError: It was not taken.
        """
        async with self._client() as client:
            with path.open("rb") as stream:
                made = await self._translated(
                    client.files.create(file=(path.name, stream), purpose="batch")
                )
        return str(made.id)

    async def create(self, file_id: str, name: str) -> BatchState:
        """Make a batch of a file.

        Raises:
            ProviderError: It was not made; or, where ``outcome_unknown``, may have been.
        """
        async with self._client() as client:
            made = await self._translated(
                client.batches.create(
                    input_file_id=file_id,
                    endpoint=ENDPOINT,
                    completion_window=self.files.window,
                    metadata={self.files.name_key: name},
                )
            )
        return _state(made)

    async def find(self, file_id: str, name: str, *, most: int = 2000) -> BatchState | None:
        """The batch that was made of a file, if any was.

        Args:
            file_id: The file.
            name: Of the batch, as its metadata has it.
            most: How many batches are looked at, the newest first.

        Raises:
            ProviderError: The provider does not say.
        """
        async with self._client() as client:
            after: dict[str, Any] = {}
            for _ in range(0, most, 100):
                page = await self._translated(client.batches.list(limit=100, **after))
                for one in page.data:
                    metadata = one.metadata or {}
                    if one.input_file_id == file_id or metadata.get(self.files.name_key) == name:
                        return _state(one)
                if not page.data or not page.has_next_page():
                    break
                after = {"after": page.data[-1].id}
        return None

    async def state(self, batch_id: str) -> BatchState:
        """How a batch is now.

        Raises:
            ProviderError: The provider does not say.
        """
        async with self._client() as client:
            return _state(await self._translated(client.batches.retrieve(batch_id)))

    async def cancel(self, batch_id: str) -> None:
        """End a batch early; what was served by then is billed.

        Raises:
            ProviderError: It was not ended.
        """
        async with self._client() as client:
            await self._translated(client.batches.cancel(batch_id))

    async def download(self, file_id: str, path: Path) -> None:
        """Fetch a file; it is there as a whole or not at all.

        Raises:
            ProviderError: It did not come.
        """
        part = path.with_suffix(".part")
        async with self._client() as client:
            with part.open("wb") as stream:
                await self._translated(_fetched(client, file_id, stream))
                stream.flush()
                os.fsync(stream.fileno())
        part.replace(path)

    async def delete(self, file_id: str) -> None:
        """Have the provider forget a file.

        Raises:
            ProviderError: It did not.
        """
        async with self._client() as client:
            await self._translated(client.files.delete(file_id))

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Any]:
        # In a thread: the client takes up to two seconds to import.
        await asyncio.to_thread(self._provider.load)
        import openai  # noqa: PLC0415  imported by ``load``

        spec, key = self._provider.spec, self._provider.api_key()
        http = openai_http_client(spec, key, most_bytes=MOST_ANSWER_BYTES)
        async with openai.AsyncOpenAI(
            base_url=self.files.url, api_key=key or "none", max_retries=0, http_client=http
        ) as client:
            yield client

    async def _translated(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except ProviderError:
            raise
        except Exception as error:
            raise self._provider.translate(error) from error


async def _fetched(client: Any, file_id: str, stream: Any) -> None:
    async with client.files.with_streaming_response.content(file_id) as response:
        async for piece in response.iter_bytes():
            stream.write(piece)


def _state(batch: Any) -> BatchState:
    problems = (batch.errors.data or []) if batch.errors is not None else []
    codes = list(dict.fromkeys(str(one.code) for one in problems if one.code))
    return BatchState(
        batch.id,
        batch.status,
        batch.output_file_id,
        batch.error_file_id,
        ", ".join(codes[:3]) or None,
    )
