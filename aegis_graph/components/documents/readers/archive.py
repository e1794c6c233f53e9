"""Files that are ZIP archives inside, bounded in what they may unpack to."""

from __future__ import annotations

import io
import zipfile

from aegis_graph.components.documents.readers.content import unfit

MAX_UNPACKED_BYTES = 100_000_000
"""What an archive may unpack to, whatever its size."""
MAX_RATIO = 4
"""A larger archive may unpack to so many times its size: pictures hardly shrink, text does."""
MAX_MEMBERS = 20_000
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How Office files begin that are in the old format, or behind a password."""


def open_archive(data: bytes) -> zipfile.ZipFile:
    """The archive, once it is known what it unpacks to.

    Raises:
        DocumentError: It is none, unpacks to too much, or has a password.
    """
    if data.startswith(OLE):
        raise unfit(
            "password", "has a password or is in the old Office format; save it without, as new"
        )
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:  # house: zipfile's own
        raise unfit("broken", "broken or cut off; repair it") from error
    members = archive.infolist()
    # Python unpacks no more than the archive says here.
    unpacked = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or unpacked > max(MAX_UNPACKED_BYTES, MAX_RATIO * len(data)):
        raise unfit("too_large", f"unpacks to {unpacked:,} bytes, which is too much")
    if any(member.flag_bits & 1 for member in members):
        raise unfit("password", "has a password; save it without")
    return archive


def member_names(data: bytes) -> frozenset[str]:
    """The names in an archive; none where it is no archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return frozenset(archive.namelist()[:MAX_MEMBERS])
    except (zipfile.BadZipFile, ValueError, NotImplementedError):  # house: zipfile's own
        return frozenset()
