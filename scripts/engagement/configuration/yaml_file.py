"""Reading enrichments.yml: a key given twice is an error with its line, and on, off, yes and no are words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from engagement.errors import ConfigurationError


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key given twice in one mapping, of which YAML readers silently keep the last."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[object] = set()
    for key_node, _ in node.value:
        key = key_node.value
        if key in seen:
            raise ConfigurationError(
                f"enrichments.yml line {key_node.start_mark.line + 1}: key {key!r} is given twice"
                " in one block;"
                " keep one of them"
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


def _on_is_no_boolean(loader: _UniqueKeyLoader, node: yaml.ScalarNode) -> object:
    """YAML 1.1 reads the bare words on, off, yes and no as booleans; here only true and false are."""
    if node.value.lower() in ("true", "false"):
        return loader.construct_yaml_bool(node)
    return node.value


_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:map", _unique_mapping)
_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:bool", _on_is_no_boolean)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys of enrichments.yml as they stand there. ConfigurationError where it cannot be read."""
    if not path.is_file():
        raise ConfigurationError(
            f"{path.name}: no such file; `engagement init` writes one with comments,"
            " or set ENGAGEMENT_CONFIG to yours"
        )
    try:
        raw = yaml.load(path.read_text("utf-8"), Loader=_UniqueKeyLoader)
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path.name}: not UTF-8 text; save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "not readable"
        raise ConfigurationError(f"{path.name}{where}: not valid YAML ({problem}); correct it") from None
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{path.name}: has no keys; needed: customers, enrichments")
    return raw
