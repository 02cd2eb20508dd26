"""What a command takes as one object, the command line gives as one option for each of the object's fields."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

Command = Callable[..., None]


def takes(groups: Mapping[str, tuple[type, Mapping[str, Any]]]) -> Callable[[Command], Command]:
    """For commands whose parameters named in `groups` become options.

    `groups`: by parameter, the object's class and the annotation of each option by field; its default is the field's.
    """

    def decorate(command: Command) -> Command:
        parameters: list[inspect.Parameter] = []
        for name, one in inspect.signature(command).parameters.items():
            kind, options = groups.get(name, (None, {}))
            defaults = {} if kind is None else {entry.name: entry.default for entry in fields(kind)}
            replaced = [one.replace(name=o, annotation=shown, default=defaults[o]) for o, shown in options.items()]
            parameters += replaced or [one]
        used = [name for name in inspect.signature(command).parameters if name in groups]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            for name in used:
                kind, options = groups[name]
                given[name] = kind(**{field: given.pop(field) for field in options if field in given})
            command(**given)

        return signed(run, parameters)

    return decorate


def signed(command: Command, parameters: Sequence[inspect.Parameter]) -> Command:
    """`command`, which takes keywords, with the parameters that its command line shows."""
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command
