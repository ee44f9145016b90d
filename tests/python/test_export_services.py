"""Exports to S3, Azure Blob Storage and SFTP: real servers on loopback, each in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from conftest import Workspace
from engagement.exports import services
from engagement.exports.definitions import destination_of
from export_services import (
    AZURE_ACCOUNT,
    AZURE_KEY,
    SERVICES,
    SFTP_PASSPHRASE,
    SFTP_PASSWORD,
    Service,
    free_port,
)
from export_world import export_of, publish_world

pytestmark = pytest.mark.faults

VARIABLES = (
    *(
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL_S3",
        "AWS_PROFILE",
    ),
    *("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "HOME"),
    *("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"),
)
SECRETS = ("zqaccesskeyid", "zqsecretaccesskey", AZURE_KEY, SFTP_PASSWORD, SFTP_PASSPHRASE)
BELOW = "one/2026/06/30"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world") / "engagement.duckdb"
    publish_world(path)
    return path


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with SERVICES["s3"](tmp_path_factory.mktemp("s3")) as started:
        yield started


@pytest.fixture(scope="module", params=SERVICES)
def service(request: pytest.FixtureRequest) -> Service:
    started: Service = request.getfixturevalue(request.param)
    return started


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with SERVICES["sftp"](tmp_path_factory.mktemp("sftp")) as started:
        yield started


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with SERVICES["azure"](tmp_path_factory.mktemp("azure")) as started:
        yield started


@pytest.fixture
def home(workspace: Workspace, world: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace whose environment has nothing of the machine's own accounts."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    workspace.environment |= {"ENGAGEMENT_PUBLISHED_FILE": str(world), "HOME": str(workspace.root)}
    workspace.environment["AWS_EC2_METADATA_DISABLED"] = "true"
    return workspace


def place(service: Service, test: str) -> Service:
    """The same with a folder of the test's own, so that one server does for all."""
    return Service(
        f"{service.to}/{test}", service.environment, service.files, f"{service.root}/{test}", service.extra
    )


@pytest.fixture
def there(service: Service, home: Workspace, request: pytest.FixtureRequest) -> Service:
    home.environment |= service.environment
    return place(service, re.sub("[^a-z_]", "-", request.node.originalname))


def whole(there: Service, below: str = BELOW) -> dict[str, Any]:
    """The manifest of what lies there, each of its parts compared with its hash."""
    manifest: dict[str, Any] = json.loads(there.read(f"{below}/manifest.json"))
    for part in manifest["parts"]:
        content = there.read(f"{below}/{part['file']}")
        assert (len(content), hashlib.sha256(content).hexdigest()) == (part["bytes"], part["sha256"])
    return manifest


def test_parts_and_manifest_arrive(home: Workspace, there: Service) -> None:
    export_of(home, {"segment": "stale", "to": there.to, "rows_per_part": 2, "compression": "gzip"})
    # As a process of its own, which must end without a word of the libraries.
    process = home.start("export")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert output.startswith("one: 3 rows in 2 parts, ")
    manifest = whole(there)
    assert [part["rows"] for part in manifest["parts"]] == [2, 1]
    assert all(re.fullmatch(r"one-000[12]-[0-9a-f]{16}\.csv\.gz", part["file"]) for part in manifest["parts"])
    assert there.names(BELOW) == sorted(["manifest.json", *(part["file"] for part in manifest["parts"])])
    assert list((home.root / "data").glob(".*")) == []


def test_the_next_replaces_it_and_the_same_is_the_same(home: Workspace, there: Service) -> None:
    export_of(home, {"table": "marts.odd", "to": there.to, "rows_per_part": 3})
    assert home.run("export").exit_code == 0
    first, names = whole(there), there.names(BELOW)
    assert home.run("export").exit_code == 0
    assert (whole(there), there.names(BELOW)) == (first, names)
    export_of(home, {"table": "marts.odd", "to": there.to, "columns": ["number"]})
    assert home.run("export").exit_code == 0
    manifest = whole(there)
    assert there.names(BELOW) == sorted(["manifest.json", manifest["parts"][0]["file"]])


KILLED = """
import os, signal, sys
from engagement.exports import remote
from engagement.cli import main
step = int(sys.argv.pop(1))
names = ("_put", "_put_manifest", "_remove_old")
def kill(*_): os.kill(os.getpid(), signal.SIGKILL)
if step == 0:
    remote.Remote._put = kill
elif step == 1:
    real = remote.Remote._put
    def put(self, name, path):
        if "-0003-" in name: kill()
        real(self, name, path)
    remote.Remote._put = put
elif step == 2:
    remote.Remote._put_manifest = kill
else:
    remote.Remote._remove_old = kill
main()
"""


@pytest.mark.parametrize("step", [1, 2, *(pytest.param(step, marks=pytest.mark.long) for step in (0, 3))])
def test_killed_at_any_step_an_export_is_whole_there(home: Workspace, there: Service, step: int) -> None:
    export_of(home, {"table": "marts.odd", "to": there.to, "rows_per_part": 5})
    assert home.run("export").exit_code == 0
    before = whole(there)
    export_of(home, {"table": "marts.odd", "to": there.to, "rows_per_part": 2})
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(step), "export"],
        env={**os.environ, **home.environment},
        cwd=home.root,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    after = whole(there)
    assert (after == before) is (step < 3)
    assert home.run("export").exit_code == 0
    manifest = whole(there)
    assert len(manifest["parts"]) == 5
    assert there.names(BELOW) == sorted(["manifest.json", *(part["file"] for part in manifest["parts"])])
    assert list((home.root / "data").glob(".*")) == []


def test_another_export_there_is_not_replaced(home: Workspace, there: Service) -> None:
    export_of(home, {"table": "marts.odd", "to": there.to, "path": "same"})
    assert home.run("export").exit_code == 0
    export_of(home, {"name": "two", "table": "marts.odd", "to": there.to, "path": "same"})
    result = home.run("export")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: two: ")
    assert result.stderr.endswith(
        "/same holds another manifest.json already; remove it there, or correct `path`\n"
    )
    assert whole(there, "same")["name"] == "one"


def wrong(service: Service) -> dict[str, str]:
    """The environment with another secret."""
    changed = dict(service.environment)
    if "ENGAGEMENT_SFTP_PASSWORD" in changed:
        changed["ENGAGEMENT_SFTP_PASSWORD"] = "zqanother"
    if text := changed.get("AZURE_STORAGE_CONNECTION_STRING"):
        changed["AZURE_STORAGE_CONNECTION_STRING"] = text.replace(AZURE_KEY, AZURE_KEY[:-8] + "enhhbg==")
    return changed


def failed(home: Workspace, code: int) -> str:
    """The one line of an export that fails, without any secret."""
    result = home.run("export")
    assert result.exit_code == code, result.output
    [line] = result.stderr.splitlines()
    assert not any(secret in result.output for secret in (*SECRETS, "zqanother", "enhhbg==")), result.output
    assert list((home.root / "data").glob(".*")) == []
    return line.removeprefix("error: ")


def test_wrong_secrets_are_refused(home: Workspace, there: Service) -> None:
    if "AWS_SECRET_ACCESS_KEY" in there.environment:
        # Moto takes any key unless it is told to look: see below.
        return
    home.environment |= wrong(there)
    export_of(home, {"table": "marts.odd", "to": there.to})
    assert failed(home, 3).endswith(
        ": refused the sign-in, or the right to write there; check the secrets in the environment and the rights of"
        " their owner"
    )


def test_a_bucket_or_container_that_is_not_there(home: Workspace, there: Service) -> None:
    if there.to.startswith("sftp"):
        return
    export_of(home, {"table": "marts.odd", "to": there.to.replace("//exports", "//nowhere")})
    what = "bucket" if there.to.startswith("s3") else "container"
    assert failed(home, 2).endswith(f": there is no such {what}; make it, or correct `to`")


def test_nobody_there(home: Workspace, there: Service) -> None:
    port = free_port()
    change = re.compile(r"(127\.0\.0\.1:)\d+")
    home.environment |= {
        name: change.sub(rf"\g<1>{port}", value) if "http" in value else value
        for name, value in there.environment.items()
    }
    export_of(home, {"table": "marts.odd", "to": change.sub(rf"\g<1>{port}", there.to)})
    assert failed(home, 4).endswith(": cannot be reached; check the address and the network, then run again")


def test_no_secrets(home: Workspace, there: Service) -> None:
    for name in there.environment:
        home.environment.pop(name)
    if there.to.startswith("s3"):
        home.environment["AWS_ENDPOINT_URL_S3"] = there.environment["AWS_ENDPOINT_URL_S3"]
    export_of(home, {"table": "marts.odd", "to": there.to})
    line = failed(home, 2)
    assert re.search(
        "no AWS credentials; set AWS_ACCESS_KEY_ID and|none of AZURE_STORAGE_CONNECTION_STRING, .* is set; set one"
        "|neither ENGAGEMENT_SFTP_KEY_PATH nor ENGAGEMENT_SFTP_PASSWORD is set; set one",
        line,
    ), line


def test_a_package_that_is_not_installed(
    home: Workspace, there: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("s3fs", "adlfs", "sshfs"):
        monkeypatch.setitem(sys.modules, module, None)
    export_of(home, {"table": "marts.odd", "to": there.to})
    line = failed(home, 2)
    assert re.fullmatch(
        r"one: (s3|abfs|sftp):// needs the package (s3fs|adlfs|sshfs); install the extra with"
        r" `pip install 'account-engagement\[exports\]'`",
        line,
    ), line


# --- S3


@pytest.mark.parametrize(
    ("code", "exit_code"), [("InvalidAccessKeyId", 3), ("SignatureDoesNotMatch", 3), ("AccessDenied", 3)]
)
def test_a_key_that_s3_refuses(home: Workspace, code: str, exit_code: int) -> None:
    """A server that answers as Amazon's does: moto compares no signature."""
    answer = (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>zqsecretaccesskey</Message></Error>"
    ).encode()

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        do_HEAD = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home.environment |= {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "zqaccesskeyid",
            "AWS_SECRET_ACCESS_KEY": "zqsecretaccesskey",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        export_of(home, {"table": "marts.odd", "to": "s3://exports/crm"})
        assert "refused the sign-in" in failed(home, exit_code)
        server.shutdown()


def test_plain_http_to_another_machine_is_refused(home: Workspace) -> None:
    home.environment["AWS_ENDPOINT_URL_S3"] = "http://s3.example.com"
    export_of(home, {"table": "marts.odd", "to": "s3://exports/crm"})
    assert failed(home, 2) == (
        "one: AWS_ENDPOINT_URL_S3: not allowed; an https address (plain http only for 127.0.0.1 and localhost)"
    )


# --- Azure


def test_the_account_of_the_connection_string_is_that_of_the_address(home: Workspace) -> None:
    home.environment["AZURE_STORAGE_CONNECTION_STRING"] = (
        f"DefaultEndpointsProtocol=https;AccountName=another;AccountKey={AZURE_KEY}"
    )
    export_of(home, {"table": "marts.odd", "to": "abfss://exports@devaccount/crm"})
    assert failed(home, 2).startswith(
        "one: AZURE_STORAGE_CONNECTION_STRING is of another account than `to` names"
    )


def test_a_storage_account_has_to_be_named(home: Workspace) -> None:
    home.environment["AZURE_STORAGE_ACCOUNT_KEY"] = AZURE_KEY
    export_of(home, {"table": "marts.odd", "to": "az://exports/crm"})
    assert failed(home, 2).startswith(
        "one: `to` names no storage account; write abfs://container@account/folder"
    )


@pytest.mark.parametrize(
    ("to", "url"),
    [
        ("abfs://c@acc/x", "https://acc.blob.core.windows.net/"),
        ("abfss://c@acc.dfs.core.windows.net/x", "https://acc.blob.core.windows.net/"),
        ("abfss://c@acc.dfs.core.chinacloudapi.cn/x", "https://acc.blob.core.chinacloudapi.cn/"),
        ("az://c/x", "https://named.blob.core.windows.net/"),
    ],
)
@pytest.mark.parametrize("secret", ["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"])
def test_the_address_of_an_account(to: str, url: str, secret: str) -> None:
    given = AZURE_KEY if secret == "AZURE_STORAGE_ACCOUNT_KEY" else "?sv=2026&sig=zqsignature"
    opened = services.open_files(
        "one", destination_of(to), {secret: given, "AZURE_STORAGE_ACCOUNT_NAME": "named"}
    )
    assert opened.files.service_client.url.startswith(url)
    assert opened.root == "c/x"


def test_a_token_of_limited_rights_is_enough(home: Workspace, azure: Service) -> None:
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    token = generate_account_sas(
        AZURE_ACCOUNT,
        AZURE_KEY,
        resource_types=ResourceTypes(container=True, object=True),
        permission=AccountSasPermissions(read=True, write=True, create=True, list=True, delete=True),
        expiry=datetime(2100, 1, 1, tzinfo=UTC),
    )
    there = place(azure, "token")
    endpoint = re.search("BlobEndpoint=[^;]*", azure.environment["AZURE_STORAGE_CONNECTION_STRING"])
    assert endpoint is not None
    home.environment["AZURE_STORAGE_CONNECTION_STRING"] = f"{endpoint[0]};SharedAccessSignature={token}"
    export_of(home, {"table": "marts.odd", "to": there.to})
    result = home.run("export")
    assert (result.exit_code, result.stderr) == (0, "")
    assert whole(there)["rows"] == 10


# --- SFTP


@pytest.fixture
def by_key(home: Workspace, sftp: Service, request: pytest.FixtureRequest) -> Service:
    """Signs in with a key instead of the password."""
    folder = sftp.extra["folder"]
    home.environment |= {
        "ENGAGEMENT_SFTP_KNOWN_HOSTS": f"{folder}/known_hosts",
        "ENGAGEMENT_SFTP_KEY_PATH": f"{folder}/client_key",
    }
    return place(sftp, re.sub("[^a-z_]", "-", request.node.originalname))


def test_a_key_signs_in(home: Workspace, by_key: Service) -> None:
    export_of(home, {"table": "marts.odd", "to": by_key.to})
    assert home.run("export").exit_code == 0
    assert whole(by_key)["rows"] == 10
    home.environment["ENGAGEMENT_SFTP_KEY_PATH"] = f"{by_key.extra['folder']}/locked_key"
    home.environment["ENGAGEMENT_SFTP_KEY_PASSPHRASE"] = SFTP_PASSPHRASE
    assert home.run("export").exit_code == 0
    home.environment["ENGAGEMENT_SFTP_KEY_PASSPHRASE"] = "zqanother"
    assert "ENGAGEMENT_SFTP_KEY_PASSPHRASE does not open it" in failed(home, 2)


def test_a_key_that_the_server_does_not_know(home: Workspace, by_key: Service) -> None:
    home.environment["ENGAGEMENT_SFTP_KEY_PATH"] = f"{by_key.extra['folder']}/host_key"
    export_of(home, {"table": "marts.odd", "to": by_key.to})
    assert "refused the sign-in" in failed(home, 3)


@pytest.mark.parametrize(
    ("content", "mode", "line"),
    [
        (None, 0o600, "key does not exist; set it to the file with the private key"),
        ("no key", 0o644, "key holds a private key that others may read; run chmod 600 on it"),
        (
            "no key",
            0o600,
            "ENGAGEMENT_SFTP_KEY_PATH is no private key, or ENGAGEMENT_SFTP_KEY_PASSPHRASE does not",
        ),
    ],
)
def test_a_file_that_is_no_key(
    home: Workspace, by_key: Service, content: str | None, mode: int, line: str
) -> None:
    path = home.root / "key"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    home.environment["ENGAGEMENT_SFTP_KEY_PATH"] = str(path)
    export_of(home, {"table": "marts.odd", "to": by_key.to})
    assert line in failed(home, 2)


def test_a_host_that_is_not_known_gets_nothing(home: Workspace, by_key: Service) -> None:
    export_of(home, {"table": "marts.odd", "to": by_key.to})
    known = Path(by_key.extra["folder"], "known_hosts").read_text("utf-8")
    other = Path(by_key.extra["folder"], "authorized_keys").read_text("utf-8").splitlines()[0]
    hosts = home.root / "known_hosts"
    home.environment["ENGAGEMENT_SFTP_KNOWN_HOSTS"] = str(hosts)
    for text in ("", known.split(" ")[0] + " " + other + "\n"):
        hosts.write_text(text, "utf-8")
        assert "shows another host key than the file of known hosts has" in failed(home, 3)
    hosts.unlink()
    assert "no file of known hosts" in failed(home, 2)


def test_a_folder_that_the_user_may_not_write(home: Workspace, by_key: Service) -> None:
    """The server may run as root, who may write everywhere, so a file stands in the place of the folder."""
    Path(by_key.extra["folder"], "files", "taken").write_text("")
    export_of(home, {"table": "marts.odd", "to": by_key.to.rpartition("/crm/")[0] + "/taken"})
    line = failed(home, 4)
    assert line.startswith("one: sftp://127.0.0.1:"), line


def test_errors_by_what_the_reader_does_next() -> None:
    destination = destination_of("sftp://crm@host/x")
    for error, code in (
        (PermissionError("zqsecret"), 3),
        (FileNotFoundError("zqsecret"), 2),
        (ConnectionResetError("zqsecret"), 4),
        (TimeoutError("zqsecret"), 4),
        (ValueError("zqsecret"), 4),
    ):
        found = services.explained(error, "one", destination)
        assert found.exit_code == code
        assert found.message.startswith("one: sftp://host/x: ") and "zqsecret" not in found.message
