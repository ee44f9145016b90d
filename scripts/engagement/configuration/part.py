"""What every part of enrichments.yml is made of: its base class, its text, and how a value is refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Text = Annotated[str, Field(min_length=1)]


def refuse(allowed: str) -> PydanticCustomError:
    """The error of a value that is not allowed; `allowed` says what is."""
    return PydanticCustomError("not_allowed", "{allowed}", {"allowed": allowed})


class Part(BaseModel):
    """A block of keys: no other key, no converted value, and no value in an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)
