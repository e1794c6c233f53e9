"""The real model of these tests: theirs where the environment names one, none otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.real_model.servers import LONG_S, RealModels, address, first_model


@pytest.fixture
def real(tmp_path: Path) -> RealModels:
    return RealModels(address("AEGIS_TEST_MODEL_URL"), tmp_path)


@pytest.fixture
def vectors() -> dict[str, Any]:
    """A row of ``embeddings`` for the real ones."""
    url = address("AEGIS_TEST_EMBEDDINGS_URL")
    return {
        "name": "vectors",
        "kind": "openai",
        "model": first_model(url),
        "base_url": url,
        "location": "local",
        "timeout_s": LONG_S,
        "price": "free",
        "dimensions": 384,
    }
