"""Where the ledger is: one place, from whichever folder a program is started."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from typing_extensions import override

from aegis_graph.config.config_model import NAME_OF_VARIABLE, ConfigModel

SQLITE = "sqlite:///"
FILE_NAME = "cost_tracking.db"
_URL = r"sqlite:///[^\s\x00][^\x00]*|postgres(ql)?://[^\s\x00]+"


def data_folder() -> Path:
    """The folder of this user's data, where the ledger is when nothing says another place."""
    import platformdirs  # noqa: PLC0415  where a ledger is named, nothing asks for it

    return platformdirs.user_data_path("aegis-graph", appauthor=False)


def anchored(url: str, folder: Path) -> str:
    """A ledger's address with its path counted from a folder, where it is relative.

    Example:
        >>> anchored("sqlite:///costs.db", Path("/srv/app"))
        'sqlite:////srv/app/costs.db'
    """
    if not url.startswith(SQLITE):
        return url
    path = Path(url.removeprefix(SQLITE)).expanduser()
    return f"{SQLITE}{os.path.normpath(folder.absolute() / path)}"


class LedgerSpec(ConfigModel):
    """Where costs are recorded, and when a day, a week and a month end there."""

    url: str = Field(default_factory=lambda: f"{SQLITE}{data_folder() / FILE_NAME}")
    """``sqlite:///PATH`` for the processes of one host, ``postgresql://...`` for many hosts. A
    relative path counts from the configuration's file; without one, as without an address, from the
    folder of the user's data."""
    timezone: str = "UTC"
    first_day_of_month: int = Field(default=1, ge=1, le=28)
    first_day_of_week: Literal[
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ] = "monday"
    busy_timeout_s: float = Field(default=5.0, gt=0, le=300)
    """How long to wait for the database or a lock, before giving up."""

    hash_key_env: str | None = Field(default=None, pattern=NAME_OF_VARIABLE)
    """Name of the environment variable with the key of ``query_hash``, as 64 hexadecimal digits.
    Without one the key is in a file beside a SQLite ledger, and inside a PostgreSQL ledger."""

    @field_validator("url", mode="before")
    @classmethod
    def _is_an_address(cls, url: object) -> object:
        if isinstance(url, str) and not re.fullmatch(_URL, url):
            raise ValueError("is no address; write sqlite:///FILE, or postgresql://USER@HOST/NAME")
        return url

    @field_validator("url")
    @classmethod
    def _anchor(cls, url: str) -> str:
        # An absolute path needs no folder, and nothing is imported to find one.
        is_absolute = url.startswith(f"{SQLITE}/")
        return anchored(url, Path("/") if is_absolute else data_folder())

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        # The name is a path below the database: that of a folder is an OSError.
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {name!r}") from error
        return name

    @override
    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, self.url_without_password if name == "url" else value

    @property
    def url_without_password(self) -> str:
        """The address without a password, wherever and however it is written there."""
        address, mark, query = self.url.partition("?")
        # A password that was not encoded may have any of the marks that end one.
        scheme, _, rest = address.partition("://")
        user, at, host = rest.rpartition("@")
        if at:
            name, colon, _ = user.partition(":")
            address = f"{scheme}://{name}{':***' if colon else ''}@{host}"
        return address + mark + "&".join(map(_without_secret, query.split("&")))


def _without_secret(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    secret = equals and re.search(r"password|secret|token", unquote(name), re.IGNORECASE)
    return f"{name}=***" if secret else parameter
