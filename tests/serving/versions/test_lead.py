"""The leader's decisions, with a registry, models and a clock of the test's own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cellmark.schemas.errors import CellmarkError, ModelError, RegistryError
from cellmark.serving.models.find_version import VersionUri
from cellmark.serving.versions.follower import Follower
from cellmark.serving.versions.lead import Registry
from cellmark.serving.versions.loaded_models import LoadedModels
from cellmark.serving.versions.settings import Wish
from cellmark.serving.versions.version_record import ModelRecord, ServedVersion
from cellmark.serving.versions.version_state import VersionState

KEY = "models:/pbmc@champion"
NAME = ("pbmc", None)


def version(number: str) -> ServedVersion:
    return ServedVersion("pbmc", number, f"/bundles/{number}", number.zfill(64))


def error(code: str, kind: type[CellmarkError] = RegistryError) -> CellmarkError:
    return kind.of(code, where="x", expected="x", found="x", remedy="x")


@dataclass
class World:
    """`champion`: the version that the alias names. `problem`: raised when the registry is asked, `bad`: versions that
    fail their self-test.
    """

    champion: str = "1"
    problem: CellmarkError | None = None
    bad: set[str] = field(default_factory=set)
    now: float = 0.0
    fetched: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    kept: dict[str, ServedVersion] = field(default_factory=dict)

    def ask(self, wanted: VersionUri) -> str:
        if self.problem is not None:
            raise self.problem
        return self.champion

    def fetch(self, key: str) -> ServedVersion:
        if self.problem is not None:
            raise self.problem
        self.fetched.append(self.champion)
        return version(self.champion)

    def load(self, wanted: ServedVersion) -> str:
        assert wanted.version is not None
        self.loaded.append(wanted.version)
        if wanted.version in self.bad:
            raise error("GOLDEN_CELLS_MISMATCH", ModelError)
        return f"model {wanted.version}"


@dataclass
class Worker:
    follower: Follower[str]
    models: LoadedModels[str]

    @property
    def serves(self) -> str | None:
        return self.models.get(NAME)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[VersionState]:
    state = VersionState(tmp_path / "state")
    yield state
    state.close()


def worker(
    world: World,
    state: VersionState,
    *,
    initial: str | None = None,
    start: str = "",
    pause: float = 30,
    ask: Callable[[VersionUri], str | None] | None = None,
) -> Worker:
    """One worker; its turns are the test's."""
    models: LoadedModels[str] = LoadedModels(0)
    wish = Wish(KEY, None if initial is None else version(initial))
    registry = Registry(world.fetch, ask or world.ask, world.kept.__setitem__, world.kept.get)
    follower = Follower(
        [wish], state, models, registry, load=world.load, pause=pause, start=start, clock=lambda: world.now
    )
    return Worker(follower, models)


def record(state: VersionState) -> ModelRecord:
    found = state.record(KEY)
    assert found is not None
    return found


def test_what_cellmark_serve_found_is_served_without_asking_the_registry(world: World, state: VersionState) -> None:
    world.problem = error("REGISTRY_UNREACHABLE")
    one = worker(world, state, initial="1", start="s")
    one.follower.turn()
    assert (one.serves, world.fetched, world.loaded) == ("model 1", [], ["1"])


def test_a_move_is_fetched_and_tested_once_and_reaches_both_workers(world: World, state: VersionState) -> None:
    first, second = worker(world, state, initial="1", start="s"), worker(world, state, initial="1", start="s")
    first.follower.turn()
    second.follower.turn()
    assert (first.follower.leads, second.follower.leads) == (True, False)
    world.champion, world.now = "2", 31
    second.follower.turn()
    assert (first.serves, second.serves) == ("model 1", "model 1")
    first.follower.turn()
    assert (first.serves, second.serves) == ("model 2", "model 1")
    second.follower.turn()
    assert (second.serves, world.fetched) == ("model 2", ["2"])
    assert world.loaded == ["1", "1", "2", "2"]  # once in each worker; the test's own model serves in the leader
    assert first.follower.settled()
    assert world.kept == {KEY: version("2")}


def test_the_registry_is_asked_no_more_often_than_set(world: World, state: VersionState) -> None:
    one = worker(world, state, initial="1", start="s")
    one.follower.turn()
    world.champion, world.now = "2", 29
    one.follower.turn()
    assert one.serves == "model 1"


def test_a_version_that_fails_its_test_stays_out_and_is_not_tried_again(world: World, state: VersionState) -> None:
    one = worker(world, state, initial="1", start="s")
    one.follower.turn()
    world.champion, world.bad = "2", {"2"}
    for world.now in (31, 400, 1400):
        one.follower.turn()
    assert (one.serves, world.fetched) == ("model 1", ["2"])
    update = record(state).update
    assert (update.state, update.wanted_version, update.error[0]["code"]) == ("failed", "2", "GOLDEN_CELLS_MISMATCH")
    # Somebody asks: it is tried again.
    number = state.ask("reload", None, now=0)
    one.follower.turn()
    assert state.answer(number)[0]["state"] == "failed"
    assert world.fetched == ["2", "2"]
    world.bad = set()
    number = state.ask("reload", "pbmc", now=0)
    one.follower.turn()
    assert (one.serves, state.answer(number)[0]["after"]["model_version"]) == ("model 2", "2")


def test_a_registry_that_is_away_is_said_and_found_again(world: World, state: VersionState) -> None:
    one = worker(world, state, initial="1", start="s")
    one.follower.turn()
    world.problem, world.now = error("REGISTRY_UNREACHABLE"), 31
    one.follower.turn()
    assert (one.serves, record(state).update.state) == ("model 1", "registry_unreachable")
    world.problem, world.champion, world.now = None, "2", 1000
    one.follower.turn()
    assert (one.serves, record(state).update.state) == ("model 2", "current")


def test_without_the_registry_at_the_start_the_last_good_version_serves(world: World, state: VersionState) -> None:
    world.problem, world.kept = error("REGISTRY_UNREACHABLE"), {KEY: version("7")}
    one = worker(world, state)
    one.follower.turn()
    assert (one.serves, record(state).update.state) == ("model 7", "cached")
    world.problem, world.champion, world.now = None, "8", 1000
    one.follower.turn()
    assert (one.serves, record(state).update.state) == ("model 8", "current")


def test_without_either_nothing_serves_and_it_is_tried_again(world: World, state: VersionState) -> None:
    world.problem = error("REGISTRY_UNREACHABLE")
    one = worker(world, state)
    one.follower.turn()
    assert one.serves is None
    assert [finding.code for finding in one.follower.why_missing(KEY)] == ["REGISTRY_UNREACHABLE"]
    world.problem, world.now = None, 1000
    one.follower.turn()
    assert one.serves == "model 1"


def test_a_version_gone_back_to_stays_until_the_alias_moves(world: World, state: VersionState) -> None:
    one = worker(world, state, initial="1", start="s")
    one.follower.turn()
    world.champion, world.now = "2", 31
    one.follower.turn()
    number = state.ask("rollback", None, now=0)
    one.follower.turn()
    assert (one.serves, state.answer(number)[0]["state"]) == ("model 1", "pinned")
    world.now = 100
    one.follower.turn()
    assert one.serves == "model 1"
    world.champion, world.now = "3", 200
    one.follower.turn()
    assert one.serves == "model 3"


def test_an_alias_that_comes_later_is_followed_then(world: World, state: VersionState) -> None:
    world.problem = error("ALIAS_MISSING")
    one = worker(world, state, pause=0)
    one.follower.turn()
    assert (one.serves, record(state).update.error[0]["code"]) == (None, "ALIAS_MISSING")
    world.problem = None
    state.ask("check", KEY, now=0)
    one.follower.turn()
    assert one.serves == "model 1"


def test_a_store_that_only_mlflow_understands_is_followed_by_fetching(world: World, state: VersionState) -> None:
    one = worker(world, state, initial="1", start="s", ask=lambda wanted: None)
    one.follower.turn()
    world.now = 31
    one.follower.turn()
    assert (one.serves, world.fetched, record(state).update.state) == ("model 1", ["1"], "current")
    world.champion, world.now = "2", 62
    one.follower.turn()
    assert one.serves == "model 2"


def test_going_back_without_a_version_before_is_refused(world: World, state: VersionState) -> None:
    one = worker(world, state, initial="1", start="s")
    one.follower.turn()
    number = state.ask("rollback", None, now=0)
    one.follower.turn()
    answer = state.answer(number)[0]
    assert (answer["state"], answer["error"][0]["code"], one.serves) == ("refused", "NO_EARLIER_VERSION", "model 1")


def test_a_new_leader_goes_on_where_the_other_was(world: World, state: VersionState) -> None:
    first, second = worker(world, state, initial="1", start="s"), worker(world, state, initial="1", start="s")
    first.follower.turn()
    world.champion, world.now = "2", 31
    first.follower.turn()
    lock = first.follower._lock
    assert lock is not None
    lock.close()  # as when its process is killed
    second.follower.turn()
    # What `cellmark serve` found at the start is history.
    assert (second.follower.leads, second.serves) == (True, "model 2")


def test_a_restart_on_a_kept_state_takes_what_it_found_but_spares_a_version_gone_back_to(
    world: World, state: VersionState
) -> None:
    one = worker(world, state, initial="1", start="a")
    one.follower.turn()
    again = worker(world, state, initial="2", start="b")
    assert one.follower._lock is not None
    one.follower._lock.close()
    again.follower.turn()
    assert again.serves == "model 2"
    state.ask("rollback", None, now=0)
    world.champion = "2"
    again.follower.turn()
    assert again.serves == "model 1"
    assert again.follower._lock is not None
    again.follower._lock.close()
    third = worker(world, state, initial="2", start="c")
    third.follower.turn()
    assert third.serves == "model 1"


def test_polling_can_be_switched_off(world: World, state: VersionState) -> None:
    one = worker(world, state, initial="1", start="s", pause=0)
    one.follower.turn()
    world.champion, world.now = "2", 10_000
    one.follower.turn()
    assert one.serves == "model 1"
    state.ask("check", KEY, now=0)
    one.follower.turn()
    assert one.serves == "model 2"


def test_a_worker_that_cannot_load_keeps_its_version_says_so_and_tries_again(world: World, state: VersionState) -> None:
    first, second = worker(world, state, initial="1", start="s"), worker(world, state, initial="1", start="s")
    first.follower.turn()
    second.follower.turn()
    world.champion, world.now = "2", 31
    first.follower.turn()
    world.bad = {"2"}
    second.follower.turn()
    assert (first.serves, second.serves) == ("model 2", "model 1")
    world.bad, world.now = set(), 100
    second.follower.turn()
    assert second.serves == "model 2"
