"""What all parts of the configuration are made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Usd = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=24)]

NAME_OF_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"


class ConfigModel(BaseModel):
    """A part of the configuration: frozen, and without unknown keys."""

    # What was typed may be a key: no error repeats it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
