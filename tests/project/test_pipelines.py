"""`deploy/pipelines`: the scripts of the modules run, give what they promise, and keep in step with the commands."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
import pytest
import typer
import yaml

from cellmark.schemas.bundle import Bundle
from cellmark.serving.annotator import Annotator
from fixtures.places import ROOT

PIPELINES = ROOT / "deploy" / "pipelines"
MODULE = PIPELINES / "nextflow" / "modules" / "local" / "celltypes" / "cellmark"
RULES = PIPELINES / "snakemake" / "rules" / "calls.smk"
GALAXY = PIPELINES / "galaxy" / "cellmark_annotate.xml"
PAGE = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")
PER_CELL = "annotation:cellmark:tiny:per_cell"
BIN = str(Path(sys.executable).parent)


@pytest.fixture
def place(tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path) -> Path:
    """A folder as a task's: the cells, whose symbols are in a column, and a bundle."""
    folder = tmp_path / "a task"
    folder.mkdir()
    shutil.copytree(tiny_bundle.folder, folder / "pbmc-bundle")
    cells = new_cells.copy()
    cells.var["symbols"] = cells.var_names
    cells.var_names = [f"g{number}" for number in range(cells.n_vars)]
    cells.write_h5ad(folder / "cells.h5ad")
    return folder


def bash(script: str, folder: Path, program: str = "bash") -> str:
    """What a script prints, run as Nextflow runs it."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(
        [program, "-ue", "-o", "pipefail", "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def check_outputs(
    table: Path, columns: Path, versions: Path, *, key: str, new_cells: ad.AnnData, bundle: Bundle
) -> None:
    calls = pd.read_parquet(table)
    expected = Annotator.load(bundle.folder).annotate(new_cells, as_sample=True)
    assert list(calls.index) == list(new_cells.obs_names)
    assert list(calls[PER_CELL]) == list(expected["cellmark_cell_type"])
    assert list(calls[f"{PER_CELL}:confidence"]) == list(expected["cellmark_confidence"])
    with columns.open() as handle:
        assert [row["obs_column"] for row in csv.DictReader(handle)] == list(calls.columns)
    told = yaml.safe_load(versions.read_text())
    assert told[key]["model_digest"] == bundle.digest


# Nextflow


def groovy_block(name: str, **values: Any) -> str:
    """The text that a block of the module's process gives. `values`: of the variables in it. Groovy's own reading of
    it is no more than these substitutions: the block has neither methods nor closures.
    """
    text = (MODULE / "main.nf").read_text()
    (block,) = re.findall(rf'^    {name}:\n.*?"""\n(.*?)    """', text, flags=re.MULTILINE | re.DOTALL)
    filled = re.sub(r"(?<!\\)\$\{([\w.]+)\}", lambda found: str(values[found[1]]), block)
    assert not re.search(r"(?<!\\)\$", filled)
    return filled.replace(r"\$", "$").replace("\\\\", "\\")


def module_values(**more: Any) -> dict[str, Any]:
    (columns,) = re.findall(r"task\.ext\.columns \?: '(.*?)'", (MODULE / "main.nf").read_text())
    given = {"task.cpus": 1, "task.process": "PIPELINE:CELLTYPES_CELLMARK", "columns": columns, "args": ""}
    return given | {"h5ad": "cells.h5ad", "model": "pbmc-bundle", "prefix": "s 1", "layer": "", "symbols": ""} | more


def promised(values: dict[str, Any]) -> set[str]:
    """The files that the process declares as its outputs."""
    text = (MODULE / "main.nf").read_text()
    (outputs,) = re.findall(r"^    output:\n(.*?)^    when:", text, flags=re.MULTILINE | re.DOTALL)
    return {name.replace("${prefix}", values["prefix"]) for name in re.findall(r'path\(?\s*"(.*?)"', outputs)}


def test_the_script_of_the_nextflow_module_gives_what_it_declares(
    place: Path, new_cells: ad.AnnData, tiny_bundle: Bundle
) -> None:
    values = module_values(symbols="--symbol-column 'symbols'")
    bash(groovy_block("script", **values), place)
    assert promised(values) == {path.name for path in place.iterdir()} - {"cells.h5ad", "pbmc-bundle", ".cache"}
    check_outputs(
        place / "s 1.parquet", place / "s 1_annotation_columns.csv", place / "versions.yml",
        key="PIPELINE:CELLTYPES_CELLMARK", new_cells=new_cells, bundle=tiny_bundle,
    )  # fmt: skip


def test_the_stub_of_the_nextflow_module_gives_the_same_files(place: Path) -> None:
    values = module_values()
    bash(groovy_block("stub", **values), place)
    assert promised(values) == {path.name for path in place.iterdir()} - {"cells.h5ad", "pbmc-bundle"}


def test_the_description_of_the_module_names_its_channels() -> None:
    told, text = yaml.safe_load((MODULE / "meta.yml").read_text()), (MODULE / "main.nf").read_text()
    assert set(told["output"]) == set(re.findall(r"emit: (\w+)", text))
    given = [next(iter(entry)) for entry in told["input"][0]]
    assert given == re.findall(r"\((\w+)\)", re.findall(r"input:\n\s+tuple (.*)", text)[0])


# Snakemake


class Quoted(str):
    """A value that Snakemake's `:q` quotes, a list word by word."""

    def __format__(self, how: str) -> str:
        return shlex.quote(self) if how == "q" else str(self)


class Fields:
    def __init__(self, **fields: str) -> None:
        vars(self).update({name: Quoted(value) for name, value in fields.items()})


def shell_of(rule: str) -> str:
    """The shell command of a rule."""
    text = RULES.read_text()
    (block,) = re.findall(rf"^rule {rule}:\n.*?    shell:\n(.*?)(?=^\S|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(re.findall(r'"(.*)"', block))


def test_the_shell_of_the_snakemake_rules_gives_what_they_declare(
    place: Path, new_cells: ad.AnnData, tiny_bundle: Bundle
) -> None:
    annotate = shell_of("cellmark_annotate").replace("{params.prefix:q}", "--columns-prefix {params.prefix:q}")
    bash(
        annotate.format(
            input=Fields(cells="cells.h5ad"),
            output=Fields(calls="one.parquet", columns="one_columns.csv", versions="one.yml"),
            params=Fields(
                model="pbmc-bundle", prefix="annotation:cellmark:{model}:per_cell", extra="--symbol-column symbols"
            ),
            log=Quoted("one.log"),
            threads=1,
        ),
        place,
    )
    check_outputs(
        place / "one.parquet", place / "one_columns.csv", place / "one.yml",
        key="cellmark annotate", new_cells=new_cells, bundle=tiny_bundle,
    )  # fmt: skip
    params = Fields(model="pbmc-bundle", author="Ada Lovelace", title="one")
    cas = shell_of("cellmark_cas")
    bash(
        cas.format(
            input=Fields(calls="one.parquet"), output=Quoted("one.cas.json"), params=params, log=Quoted("cas.log")
        ),
        place,
    )
    assert (place / "one.cas.json").is_file()


def test_the_rules_run_in_snakemake(place: Path, new_cells: ad.AnnData, tiny_bundle: Bundle) -> None:
    snakemake = os.environ.get("CELLMARK_SNAKEMAKE") or shutil.which("snakemake")
    if snakemake is None:
        pytest.skip("snakemake is not installed: CELLMARK_SNAKEMAKE names the program of another environment")
    (config,) = re.findall(r"<!-- test: config -->\n```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (place / "my.yaml").write_text(f"{config}extra: --symbol-column symbols\n")
    (command,) = re.findall(r"^snakemake (.*)$", PAGE, flags=re.MULTILINE)
    snakefile = shlex.quote(str(PIPELINES / "snakemake" / "Snakefile"))
    script = f"{shlex.quote(snakemake)} {command.replace('deploy/pipelines/snakemake/Snakefile', snakefile)}"
    bash(script, place)
    calls = place / "calls"
    assert {path.name for path in calls.iterdir()} == {
        "one.parquet", "one.json", "one_annotation_columns.csv", "one_versions.yml", "one.cas.json", "logs",
    }  # fmt: skip
    check_outputs(
        calls / "one.parquet", calls / "one_annotation_columns.csv", calls / "one_versions.yml",
        key="cellmark annotate", new_cells=new_cells, bundle=tiny_bundle,
    )  # fmt: skip
    before = (calls / "one.parquet").stat().st_mtime_ns
    bash(script, place)
    assert (calls / "one.parquet").stat().st_mtime_ns == before, "nothing changed, so nothing is done"


# all of them


def test_the_commands_of_the_page_run(place: Path, new_file: Path) -> None:
    shutil.copy(new_file, place / "cells.h5ad")
    for name in ("options", "cas"):
        (script,) = re.findall(rf"<!-- test: {name} -->\n```console\n(.*?)```", PAGE, flags=re.DOTALL)
        bash(script, place)
    assert (place / "versions.yml").is_file()
    assert (place / "calls.cas.json").is_file()


def test_every_option_of_the_modules_is_one_of_the_command() -> None:
    from cellmark.serving.commands.annotate import annotate
    from cellmark.serving.commands.export import export

    single = typer.Typer()
    single.command()(annotate)
    known = {option for one in typer.main.get_command(single).params for option in one.opts}
    cas: Any = typer.main.get_command(export)
    of_cas = {option for one in cas.commands["cas"].params for option in one.opts}
    used = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
    command = ET.parse(GALAXY).getroot().find("command")
    assert command is not None
    assert command.text is not None
    galaxy = command.text.replace("--out bundle", "")
    for text in (groovy_block("script", **module_values()), (MODULE / "main.nf").read_text(), galaxy):
        assert set(used.findall(text)) <= known
    assert set(used.findall(shell_of("cellmark_annotate"))) <= known
    assert set(used.findall(shell_of("cellmark_cas"))) <= of_cas


def test_the_modules_name_the_version_of_the_package() -> None:
    pinned = re.findall(r"cellmark\[cpu\]==(\S+)", (MODULE / "environment.yml").read_text())
    token = ET.parse(GALAXY).getroot().find("macros/token[@name='@TOOL_VERSION@']")
    assert token is not None
    assert [*pinned, token.text] == [version("cellmark")] * 2


def test_the_galaxy_tool_hands_on_each_of_its_inputs() -> None:
    root = ET.parse(GALAXY).getroot()
    command = root.findtext("command") or ""
    inputs = [
        (one.get("name") or (one.get("argument") or "").strip("-").replace("-", "_")) for one in root.iter("param")
    ]
    declared = inputs[: len(list(root.find("inputs").iter("param")))]  # type: ignore[union-attr]
    assert declared
    assert [name for name in declared if not re.search(rf"\$(?:\w+\.)?{name}\b", command)] == []
    for output in root.findall("outputs/data"):
        assert f"${output.get('name')}" in command or (output.get("from_work_dir") or "-") in command
