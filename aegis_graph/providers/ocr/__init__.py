"""The kind ``ocr``: text recognition on this machine."""
