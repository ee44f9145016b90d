"""`engagement verify FILE`: the gate for any published file, wherever it lies.

It needs the project's folder, and neither enrichments.yml nor secrets nor the private file, and nothing need have been
built. What a configuration adds to the contract is taken from the file itself.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import duckdb

from engagement.configuration.secret_variables import SECRET_VARIABLES, SHORTEST_TOKEN
from engagement.contract import project_contract
from engagement.errors import ConfigurationError, PublishRefusedError
from engagement.fresh import FreshProcessFailed, in_fresh_process
from engagement.outcome import Outcome
from engagement.refusal import Refusal
from engagement.warehouse import open_file, sampled_keys


def verify(
    path: Path, *, environment: Mapping[str, str], project_dir: Path, private_file: Path | None = None
) -> Outcome:
    """Passes the file, or raises PublishRefusedError with one line for each thing that is wrong with it.

    Raises ConfigurationError where there is no such file or it is no DuckDB file.
    """
    check_is_database(path)
    secrets = [
        value
        for name in SECRET_VARIABLES
        if (value := environment.get(name)) and len(value) >= SHORTEST_TOKEN
    ]
    needles = [secret.encode() for secret in secrets]
    if private_file is not None:
        needles += [struct.pack("<q", key) for key in keys_of(private_file)]
    job = {
        "path": str(path.resolve()),
        "contract": json.loads(project_contract(project_dir).to_json()),
        "completes": True,
        "secrets": secrets,
        "private_file": None if private_file is None else str(private_file.resolve()),
        # There is no twin; what is not compressed is found all the same.
        "twin": str(path.resolve()),
        "needles": [needle.hex() for needle in needles],
    }
    try:
        found = json.loads(in_fresh_process("engagement.gate", job))
    except FreshProcessFailed as error:
        raise PublishRefusedError(
            f"{path.name}: cannot be verified ({error}); it is damaged, or there is too little memory"
        ) from None
    refusals = [Refusal(**refusal) for refusal in found]
    if refusals:
        raise PublishRefusedError(
            f"{path.name}: refused ({len(refusals)} findings); hand it to nobody, correct what is named and publish"
            " again",
            findings=[str(refusal) for refusal in refusals],
        )
    return Outcome(
        lines=[f"{path.name}: passed"], facts={"file": str(path), "with_private": private_file is not None}
    )


def check_is_database(path: Path) -> None:
    """Raises ConfigurationError unless `path` is a DuckDB file."""
    problem = None
    try:
        if path.is_symlink():
            problem = "is a link; name the file that it leads to"
        elif not path.exists():
            problem = "no such file; name a published file"
        elif not path.is_file():
            problem = "is no file; name a published file"
        else:
            with path.open("rb") as file:
                if file.read(12)[8:] != b"DUCK":
                    problem = "is not a DuckDB file; name a published file"
    except (OSError, ValueError) as error:
        problem = f"cannot be read ({type(error).__name__}); correct its rights or name another"
    if problem is not None:
        raise ConfigurationError(f"{path.name}: {problem}")


def keys_of(private_file: Path) -> list[int]:
    """A few keys of the private file; ConfigurationError where it is none."""
    check_is_database(private_file)
    with open_file(private_file, read_only=True) as connection:
        try:
            return sampled_keys(connection)
        except duckdb.Error:
            raise ConfigurationError(
                f"{private_file.name}: is no private file; name the one that the file was published from"
            ) from None
