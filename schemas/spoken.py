"""Texts that name options, as each door says them: flags on the command line, keywords in Python.

They are written with the flag first and, where Python needs another word, that in parentheses or behind a comma:
`--layer log (layer='log' in Python)`.
"""

import re

COMMAND = r"`cellmark [^`]*`|cellmark (?:batch|bundle|models|ontology|report|serve) .*$"
FLAG = r"(?<![\w-])--(?P<flag>[a-z][a-z-]*[a-z])"
VALUE = r"(?: (?P<value>'[^']*'|\"[^\"]*\"|[A-Z_]{4,}|[a-z]+(?:_[a-z]+)+|[\d.]*\d|cpu|cuda|full|log1p))?"
BESIDE = re.compile(rf"{FLAG}(?P<value> [^\s(),.;]+)? \((?P<python>[^()]*(?:\(\))?[^()]*)\)")
LISTED = re.compile(
    rf"{FLAG}(?P<value> [A-Z_]+)?(?P<commands> with [a-z, ]+?)?, (?P<python>[a-z_]+=?[A-Za-z_]*) in Python"
    r"(?: and over HTTP|, [a-z_]+ in JSON)?"
)
ALONE = re.compile(rf"(?P<command>{COMMAND})|{FLAG}{VALUE}")
COMMAND_LINE_ONLY = re.compile(r"\s*On the command line [^.]*\.|, or on the command line [^;.]*")
KEYWORD = re.compile(r"[a-z_]+(?==|$)")


def in_python(text: str) -> str:
    """The text with keywords in place of flags; commands that are to be pasted into a shell stay as they are."""
    text = LISTED.sub(r"\g<python>", BESIDE.sub(_python_beside, COMMAND_LINE_ONLY.sub("", text)))
    return ALONE.sub(_keyword, text)


def in_flags(text: str) -> str:
    """The text with flags alone."""
    return LISTED.sub(r"--\g<flag>\g<value>\g<commands>", BESIDE.sub(_flag_beside, text))


def _in_python(found: re.Match[str]) -> str | None:
    """What stands in the parentheses for Python; None where they hold something else."""
    said = re.split(r" in Python|;", found["python"])[0]
    return said if KEYWORD.match(said) or said.endswith("()") else None


def _python_beside(found: re.Match[str]) -> str:
    return _in_python(found) or found[0]


def _flag_beside(found: re.Match[str]) -> str:
    return found[0] if _in_python(found) is None else f"--{found['flag']}{found['value'] or ''}"


def _keyword(found: re.Match[str]) -> str:
    if found["command"] is not None:
        return found["command"]
    name, value = found["flag"].replace("-", "_"), found["value"]
    if value is None or value.isupper():
        return f"{name}="
    return f"{name}={value}" if value[0] in "'\"0123456789." else f"{name}={value!r}"
