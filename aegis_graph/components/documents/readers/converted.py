"""Further kinds of documents, by Microsoft's markitdown: an extra."""

from __future__ import annotations

import importlib
import io
from typing import Any

from aegis_graph.components.documents.readers.content import (
    Content,
    RawDocument,
    Section,
    unfit,
)
from aegis_graph.providers.ocr.telemetry import switch_telemetry_off

_CONVERTERS = {
    ".atom": "RssConverter",
    ".csv": "CsvConverter",
    ".docx": "DocxConverter",
    ".epub": "EpubConverter",
    ".htm": "HtmlConverter",
    ".html": "HtmlConverter",
    ".ipynb": "IpynbConverter",
    ".msg": "OutlookMsgConverter",
    ".pdf": "PdfConverter",
    ".pptx": "PptxConverter",
    ".rss": "RssConverter",
    ".xls": "XlsConverter",
    ".xlsx": "XlsxConverter",
}
"""One for each ending: left to choose, it takes what it cannot read for plain text, unpacks
archives without bounds, and sends sound to a service for its words."""


def read(raw: RawDocument) -> Content:
    """The document as Markdown; nothing leaves this machine."""
    if raw.suffix not in _CONVERTERS:
        raise unfit("other_kind", "of a kind that markitdown is not asked to read")
    # It imports onnxruntime, whose telemetry can be switched off before that only.
    switch_telemetry_off()
    library: Any = importlib.import_module("markitdown")
    converter = library.MarkItDown(enable_builtins=False, enable_plugins=False)
    converter.register_converter(getattr(library.converters, _CONVERTERS[raw.suffix])())
    try:
        found = converter.convert_stream(
            io.BytesIO(raw.data), stream_info=library.StreamInfo(extension=raw.suffix)
        )
    except library.FileConversionException as error:
        causes = [one.exc_info[0] for one in error.attempts or () if one.exc_info]
        if library.MissingDependencyException not in causes:
            raise unfit("broken", "broken, or not what its name says") from error
        extra = {".msg": "outlook"}.get(raw.suffix, raw.suffix[1:])
        raise unfit("needs_extra", f"needs pip install 'markitdown[{extra}]'") from error
    except library.UnsupportedFormatException as error:
        raise unfit("broken", "broken, or not what its name says") from error
    return Content([Section(text=found.markdown)], found.title or "")
