"""Text of labels: what two of them share although they are written differently, and what the eye does not see.

Three keys, each blinder than the one before: spaces, look-alikes, case. Labels that agree in one were meant to be the
same. Signs are kept in all of them, since `CD4+ T` and `CD4- T` are two types.
"""

import re
import unicodedata

SPACES = re.compile(r"[ \t\r\n\f\v]+")
LETTERS = re.compile(r"[^\W\d_]+")
LONGEST_SHOWN = 60

CYRILLIC = dict(zip("АВЕЅІЈКМНОРСТУХаеѕіјорсухԁһ", "ABESIJKMHOPCTYXaesijopcyxdh", strict=True))
GREEK = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοϲ", "ABEZHIKMNOPTYXoc", strict=True))
"""Letters drawn like Latin ones. Greek letters that types are named with (alpha, beta, gamma, delta) are not."""
DASHES = dict.fromkeys("‐‑‒–—―−﹣", "-")
QUOTES = {"‘": "'", "’": "'", "ʼ": "'", "′": "'", "“": '"', "”": '"'}
LOOKALIKES = str.maketrans({**CYRILLIC, **GREEK, **DASHES, **QUOTES, "ı": "i", "ǀ": "|"})


def without_spaces(text: str) -> str:
    """Without spaces, tabs and line ends at either end, and one space for several."""
    return SPACES.sub(" ", text).strip(" ")


def as_seen(text: str) -> str:
    """The text as the eye takes it: NFKC, nothing invisible, Latin letters in place of their doubles."""
    if text.isascii():
        return without_spaces(text)
    visible = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    plain = unicodedata.normalize("NFKC", visible.translate(LOOKALIKES))
    return without_spaces("".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in plain))


def as_meant(text: str) -> str:
    """As seen, without regard to case, and with a space for an underscore."""
    return without_spaces(as_seen(text).casefold().replace("_", " "))


def has_hidden(text: str) -> bool:
    """Whether the text holds a character that is not what it looks like: an invisible one, a space of another kind, or
    a Cyrillic or Greek letter that passes for a Latin one among Latin ones.
    """
    if text.isascii():
        return not text.isprintable() and any(not letter.isprintable() and not letter.isspace() for letter in text)
    for letter in text:
        category = unicodedata.category(letter)
        if category == "Cf" or (category == "Zs" and letter != " ") or (category == "Cc" and not letter.isspace()):
            return True
    letters = "".join(LETTERS.findall(text))
    doubles = {letter for letter in letters if letter in CYRILLIC or letter in GREEK}
    if not doubles:
        return False
    names = [unicodedata.name(letter, "") for letter in letters if letter not in doubles]
    # A Russian or Greek word has letters that are no one's double; a Latin one with a double has none.
    scripts = {name.partition(" ")[0] for name in names}
    return "LATIN" in scripts and not ({"CYRILLIC"} & scripts and doubles & CYRILLIC.keys())


def shown(text: str) -> str:
    """In quotes, with all that is not plain ASCII written out, and cut where it is long."""
    cut = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."
    return ascii(cut)


def brief(text: str) -> str:
    """For a list in a message: as it is where it can be printed, cut where it is long."""
    cut = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."
    return cut if cut.isprintable() else ascii(cut)
