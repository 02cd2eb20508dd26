"""The picture in docs/tasks.md, from a real run of the demo: `python docs/images/make_demo_picture.py`."""

import contextlib
import io
import re
import tempfile
from pathlib import Path

from rich.console import Console

from cellmark.training.commands.run_demo import run_demo

PICTURE = Path(__file__).resolve().with_name("demo.svg")


def main() -> None:
    console = Console(record=True, width=116, file=io.StringIO(), highlight=False)
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        run_demo(Path("cellmark-demo"), console=console)
    svg = console.export_svg(title="make demo", unique_id="demo")
    # No fonts from the network: a viewer without the named one takes its own monospace.
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
