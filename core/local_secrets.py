"""Secrets of a local installation: made once, kept below the data folder, readable by its owner."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.fernet import Fernet


@dataclass(frozen=True, slots=True)
class LocalSecrets:
    secret_key: str  # Django's: signs sessions
    encryption_key: str  # Fernet's: encrypts provider credentials


def load(data_dir: Path) -> LocalSecrets:
    """Return this installation's secrets, making them the first time."""
    path = data_dir / "secrets.json"
    if not path.exists():
        _create(path)
    return LocalSecrets(**json.loads(path.read_text()))


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    secrets = LocalSecrets(secret_key=os.urandom(40).hex(), encryption_key=_fernet_key())
    draft = path.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(secrets)))
    try:
        os.link(draft, path)  # the first of two processes wins, and its file is whole
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _fernet_key() -> str:
    return Fernet.generate_key().decode()
