"""A batch on its way: uploaded, made, looked at, downloaded; each step is noted before the next."""

from __future__ import annotations

import logging

from aegis_graph.bulk.batch.records import BatchRecord
from aegis_graph.bulk.batch.run import BatchRun
from aegis_graph.bulk.batch.service import BatchService, BatchState
from aegis_graph.errors import (
    AuthenticationError,
    BadRequestError,
    ModelAccessError,
    ProviderError,
    QuotaError,
    StoreError,
)

logger = logging.getLogger(__name__)

REFUSED = "refused"
"""The status of a batch that its provider did not take at all."""

_REFUSALS = (AuthenticationError, BadRequestError, ModelAccessError, QuotaError)
"""Errors that asking again does not mend. Before there is a batch its lines go another way; all
other errors are waited out."""


class BatchSender:
    """Takes batches from one stage to the next.

    Args:
        run: The job's batches.
    """

    def __init__(self, run: BatchRun) -> None:
        self._run = run

    async def advance(self, batch: BatchRecord) -> BatchRecord:
        """Do what is next for a batch; where nothing can be done yet, it comes back as it was.

        Raises:
            StoreError: Its provider does not let it be read, or is not there any more.
        """
        provider = self._run.provider(batch)
        if provider is None:
            raise StoreError(
                f"a batch of {batch.provider} is under way, and the configuration has no such"
                " provider, or says of it that it takes no batches; put that back and run again"
            )
        service = self._run.service(provider)
        try:
            return await self._step(batch, service)
        except ProviderError as error:
            logger.warning("batch %s of %s: %s", batch.name, batch.provider, error)
            if not isinstance(error, _REFUSALS):
                return batch
            if batch.batch_id is None:
                return self._run.records.advance(
                    batch.number, "ended", status=REFUSED, reason=str(error)
                )
            raise StoreError(
                f"the batch {batch.batch_id} of {batch.provider} cannot be read: {error};"
                " mend that and run the job again: its answers are kept there"
            ) from error

    async def cancel(self, batch: BatchRecord) -> None:
        """Ask for the end of a batch; what was served by then is billed, and will be read."""
        provider = self._run.provider(batch)
        if provider is None or batch.batch_id is None:
            return
        try:
            await self._run.service(provider).cancel(batch.batch_id)
        except ProviderError as error:
            # It may have ended by itself meanwhile, which the next look at it shows.
            logger.warning("batch %s of %s: %s", batch.name, batch.provider, error)

    async def _step(self, batch: BatchRecord, service: BatchService) -> BatchRecord:
        records = self._run.records
        if batch.stage == "written":
            file_id = await service.upload(self._run.file(batch, "asked"))
            return records.advance(batch.number, "uploaded", file_id=file_id)
        if batch.stage == "uploaded":
            assert batch.file_id is not None, "uploaded"
            # It may have been made before a crash, or where the answer was lost.
            state = await service.find(batch.file_id, batch.name)
            if state is None and self._run.is_cancelled:
                return records.advance(batch.number, "ended", status="cancelled")
            state = state or await service.create(batch.file_id, batch.name)
            return records.advance(batch.number, "submitted", batch_id=state.batch_id)
        assert batch.batch_id is not None, "submitted"
        state = await service.state(batch.batch_id)
        if not state.has_ended:
            return batch
        await self._fetch(batch, state, service)
        return records.advance(
            batch.number,
            "ended",
            status=state.status,
            reason=state.reason,
            output_id=state.output_id,
            error_id=state.error_id,
        )

    async def _fetch(self, batch: BatchRecord, state: BatchState, service: BatchService) -> None:
        for kind, file_id in (("answered", state.output_id), ("failed", state.error_id)):
            if file_id is not None:
                await service.download(file_id, self._run.file(batch, kind))
