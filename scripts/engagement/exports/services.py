"""S3, Azure Blob Storage and SFTP as file systems, their secrets from the environment, and their errors in one line.

What a library says of an error may hold addresses and secrets, so only its kind is ever shown.
"""

from __future__ import annotations

import importlib
import logging
import socket
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from engagement.errors import AuthenticationError, ConfigurationError, EngagementError, ServiceError
from engagement.exports.definitions import AZURE_SCHEMES, AZURE_SECRETS, Destination

CONNECT_SECONDS = 10
READ_SECONDS = 60
_MODULES = {"s3": "s3fs", "sftp": "sshfs", **dict.fromkeys(AZURE_SCHEMES, "adlfs")}
# They write of their own accord, addresses and tracebacks included.
_LOGGERS = ("s3fs", "botocore", "aiobotocore", "urllib3", "adlfs", "azure", "asyncssh", "fsspec", "asyncio")
# What the services and their libraries call a secret that is wrong, or not enough.
_REFUSED = (
    *("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"),
    *("ClientAuthenticationError", "AuthenticationFailed", "AuthorizationFailure", "PermissionDenied"),
    *("PermissionError", "SFTPPermissionDenied", "AuthorizationPermissionMismatch"),
)
_NOT_THERE = (
    "FileNotFoundError",
    "NoSuchBucket",
    "ContainerNotFound",
    "ResourceNotFoundError",
    "SFTPNoSuchFile",
)
_NO_SECRET = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError")
_UNKNOWN_HOST = ("HostKeyNotVerifiable",)
_KEY_PROBLEM = ("KeyImportError", "KeyEncryptionError")
_NO_ROOM = ("SFTPNoSpaceOnFilesystem", "SFTPQuotaExceeded", "InsufficientStorage")


@dataclass(frozen=True)
class Opened:
    """A service's files and the path of `to` in it. `shows_unfinished`: a file is seen there while it is written."""

    files: AbstractFileSystem
    root: str
    shows_unfinished: bool


def open_files(name: str, destination: Destination, environment: Mapping[str, str]) -> Opened:
    """Connects to a service. ConfigurationError where its packages or its secrets are not there; else the library's
    own errors.
    """
    for logger in _LOGGERS:
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    module = _MODULES[destination.scheme]
    try:
        library = importlib.import_module(module)
    except ImportError:
        raise ConfigurationError(
            f"{name}: {destination.scheme}:// needs the package {module}; install the extra with"
            " `pip install 'account-engagement[exports]'`"
        ) from None
    if destination.scheme == "s3":
        return Opened(
            _s3(library, name, environment), f"{destination.place}/{destination.path}".rstrip("/"), False
        )
    if destination.scheme == "sftp":
        return Opened(_sftp(library, name, destination, environment), f"/{destination.path}", True)
    return Opened(
        _azure(library, name, destination, environment),
        f"{destination.place}/{destination.path}".rstrip("/"),
        False,
    )


def overwriting(files: AbstractFileSystem) -> dict[str, Any]:
    """What a file system has to be told so that it replaces a file."""
    return {"overwrite": True} if type(files).__module__.startswith("adlfs") else {}


def _s3(library: Any, name: str, environment: Mapping[str, str]) -> AbstractFileSystem:
    """Keys, profile, region and endpoint are found by Amazon's own rules: the environment first."""
    for variable in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        url = environment.get(variable, "")
        host = url.partition("://")[2].partition("/")[0].partition(":")[0]
        if url and not url.startswith("https://") and host not in ("127.0.0.1", "localhost"):
            raise ConfigurationError(
                f"{name}: {variable}: not allowed; an https address (plain http only for 127.0.0.1 and localhost)"
            )
    files: AbstractFileSystem = library.S3FileSystem(
        skip_instance_cache=True,
        use_listings_cache=False,
        config_kwargs={
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"max_attempts": 3, "mode": "standard"},
        },
    )
    files.retries = 2
    return files


def _azure(
    library: Any, name: str, destination: Destination, environment: Mapping[str, str]
) -> AbstractFileSystem:
    text, key, token = (environment.get(variable) or None for variable in AZURE_SECRETS)
    account = destination.account or environment.get("AZURE_STORAGE_ACCOUNT_NAME") or None
    if text is not None:
        fields = dict(part.partition("=")[::2] for part in text.split(";") if part)
        there = fields.get("AccountName")
        if destination.account is not None and there is not None and there != destination.account:
            raise ConfigurationError(
                f"{name}: AZURE_STORAGE_CONNECTION_STRING is of another account than `to` names; correct one of them"
            )
    elif account is None:
        raise ConfigurationError(
            f"{name}: `to` names no storage account; write abfs://container@account/folder, or set"
            " AZURE_STORAGE_ACCOUNT_NAME"
        )
    elif key is None and token is None:
        raise ConfigurationError(
            f"{name}: environment: none of {', '.join(AZURE_SECRETS)} is set; set one of them"
        )
    from azure.storage.blob.aio import BlobServiceClient

    # Without these a server that is not there is tried for a minute and a half.
    patience: dict[str, Any] = {
        "retry_total": 2,
        "initial_backoff": 1,
        "increment_base": 2,
        "connection_timeout": CONNECT_SECONDS,
    }
    try:
        if text is not None:
            client = BlobServiceClient.from_connection_string(text, **patience)
        else:
            client = BlobServiceClient(_blob_url(destination, account), credential=key or token, **patience)
        files: AbstractFileSystem = library.AzureBlobFileSystem(
            account_name=client.account_name,
            anon=True,
            assume_container_exists=True,
            skip_instance_cache=True,
            use_listings_cache=False,
        )
    except ValueError:
        raise ConfigurationError(
            f"{name}: environment: {', '.join(AZURE_SECRETS)}: what is set is none of Azure's; copy it anew"
        ) from None
    files.service_client = client
    return files


def _blob_url(destination: Destination, account: str | None) -> str:
    """Where the blobs of an account are, also where `to` names its data lake or another cloud."""
    host = destination.host or str(account)
    return (
        f"https://{host.replace('.dfs.', '.blob.')}"
        if "." in host
        else f"https://{host}.blob.core.windows.net"
    )


def _sftp(
    library: Any, name: str, destination: Destination, environment: Mapping[str, str]
) -> AbstractFileSystem:
    user = destination.user or environment.get("ENGAGEMENT_SFTP_USER") or None
    password = environment.get("ENGAGEMENT_SFTP_PASSWORD") or None
    key = environment.get("ENGAGEMENT_SFTP_KEY_PATH") or None
    if user is None:
        raise ConfigurationError(
            f"{name}: `to` names no user; write sftp://user@host/folder, or set ENGAGEMENT_SFTP_USER"
        )
    if password is None and key is None:
        raise ConfigurationError(
            f"{name}: environment: neither ENGAGEMENT_SFTP_KEY_PATH nor ENGAGEMENT_SFTP_PASSWORD is set; set"
            " one of them"
        )
    if key is not None:
        _check_key(name, Path(key).expanduser())
    hosts = Path(environment.get("ENGAGEMENT_SFTP_KNOWN_HOSTS") or "~/.ssh/known_hosts").expanduser()
    if not hosts.is_file():
        raise ConfigurationError(
            f"{name}: no file of known hosts, so that {destination.place} cannot be told from another; write its key"
            " into ~/.ssh/known_hosts, or set ENGAGEMENT_SFTP_KNOWN_HOSTS (docs/exports.md)"
        )
    files: AbstractFileSystem = library.SSHFileSystem(
        destination.place,
        port=destination.port or 22,
        username=user,
        password=password,
        client_keys=None if key is None else [str(Path(key).expanduser())],
        passphrase=environment.get("ENGAGEMENT_SFTP_KEY_PASSPHRASE") or None,
        known_hosts=str(hosts),
        # Nothing of the user's own settings decides where this goes, or with which key.
        config=None,
        agent_path=None,
        connect_timeout=CONNECT_SECONDS,
        login_timeout=READ_SECONDS,
        skip_instance_cache=True,
    )
    return files


def _check_key(name: str, path: Path) -> None:
    where = f"{name}: ENGAGEMENT_SFTP_KEY_PATH: {path.name}"
    if not path.is_file():
        raise ConfigurationError(f"{where} does not exist; set it to the file with the private key")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(f"{where} holds a private key that others may read; run chmod 600 on it")


def explained(error: BaseException, name: str, destination: Destination) -> EngagementError:
    """What went wrong with a service, by what the reader does next."""
    where = f"{name}: {destination.label}"
    kinds = set(_kinds(error))
    if kinds & set(_UNKNOWN_HOST):
        return AuthenticationError(
            f"{where}: shows another host key than the file of known hosts has, or one that is not in it; ask its"
            " administrator for the key, and correct that file"
        )
    if kinds & set(_KEY_PROBLEM):
        return ConfigurationError(
            f"{where}: ENGAGEMENT_SFTP_KEY_PATH is no private key, or ENGAGEMENT_SFTP_KEY_PASSPHRASE does not open it;"
            " correct one of them"
        )
    if kinds & set(_NO_SECRET):
        return ConfigurationError(
            f"{where}: no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if kinds & set(_REFUSED):
        return AuthenticationError(
            f"{where}: refused the sign-in, or the right to write there; check the secrets in the environment and the"
            " rights of their owner"
        )
    if kinds & set(_NOT_THERE):
        what = {"s3": "bucket", "sftp": "folder"}.get(destination.scheme, "container")
        return ConfigurationError(f"{where}: there is no such {what}; make it, or correct `to`")
    if kinds & set(_NO_ROOM):
        return ServiceError(f"{where}: has no room left; make room there, then run again")
    if _is_of_the_network(error, kinds):
        return ServiceError(f"{where}: cannot be reached; check the address and the network, then run again")
    return ServiceError(f"{where}: failed ({type(error).__name__}); try again later")


def _is_of_the_network(error: BaseException, kinds: set[str]) -> bool:
    return any(
        isinstance(one, ConnectionError | TimeoutError | socket.gaierror) for one in _chain(error)
    ) or bool(
        kinds
        & {
            *("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError"),
            *(
                "ServiceRequestError",
                "ServiceResponseError",
                "ConnectionLost",
                "FSTimeoutError",
                "DisconnectError",
            ),
            *("ProxyConnectionError", "SSLError", "HTTPClientError"),
        }
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _kinds(error: BaseException) -> Iterator[str]:
    """The names of an error's classes and of those behind it, and the codes that the services gave."""
    for one in _chain(error):
        yield from (
            kind.__name__ for kind in type(one).__mro__ if kind not in (Exception, BaseException, object)
        )
        answer = getattr(one, "response", None)
        if isinstance(answer, dict):
            yield str(answer.get("Error", {}).get("Code"))
        code = getattr(one, "error_code", None)
        if code is not None:
            yield str(getattr(code, "value", code))
        if getattr(one, "status_code", None) in (401, 403):
            yield "AccessDenied"
