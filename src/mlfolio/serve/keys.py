"""API keys: long random words, of which only the hashes are kept.

A key has 256 random bits, so one round of SHA-256 hides it: there is nothing to guess that a slow
hash would make dearer. Keys come from `keys.json` (see `mlfolio key`) and from `MLFOLIO_API_KEYS`,
which holds hashes too: `name:sha256, name:sha256:tenant`.

A key may belong to a tenant: who asks with it sees what is the tenant's own, and nothing that is
another's or everybody's, where a model holds such things.
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
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from mlfolio.core.errors import FileError, UnknownNameError, UserError
from mlfolio.core.run import write_json
from mlfolio.serve.settings import Settings

VARIABLE = "MLFOLIO_API_KEYS"
PREFIX = "mlf_"
NAME = re.compile(r"[\w-]{1,64}")
LOG = logging.getLogger(__name__)


class Caller(NamedTuple):
    """Who asks.

    Attributes:
        name: Of the key; the address where none is needed.
        tenant: Whom the key belongs to; None for what is everybody's.
    """

    name: str
    tenant: str | None = None


def make(name: str, file: Path, tenant: str | None = None) -> str:
    """A new key, to be shown once; its hash is added to the file.

    Args:
        name: Whose it is.
        file: Where the hashes are.
        tenant: Whom it belongs to.

    Raises:
        UserError: The name is taken or none, or the tenant's is, or is hardly another's.
    """
    _require_name(name, "a key")
    if tenant is not None:
        _require_name(tenant, "a tenant")
    key = PREFIX + secrets.token_urlsafe(32)
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):
        hashes = read(file)
        if name in _names(hashes):
            raise UserError(f"there is a key {name!r} already", "choose another name")
        for other in tenants(hashes):
            if tenant is not None and tenant != other and _alike(tenant, other):
                raise UserError(
                    f"{tenant!r} is hardly another name than that of the tenant {other!r}",
                    f"--tenant {other}, or a name that nobody takes for it",
                )
        _write(file, hashes | {_hash(key): Caller(name, tenant)})
    return key


def remove(name: str, file: Path) -> None:
    """Takes a key's right away.

    Raises:
        UnknownNameError: There is no such key.
    """
    with FileLock(file.with_name(f".{file.name}.lock")):
        hashes = read(file)
        if name not in _names(hashes):
            raise UnknownNameError("key", name, _names(hashes))
        _write(file, {digest: one for digest, one in hashes.items() if one.name != name})


def remove_tenant(tenant: str, file: Path) -> int:
    """Takes the right of all keys of a tenant away; returns how many that were."""
    if not file.exists():
        return 0
    with FileLock(file.with_name(f".{file.name}.lock")):
        hashes = read(file)
        left = {digest: one for digest, one in hashes.items() if one.tenant != tenant}
        if len(left) < len(hashes):
            _write(file, left)
    return len(hashes) - len(left)


def tenants(keys: Mapping[str, Caller]) -> list[str]:
    """The tenants that keys belong to."""
    return sorted({one.tenant for one in keys.values() if one.tenant is not None})


def read(file: Path) -> dict[str, Caller]:
    """Hash -> holder of every key in a file; none if there is no file.

    The file holds `{"name": "sha256"}`, and `{"name": {"sha256": ..., "tenant": ...}}`.

    Raises:
        FileError: It is no such file.
    """
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_text("utf-8"))
        return dict(_entry(name, kept) for name, kept in found.items())
    except (OSError, ValueError, AttributeError, LookupError, TypeError) as error:
        raise FileError(f"{file} holds no keys: {error}", "mlfolio key add NAME") from None


def _entry(name: str, kept: Any) -> tuple[str, Caller]:
    """Hash and holder of a key, as the file has them.

    Raises:
        ValueError: A tenant that is none: such a key must not become one of everybody's.
    """
    if isinstance(kept, str):
        return kept, Caller(name)
    tenant = kept["tenant"]
    if not isinstance(tenant, str) or not NAME.fullmatch(tenant):
        raise ValueError(f"{tenant!r} cannot name a tenant")
    return str(kept["sha256"]), Caller(name, tenant)


def all_keys(file: Path) -> dict[str, Caller]:
    """Hash -> holder of every key of the file and the environment.

    Raises:
        UserError: The environment's are not `name:sha256` or `name:sha256:tenant`.
    """
    keys = read(file)
    for part in filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))):
        name, _, rest = part.partition(":")
        digest, colon, tenant = rest.partition(":")
        if len(digest) != 64 or set(digest.lower()) - set("0123456789abcdef"):
            raise UserError(
                f"{VARIABLE} holds something that is not name:sha256",
                "hash a key: printf %s KEY | sha256sum",
            )
        if colon:
            _require_name(tenant, "a tenant")
        keys[digest.lower()] = Caller(name[:64], tenant or None)
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

    def __call__(self) -> Mapping[str, Caller]:
        """Hash -> holder of every valid key; those of before while the file cannot be read."""
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


def holder(headers: Mapping[bytes, bytes], keys: Mapping[str, Caller]) -> Caller | None:
    """The holder of the key that a request carries; None if it carries no valid one.

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


def _names(keys: Mapping[str, Caller]) -> list[str]:
    return [one.name for one in keys.values()]


def _require_name(name: str, what: str) -> None:
    if not NAME.fullmatch(name):
        raise UserError(f"{name[:80]!r} cannot name {what}", "up to 64 letters, digits, - and _")


def _alike(one: str, other: str) -> bool:
    """Whether people, or some file systems, take two names for one."""
    plain = [unicodedata.normalize("NFKC", name).casefold() for name in (one, other)]
    return plain[0] == plain[1]


def _write(file: Path, hashes: Mapping[str, Caller]) -> None:
    kept = {
        one.name: {"sha256": digest, "tenant": one.tenant} if one.tenant else digest
        for digest, one in hashes.items()
    }
    write_json(file, kept)
    file.chmod(0o600)
