"""The graph ``vision`` of LangGraph Studio: what is in images, or what is written in them.

Studio draws ``find``, ``look`` and ``gather``; ``look`` runs once per image, and opens to show the
router: its ``budget_check``, ``attempt_`` nodes and ``record_cost``. Give it ``paths`` (images,
PDFs and folders of them), and choose ``kind`` (``description``, ``text``, ``table``, ``chart``) and
``sensitivity``: each image has its own reservation, its own rows and its own result. Without a key
and without Ollama its text is recognized on this machine.

Paths must be in the folder that ``AEGIS_IMAGES`` names, or ``examples/images`` of this checkout:
whoever may call this server may not read everything on it. Results are kept beside the ledger.
"""

import os
from pathlib import Path

from aegis_graph import (
    RouterConfig,
    RouterHandle,
    create_image_describer,
    create_image_store,
)

IMAGES = Path(os.environ.get("AEGIS_IMAGES") or Path(__file__).parents[1] / "examples" / "images")

handle = RouterHandle(load=RouterConfig.load_vision, watch=True)
graph = create_image_describer(handle, store=create_image_store(handle.config), root=IMAGES)
