"""API keys: long random words, of which only the hashes are kept.

A key has 256 random bits, so one round of SHA-256 hides it: there is nothing to guess that a slow
hash would make dearer. Keys come from `keys.json` (see `mlfolio key`) and from `MLFOLIO_API_KEYS`,
which holds hashes too: `name:sha256, name:sha256`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from mlfolio.core.errors import FileError, UnknownNameError, UserError
from mlfolio.core.run import write_json
from mlfolio.serve.settings import Settings

VARIABLE = "MLFOLIO_API_KEYS"
PREFIX = "mlf_"
LOG = logging.getLogger(__name__)


def make(name: str, file: Path) -> str:
    """A new key, to be shown once; its hash is added to the file.

    Raises:
        UserError: The name is taken or empty.
    """
    if not re.fullmatch(r"[\w-]{1,64}", name):
        raise UserError(f"{name!r} cannot name a key", "up to 64 letters, digits, - and _")
    key = PREFIX + secrets.token_urlsafe(32)
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):
        hashes = read(file)
        if name in hashes.values():
            raise UserError(f"there is a key {name!r} already", "choose another name")
        _write(file, hashes | {_hash(key): name})
    return key


def remove(name: str, file: Path) -> None:
    """Takes a key's right away.

    Raises:
        UnknownNameError: There is no such key.
    """
    with FileLock(file.with_name(f".{file.name}.lock")):
        hashes = read(file)
        if name not in hashes.values():
            raise UnknownNameError("key", name, hashes.values())
        _write(file, {digest: other for digest, other in hashes.items() if other != name})


def read(file: Path) -> dict[str, str]:
    """Hash -> name of every key in a file; none if there is no file.

    Raises:
        FileError: It is no such file.
    """
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_text("utf-8"))
        return {str(digest): str(name) for name, digest in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise FileError(f"{file} holds no keys: {error}", "mlfolio key add NAME") from None


def all_keys(file: Path) -> dict[str, str]:
    """Hash -> name of every key of the file and the environment.

    Raises:
        UserError: The environment's are not `name:sha256`.
    """
    keys = read(file)
    for part in filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))):
        name, _, digest = part.partition(":")
        if len(digest) != 64 or set(digest.lower()) - set("0123456789abcdef"):
            raise UserError(
                f"{VARIABLE} holds something that is not name:sha256",
                "hash a key: printf %s KEY | sha256sum",
            )
        keys[digest.lower()] = name[:64]
    return keys


class Keyring:
    """The keys as they are now: the file is read again when it has changed.

    Attributes:
        needed: Whether a key is needed: beyond this machine, or once there was one. That the last
            one was taken away must not open a server that a proxy shows to others.

    Raises:
        UserError: The file or the environment holds something else.
    """

    def __init__(self, file: Path, is_local: bool) -> None:
        self._file = file
        self._changed = self._stamp()
        self._keys = all_keys(file)
        self.needed = not is_local or file.exists() or bool(self._keys)

    def __call__(self) -> Mapping[str, str]:
        """Hash -> name of every valid key; those of before while the file cannot be read."""
        stamp = self._stamp()
        if stamp != self._changed:
            self._changed = stamp
            try:
                self._keys = all_keys(self._file)
            except UserError as error:
                LOG.error("%s; the keys of before stay valid", error.message)
            self.needed = self.needed or bool(self._keys)
        return self._keys

    def _stamp(self) -> int:
        return self._file.stat().st_mtime_ns if self._file.exists() else 0


def required(settings: Settings) -> Keyring:
    """The keys of a server.

    Raises:
        UserError: It would listen beyond this machine without one.
    """
    valid = Keyring(settings.keys_file, settings.is_local)
    if not settings.is_local and not valid():
        raise UserError(
            f"listening on {settings.host} lets others in, and there is no API key",
            "make one: mlfolio key add NAME",
        )
    return valid


def holder(headers: Mapping[bytes, bytes], keys: Mapping[str, str]) -> str | None:
    """The name of the key that a request carries; None if it carries no valid one.

    It may be `Authorization: Bearer KEY`, `X-API-Key: KEY`, or the password of basic
    authentication, which is what browsers ask their users for.
    """
    given = headers.get(b"x-api-key", b"")
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        given = value.strip()
    elif scheme.lower() == b"basic":
        try:
            given = base64.b64decode(value).partition(b":")[2]
        except (binascii.Error, ValueError):
            return None
    # Looking a hash up tells nothing of use by its time: who can choose the hash has the key.
    return keys.get(hashlib.sha256(given).hexdigest()) if given else None


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _write(file: Path, hashes: Mapping[str, str]) -> None:
    write_json(file, {name: digest for digest, name in hashes.items()})
    file.chmod(0o600)
