"""`mf` of dbt-metricflow over the published file: the measures of models/marts/measures, without anything that leaves
the machine and without a file of the project's that it would overwrite.

Run from the project's folder, in the environment of `make measures`:

    .venv-measures/bin/python scripts/measures/mf.py query --metrics emails --group-by metric_time__month

Plain `mf` asks the package index for a newer version of itself at every start, reads the target that profiles.yml names
as the default, which is the private file, and wants target/semantic_manifest.json of that target. This one asks nobody,
reads the target `published` (ENGAGEMENT_PUBLISHED_FILE, or engagement.duckdb in ENGAGEMENT_DATA_DIR), and parses the
project into a folder of its own, again whenever a file of the project is newer.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "target" / "measures"
TARGET = "published"
# What the semantic manifest is made of.
PARSED = (
    "dbt_project.yml",
    "profiles.yml",
    "models/**/*.yml",
    "models/**/*.sql",
    "macros/**/*.sql",
    "seeds/*.yml",
)


def published_file() -> Path:
    """The file that the target `published` of profiles.yml reads."""
    folder = os.environ.get("ENGAGEMENT_DATA_DIR", "data")
    return Path(os.environ.get("ENGAGEMENT_PUBLISHED_FILE", f"{folder}/engagement.duckdb"))


def profiles() -> Path:
    """A folder with profiles.yml whose default target is the published file: `mf` takes no other."""
    text = (PROJECT / "profiles.yml").read_text("utf-8")
    changed = text.replace("  target: private\n", f"  target: {TARGET}\n")
    if changed == text:
        raise SystemExit(
            "mf: profiles.yml: no line 'target: private'; put it back, or correct scripts/measures/mf.py"
        )
    folder = FOLDER / "profiles"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profiles.yml").write_text(changed, "utf-8")
    return folder


def parse() -> Path:
    """The semantic manifest of the project for the published file, parsed anew where it is older than what it is of.

    Raises SystemExit (1) where dbt cannot parse the project; dbt has then said why.
    """
    from dbt.cli.main import dbtRunner

    manifest = FOLDER / "semantic_manifest.json"
    file_named = FOLDER / "published_file.txt"
    newest = max(path.stat().st_mtime for pattern in PARSED for path in PROJECT.glob(pattern))
    named = str(published_file().absolute())
    if (
        not manifest.exists()
        or manifest.stat().st_mtime < newest
        or not file_named.exists()
        or file_named.read_text("utf-8") != named
    ):
        manifest.unlink(missing_ok=True)
        result = dbtRunner().invoke(["parse", "--quiet"])
        if not result.success or not manifest.exists():
            print("mf: dbt cannot parse the project (see above); correct it, then ask again", file=sys.stderr)
            raise SystemExit(1)
        file_named.write_text(named, "utf-8")
    return manifest


def main() -> None:
    """Runs `mf` with the arguments given."""
    if not published_file().is_file():
        print(
            f"mf: {published_file()}: nothing is published there; run `engagement run`, or set ENGAGEMENT_DATA_DIR"
            " (data/demo after `make demo`)",
            file=sys.stderr,
        )
        raise SystemExit(1)
    os.environ["ENGAGEMENT_PUBLISHED_FILE"] = str(published_file().absolute())
    os.environ |= {
        "DBT_PROJECT_DIR": str(PROJECT),
        "DBT_PROFILES_DIR": str(profiles()),
        "DBT_TARGET_PATH": str(FOLDER),
        "DBT_LOG_PATH": str(FOLDER),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    os.chdir(PROJECT)
    manifest = parse()

    from dbt_metricflow.cli import main as metricflow
    from dbt_metricflow.cli.dbt_connectors.dbt_config_accessor import dbtArtifacts
    from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
    from update_checker import UpdateChecker

    UpdateChecker.check = lambda *arguments: None
    dbtArtifacts.build_semantic_manifest_from_dbt_project_root = staticmethod(
        lambda project_root: parse_manifest_from_dbt_generated_manifest(manifest.read_text("utf-8"))
    )
    metricflow.cli(prog_name="mf")


if __name__ == "__main__":
    main()
