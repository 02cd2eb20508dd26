import gc
import threading
import weakref

import pytest

from cellmark.schemas.errors import RequestError
from cellmark.serving.versions.loaded_models import LoadedModels


class Model:
    """Stands for a loaded model."""


def test_a_request_keeps_the_model_that_it_began_with() -> None:
    freed: list[str] = []
    models: LoadedModels[Model] = LoadedModels(100, lambda: freed.append("freed"))
    old, new = Model(), Model()
    models.put(("pbmc", None), old)
    with models.lease(("pbmc", None)) as first:
        models.put(("pbmc", None), new)
        with models.lease(("pbmc", None)) as second:
            assert (first, second) == (old, new)
        assert models.n_leaving == 1
        assert not freed
    assert (models.n_leaving, freed) == (0, ["freed"])


def test_a_model_that_no_request_holds_is_freed() -> None:
    models: LoadedModels[Model] = LoadedModels(100)
    models.put(("pbmc", None), Model())
    gone = weakref.ref(models.get(("pbmc", None)))  # type: ignore[arg-type]
    models.put(("pbmc", None), Model())
    gc.collect()
    assert gone() is None


def test_the_version_used_longest_ago_makes_room() -> None:
    models: LoadedModels[Model] = LoadedModels(100)
    for version in ("1", "2"):
        models.put(("pbmc", version), Model(), 40, kept=False)
    with models.lease(("pbmc", "1")):
        pass
    models.put(("pbmc", "3"), Model(), 40, kept=False)
    assert models.versions("pbmc") == ["1", "3"]


def test_a_version_in_use_is_not_dropped_and_the_new_one_is_refused() -> None:
    models: LoadedModels[Model] = LoadedModels(100)
    models.put(("pbmc", "1"), Model(), 60, kept=False)
    with models.lease(("pbmc", "1")):
        for refuse in (lambda: models.check_room(60), lambda: models.put(("pbmc", "2"), Model(), 60, kept=False)):
            with pytest.raises(RequestError) as caught:
                refuse()
            assert caught.value.code == "MODEL_MEMORY_FULL"
            assert caught.value.headers == {"Retry-After": "5"}
    models.put(("pbmc", "2"), Model(), 60, kept=False)
    assert models.versions("pbmc") == ["2"]


def test_served_models_take_nothing_from_the_cap() -> None:
    models: LoadedModels[Model] = LoadedModels(10)
    models.put(("pbmc", None), Model(), 1000)
    models.put(("pbmc", "1"), Model(), 10, kept=False)
    with pytest.raises(RequestError):
        models.put(("pbmc", "2"), Model(), 11, kept=False)
    assert models.versions("pbmc") == ["1"]


def test_swaps_under_load_lose_no_lease() -> None:
    models: LoadedModels[Model] = LoadedModels(10)
    models.put(("pbmc", None), Model())
    ended = threading.Event()
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            while not ended.is_set():
                with models.lease(("pbmc", None)) as model:
                    assert isinstance(model, Model)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(500):
        models.put(("pbmc", None), Model())
    ended.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert models.n_leaving == 0
