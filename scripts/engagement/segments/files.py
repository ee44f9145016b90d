"""The files that a segment consists of, and what stands in them: written together or not at all."""

from __future__ import annotations

import fcntl
import graphlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from engagement import durable, project_yaml
from engagement.errors import ConfigurationError
from engagement.locations import PROJECT_FILE, SEGMENTS, require_own, segment_file, segment_ids

ID = re.compile(r"[a-z][a-z0-9_]{0,49}")
LONGEST_NAME = 100
# What every description of a segment's model begins with.
GRAIN = "One row per office enrichment, account and day judged."
LONGEST_DESCRIPTION = 500
# Whoever reads segments by their ids: the models of other segments, by ref() or by a macro.
_REF = re.compile(r"ref\(\s*['\"]segment_(\w+)['\"]\s*\)")
_MACRO = re.compile(r"segment_(?:union|intersect|except)\(\s*\[([^\]]*)\]")


def described(project_dir: Path) -> dict[str, Mapping[str, Any]]:
    """What the YAML of each segment says of it (config.meta.segment), by id. One that cannot be read says nothing."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted((project_dir / SEGMENTS).glob("*.yml")):
        try:
            models = project_yaml.load(path.read_text("utf-8")).get("models") or ()
            for model in models:
                about = model.get("config", {}).get("meta", {}).get("segment")
                if isinstance(about, dict):
                    found[str(model["name"]).removeprefix("segment_")] = about
        except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError):
            continue
    return found


def parts_of(project_dir: Path, segment_id: str) -> list[str]:
    """The segments that a segment's SQL names; none where there is no such file."""
    try:
        text = (project_dir / segment_file(segment_id)).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    text = re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL)
    named = [found for listed in _MACRO.findall(text) for found in re.findall(r"['\"](\w+)['\"]", listed)]
    return list(dict.fromkeys([*named, *_REF.findall(text)]))


def cycle_among(project_dir: Path) -> list[str] | None:
    """Segments that are made of one another, in a circle: the first stands at the end again. None without any."""
    try:
        graphlib.TopologicalSorter(
            {one: parts_of(project_dir, one) for one in segment_ids(project_dir)}
        ).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return None


def cycle_in_words(cycle: Sequence[str]) -> str:
    """One line that says which segments are made of one another, and what to do."""
    return (
        f"segments: {' -> '.join(cycle)} are made of one another; take one out of"
        f" {segment_file(cycle[0]).as_posix()}"
    )


def check_new(project_dir: Path, segment_id: str, *, name: str, owner: str) -> None:
    """ConfigurationError unless a segment of this id and name can be added."""
    if not ID.fullmatch(segment_id):
        raise ConfigurationError(
            f"{_quoted(segment_id)} is no id of a segment; allowed: up to 50 of a-z, 0-9 and _, a letter first"
        )
    taken = sorted((project_dir / "models").rglob(f"segment_{segment_id}.*"))
    if taken or segment_id in listed(project_dir):
        where = taken[0].relative_to(project_dir).as_posix() if taken else f"{PROJECT_FILE}, vars.segments"
        raise ConfigurationError(f"segment {segment_id} is there already ({where}); choose another id")
    for option, text in (("--name", name), ("--owner", owner)):
        check_text(option, text, longest=LONGEST_NAME)
    for other, about in described(project_dir).items():
        if str(about.get("name", "")).strip().lower() == name.strip().lower():
            raise ConfigurationError(
                f"--name: {_quoted(name)} is the name of segment {other} too; choose another"
            )


def check_text(option: str, text: str, *, longest: int) -> None:
    """ConfigurationError unless a text can stand in a segment's YAML, which is published."""
    if not text.strip() or not text.isprintable() or len(text) > longest:
        raise ConfigurationError(
            f"{option}: a text of one line and up to {longest} printable characters is needed"
        )
    if any(sign in text for sign in ("{{", "{%", "{#")):
        raise ConfigurationError(f"{option}: a text with {{{{ or {{% would be read as a macro; leave it out")
    if re.search(r"\S@\S", text):
        raise ConfigurationError(
            f"{option}: looks like an e-mail address, which may not be published; give a name"
        )


def listed(project_dir: Path) -> list[str]:
    """var segments of dbt_project.yml; ConfigurationError where it is no list."""
    return _listed(_read(project_dir / PROJECT_FILE))


def _listed(text: str) -> list[str]:
    try:
        segments = project_yaml.load(text)["vars"]["segments"]
    except (yaml.YAMLError, KeyError, TypeError):
        segments = None
    if not isinstance(segments, list) or not all(isinstance(one, str) for one in segments):
        raise ConfigurationError(
            f"{PROJECT_FILE}: vars.segments cannot be read as a list of ids; correct it, then try again"
        )
    return segments


def project_with(text: str, segment_id: str) -> str:
    """dbt_project.yml with one segment more at the end of var segments; nothing else changes, comments included.

    Raises ConfigurationError where the list is not written one id a line.
    """
    wanted = [*_listed(text), segment_id]
    before = project_yaml.load(text)
    lines = text.splitlines(keepends=True)
    edited = _with_item(lines, segment_id)
    try:
        after = project_yaml.load(edited) if edited is not None else None
    except yaml.YAMLError:
        after = None
    expected = {**before, "vars": {**before["vars"], "segments": wanted}}
    if edited is None or after != expected:
        raise ConfigurationError(
            f"{PROJECT_FILE}: vars.segments is not written as one id a line; add '- {segment_id}' by hand, or write it"
            " so, then try again"
        )
    return edited


def _with_item(lines: Sequence[str], segment_id: str) -> str | None:
    top, starts = "", []
    for number, line in enumerate(lines):
        if re.match(r"[A-Za-z]", line):
            top = line.partition(":")[0]
        elif top == "vars" and re.match(r"\s+segments:\s*(\[\s*\])?\s*(#.*)?$", line):
            starts.append(number)
    if len(starts) != 1:
        return None
    [start] = starts
    end = "\r\n" if lines[start].endswith("\r\n") else "\n"
    margin = re.match(r"\s*", lines[start]).group()  # type: ignore[union-attr]
    last, indent = start, f"{margin}  "
    for number in range(start + 1, len(lines)):
        if item := re.match(r"(\s*)-\s", lines[number]):
            if len(item[1]) < len(margin):
                break
            last, indent = number, item[1]
        elif lines[number].strip() and not lines[number].lstrip().startswith("#"):
            break
    made = list(lines)
    if last == start:
        made[start] = re.sub(r"segments:\s*(\[\s*\])?", "segments:", made[start].rstrip()) + end
    if not made[last].endswith("\n"):
        made[last] += end
    made.insert(last + 1, f"{indent}- {segment_id}{end}")
    return "".join(made)


def metadata(
    segment_id: str,
    *,
    name: str,
    owner: str,
    description: str,
    audience: str = "accounts",
    membership: str = "dynamic",
    tags: Sequence[str] = (),
    unit_test: Mapping[str, Any] | None = None,
) -> str:
    """The YAML of a segment, laid out as in the shipped ones, with its unit test below."""
    lines = [
        "version: 2",
        "",
        "models:",
        f"  - name: segment_{segment_id}",
        "    description: >",
        f"      {GRAIN} {description.strip()}",
        "    config:",
        "      meta:",
        "        segment:",
        f"          name: {_yaml(name.strip())}",
        f"          owner: {_yaml(owner.strip())}",
        f"          audience: {audience}",
        f"          membership: {membership}",
        "          active: true",
        f"          tags: {_yaml(list(tags))}",
        "    data_tests:",
        "      - unique_key:",
        "          arguments: {columns: [enrichment_id, account_id, judged_on]}",
        "    columns:",
    ]
    for column in ("enrichment_id", "account_id", "judged_on"):
        lines += [f"      - {{name: {column}, description: '{{{{ doc(\"segment_{column}\") }}}}'}}"]
    for column in ("is_member", "reason"):
        lines += [
            f"      - name: {column}",
            f"        description: '{{{{ doc(\"segment_{column}\") }}}}'",
            "        data_tests: [not_null]",
        ]
    if unit_test is not None:
        lines += [
            "",
            "unit_tests:",
            f"  - name: {unit_test['name']}",
            "    description: >",
            f"      {unit_test['description']}",
            f"    model: {unit_test['model']}",
            "    given:",
        ]
        for given in unit_test["given"]:
            lines += [f"      - input: {given['input']}", "        rows:"]
            lines += [f"          - {_row(row)}" for row in given["rows"]]
        lines += [
            "    expect:",
            "      rows:",
            *(f"        - {_row(row)}" for row in unit_test["expect"]["rows"]),
        ]
    return "\n".join(lines) + "\n"


def _row(row: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{_key(key)}: {_yaml(value)}" for key, value in row.items()) + "}"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[a-z_][a-z0-9_]*", key) else json.dumps(key, ensure_ascii=False)


def _yaml(value: Any) -> str:
    """A value as YAML in one line: bare where that reads back as the same text, else in double quotes."""
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(one) for one in value) + "]"
    if isinstance(value, float):
        # YAML 1.1 takes 1e-05 for a text.
        return f"{value:.12f}".rstrip("0")
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", value):
        return value if project_yaml.load(value) == value else json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


@contextmanager
def alone(project_dir: Path) -> Iterator[None]:
    """Nobody else adds a segment meanwhile."""
    try:
        descriptor = os.open(project_dir, os.O_RDONLY)
    except OSError as error:
        raise ConfigurationError(f"the project's folder cannot be read ({error.strerror})") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_together(project_dir: Path, contents: Mapping[Path, bytes]) -> None:
    """Writes files below the project's folder: all of them, or none. New ones are everybody's to read, others keep
    their rights.

    Raises ConfigurationError where one cannot be written; then all are as they were. A process killed between two
    renames leaves a segment that the next build says is missing in dbt_project.yml, which is written last.
    """
    require_own(project_dir)
    paths = {name: (project_dir / name).resolve() for name in contents}
    before: dict[Path, bytes | None] = {}
    written: list[Path] = []
    with ExitStack() as stack:
        path = project_dir
        try:
            ready = []
            for name, content in contents.items():
                path = paths[name]
                before[path] = path.read_bytes() if path.exists() else None
                mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
                beside = stack.enter_context(durable.written_beside(path, content))
                beside.chmod(mode)
                ready.append((beside, path))
            for beside, path in ready:
                os.replace(beside, path)
                written.append(path)
            for folder in {path.parent for path in written}:
                durable.sync_folder(folder)
        except OSError as error:
            for done in reversed(written):
                content_before = before[done]
                if content_before is None:
                    done.unlink(missing_ok=True)
                else:
                    with durable.written_beside(done, content_before) as beside:
                        beside.chmod(done.stat().st_mode & 0o7777)
                        os.replace(beside, done)
            raise ConfigurationError(
                f"{path.name}: cannot be written ({error.strerror}); correct the rights of its folder, nothing was"
                " changed"
            ) from None


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name}: cannot be read ({type(error).__name__})") from None


def project_text(project_dir: Path) -> str:
    """dbt_project.yml as it stands, line ends included; ConfigurationError where it cannot be read."""
    return _read(project_dir / PROJECT_FILE)


def _quoted(text: str) -> str:
    return "the value given (not shown: it may be personal)" if "@" in text else repr(text[:60])
