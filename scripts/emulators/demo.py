"""What `make demo` runs: a whole refresh of the made-up company, exactly as a real one goes.

Writes the customer files and the configuration to data/demo/, starts the two emulators as processes of their
own on free loopback ports, runs `engagement run` (further arguments are passed on to it) and ends with its
exit code. What an earlier demo left in data/demo/ is kept, so a second demo is a refresh. With
DEMO_SMALL_NUMBERS=band small numbers are banded.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from emulators.company import write_configuration, write_customer_files
from emulators.leadspace import TOKEN as LEADSPACE_TOKEN
from emulators.tenant import Tenant
from emulators.traffic import NOW

DATA_DIR = Path("data/demo")
START_SECONDS = 60.0
# what would make the demo read or write something of the real installation
FOREIGN_VARIABLES = (
    "ENGAGEMENT_PRIVATE_FILE",
    "ENGAGEMENT_PUBLISHED_FILE",
    "ENGAGEMENT_HASH_KEY",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
)
SCRIPTS = Path(__file__).resolve().parents[1]


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH", "")]))


@contextmanager
def emulator(module: str, *arguments: str) -> Iterator[str]:
    """Run an emulator as a process, give its address; it ends with this one, however that ends."""
    with tempfile.TemporaryDirectory(prefix="emulator-") as folder:
        url_file = Path(folder) / "url"
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", module, *arguments),
                *("--url-file", str(url_file), "--until-input-ends"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": _python_path()},
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not url_file.exists():
                if process.poll() is not None:
                    raise SystemExit(f"demo: {module} ended with exit code {process.returncode}")
                if time.monotonic() > deadline:
                    raise SystemExit(f"demo: {module} did not start in {START_SECONDS:.0f} s")
                time.sleep(0.02)
            yield url_file.read_text(encoding="utf-8")
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def environment(graph_url: str, leadspace_url: str, folder: Path, configuration: Path) -> dict[str, str]:
    """Give the environment in which the command sees the emulators and the demo's own files only."""
    tenant = Tenant(now=NOW)  # for its ids and its secret
    environ = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    return environ | {
        "PYTHONPATH": _python_path(),
        "ENGAGEMENT_DATA_DIR": str(folder),
        "ENGAGEMENT_CONFIG": str(configuration),
        "ENGAGEMENT_AUTHORITY_URL": graph_url,
        "ENGAGEMENT_GRAPH_URL": graph_url,
        "ENGAGEMENT_LEADSPACE_URL": leadspace_url,
        "LEADSPACE_TOKEN": LEADSPACE_TOKEN,
        "AZURE_TENANT_ID": tenant.tenant_id,
        "AZURE_CLIENT_ID": tenant.client_id,
        "AZURE_CLIENT_SECRET": tenant.client_secret,
        # a proxy of the machine must not get between the two
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY", ""), "127.0.0.1"])),
        "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy", ""), "127.0.0.1"])),
    }


def engagement_command() -> list[str]:
    """Give the command of this interpreter's own environment."""
    installed = Path(sys.executable).with_name("engagement")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "engagement.cli"]


def run(
    arguments: Sequence[str] = (), *, folder: Path = DATA_DIR, command: Sequence[str] | None = None
) -> int:
    """Run the demo in a folder and give the command's exit code (128 + n where signal n ended it)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = folder.resolve()
    accounts, contacts = write_customer_files(folder)
    configuration = write_configuration(
        folder / "enrichments.yml",
        accounts=accounts,
        contacts=contacts,
        small_numbers=os.environ.get("DEMO_SMALL_NUMBERS", "show"),
    )
    # The made-up company agrees to whatever this version says.
    (folder / "consents.json").unlink(missing_ok=True)
    with (
        emulator("emulators.graph", "--tenant", "emulators.company:build") as graph_url,
        emulator("emulators.leadspace", "--directory", "emulators.company:companies") as leadspace_url,
    ):
        environ: Mapping[str, str] = environment(graph_url, leadspace_url, folder, configuration)
        done = subprocess.run(
            [*(command or engagement_command()), "run", *arguments], env=environ, check=False
        )
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _terminated(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> None:
    """Run the demo with the arguments of the command line."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
