"""Wrong variants of files: how a list of them is read, and a file is changed for as long as its tests run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import yaml

V = TypeVar("V")


class Variant(Protocol):
    """`file` of the project, in which `replace` stands exactly once and becomes `by`."""

    @property
    def file(self) -> str: ...
    @property
    def replace(self) -> str: ...
    @property
    def by(self) -> str: ...


def load(path: Path, kind: type[V]) -> list[V]:
    """The list as it is written; a missing or unknown key is a TypeError that names it."""
    return [kind(**entry) for entry in yaml.safe_load(path.read_text(encoding="utf-8"))]


def not_applicable(variant: Variant, text: str) -> str:
    """Why the variant cannot be made of this text; empty where it can."""
    count = text.count(variant.replace)
    if count != 1:
        return f"{' '.join(variant.replace.split())!r} stands {count} times in {variant.file}"
    return "nothing would be changed" if variant.replace == variant.by else ""


def of(variant: Variant, text: str) -> str:
    """The text as the variant has it. ValueError where it cannot be made of it."""
    if why := not_applicable(variant, text):
        raise ValueError(why)
    return text.replace(variant.replace, variant.by)


@contextmanager
def in_place(variant: Variant, project: Path) -> Iterator[None]:
    """The variant stands in the project inside of the block, and what was there before after it."""
    path = project / variant.file
    text = path.read_text(encoding="utf-8")
    path.write_text(of(variant, text), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")
