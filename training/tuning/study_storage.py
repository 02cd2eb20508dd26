"""Where a search for settings is kept, and which searches may share one study."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from cellmark.schemas.errors import ParameterError, SetupError
from cellmark.schemas.tracking.tracking_uri import public_uri

from ..network.fit import FitSettings
from ..network.fit_settings import FitData
from .tune_settings import TuneSettings

FACTS = "cellmark"
"""The study's attribute that says what its trials depend on."""
HEARTBEAT_SECONDS = 10
GRACE_SECONDS = 60
"""After so long without a sign a trial of another machine counts as lost."""
WAIT_SECONDS = 60
"""How long a writer waits for others in a SQLite file; seconds to connect to a server are fewer."""


def storage_url(study: str) -> str:
    """The URL of an Optuna storage: `study` itself, or that of the SQLite file which it names."""
    scheme, separator, rest = study.partition("://")
    if not separator:
        return f"sqlite:///{Path(study).absolute()}"
    if scheme in ("postgres", "postgresql") and find_spec("psycopg"):
        return f"postgresql+psycopg://{rest}"  # SQLAlchemy would look for psycopg2
    return study


def study_facts(data: FitData, *, base: FitSettings, settings: TuneSettings, seed: int) -> dict[str, str]:
    """All that a trial's value depends on but the values drawn for it; a study is shared by searches alike in these."""
    digest, x = hashlib.sha256(), data.x
    index = x.indptr.astype(np.int64), x.indices.astype(np.int64)
    for array in (*index, x.data, data.codes, data.train, data.validation):
        digest.update(np.ascontiguousarray(array).data)
    rules = ("metric", "max_epochs", "pruner", "prune_after", "patience", "plain", "base_first")
    return {
        "data": digest.hexdigest()[:16],
        "space": json.dumps(asdict(settings.space)),
        "fit": json.dumps(asdict(base)),
        "rules": json.dumps({name: getattr(settings, name) for name in rules}),
        "seed": str(seed),
    }


def default_study_name(name: str, facts: dict[str, str]) -> str:
    """A model's name and a digest of the facts: other data or another space make another study of the same storage."""
    return f"{name}-{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:10]}"


def open_study(settings: TuneSettings, *, name: str, facts: dict[str, str]) -> optuna.Study:
    """The study, made if it is not there yet. `name`: of the model.

    Raises `ParameterError` (`STUDY_MISMATCH`) when a study of the name given is about something else, `SetupError`
    (`STUDY_UNREACHABLE`) when its storage cannot be used.
    """
    pruner = optuna.pruners.MedianPruner(n_warmup_steps=settings.prune_after)
    study = optuna.create_study(
        storage=settings.study and _open_storage(storage_url(settings.study)),
        study_name=settings.study and (settings.study_name or default_study_name(name, facts)),
        direction="maximize",
        pruner=optuna.pruners.NopPruner() if settings.pruner == "none" else pruner,
        load_if_exists=True,
    )
    known = study.user_attrs.get(FACTS)
    if known is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(FACTS, facts)
    elif known != facts:
        other = [key for key in facts if (known or {}).get(key) != facts[key]]
        raise ParameterError.of(
            "STUDY_MISMATCH",
            where="study_name",
            expected=f"a study of the same {', '.join(other)}",
            found=repr(study.study_name),
            remedy="Give another --study-name, or omit it: the default name covers everything that trials depend on.",
        )
    return study


@contextmanager
def study_errors(study: str | None) -> Iterator[None]:
    """What Optuna and its database raise, as ours. `study`: as in `TuneSettings`."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise _unreachable(study, error.__cause__ or error) from error


def _open_storage(url: str) -> optuna.storages.RDBStorage:
    """Tables are made in an empty database; when several processes do so at once, all but one are refused at first."""
    arguments: dict[str, object] = {"pool_pre_ping": True}
    if url.startswith("sqlite"):
        arguments = {"connect_args": {"timeout": WAIT_SECONDS}}
    elif url.startswith("postgresql"):
        arguments["connect_args"] = {"connect_timeout": 10}
    for attempt in range(5):
        try:
            return optuna.storages.RDBStorage(
                url, engine_kwargs=arguments, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=GRACE_SECONDS
            )
        except (SQLAlchemyError, StorageInternalError) as error:
            at_once = any(word in str(error).lower() for word in ("already exists", "unique"))
            if not at_once or attempt == 4:
                raise
            time.sleep(0.2 * (attempt + 1))
        except ImportError as error:
            raise SetupError.of(
                "EXTRA_MISSING",
                where="study",
                expected="the driver of this database",
                found=_first_line(error, url),
                remedy="Install it; for PostgreSQL: pip install 'cellmark[train,postgres]'.",
            ) from error
        except RuntimeError as error:  # tables of another version of Optuna
            raise _unreachable(url, error) from error
    raise AssertionError("not reached")


def _unreachable(study: str | None, error: BaseException) -> SetupError:
    return SetupError.of(
        "STUDY_UNREACHABLE",
        where=public_uri(study or "memory"),
        expected="a SQLite file or a database that Optuna can use",
        found=_first_line(error, study),
        remedy="Check the path or URL of --study, its folder, your rights there and that the server runs.",
    )


def _first_line(error: BaseException, study: str | None) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    for secret in (study, storage_url(study)) if study else ():
        text = text.replace(secret, public_uri(secret))
    return text
