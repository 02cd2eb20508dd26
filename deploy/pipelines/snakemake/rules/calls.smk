import os
import re

OUTDIR = config["outdir"]


wildcard_constraints:
    sample="|".join(map(re.escape, config["samples"])) or "none",


rule cellmark_annotate:
    input:
        cells=lambda wildcards: config["samples"][wildcards.sample],
        # A bundle's manifest, so that calls are made again when it changes; a URI is no file.
        model=[os.path.join(config["model"], "manifest.json")] if os.path.isdir(config["model"]) else [],
    output:
        calls=f"{OUTDIR}/{{sample}}.parquet",
        facts=f"{OUTDIR}/{{sample}}.json",
        columns=f"{OUTDIR}/{{sample}}_annotation_columns.csv",
        versions=f"{OUTDIR}/{{sample}}_versions.yml",
    log:
        f"{OUTDIR}/logs/{{sample}}.annotate.log",
    params:
        model=lambda wildcards: config["model"],
        # Functions, since {model} in the prefix is for cellmark to fill in.
        prefix=lambda wildcards: ["--columns-prefix", config["columns_prefix"]] if config["columns_prefix"] else [],
        extra=lambda wildcards: config["extra"],
    threads: 2
    resources:
        mem_mb=4000,
    conda:
        "../envs/cellmark.yaml"
    shell:
        "OMP_NUM_THREADS={threads} cellmark annotate {input.cells:q} --model {params.model:q} --out {output.calls:q}"
        " {params.prefix:q} --annotation-columns {output.columns:q} --versions {output.versions:q} --force"
        " {params.extra} > {log:q} 2>&1"


rule cellmark_cas:
    input:
        calls=f"{OUTDIR}/{{sample}}.parquet",
        facts=f"{OUTDIR}/{{sample}}.json",
    output:
        f"{OUTDIR}/{{sample}}.cas.json",
    log:
        f"{OUTDIR}/logs/{{sample}}.cas.log",
    params:
        model=lambda wildcards: config["model"],
        author=lambda wildcards: config["cas"]["author"],
        title=lambda wildcards: config["cas"]["title"] or wildcards.sample,
    conda:
        "../envs/cellmark.yaml"
    shell:
        "cellmark export cas {input.calls:q} --model {params.model:q} --out {output:q} --force"
        " --author {params.author:q} --title {params.title:q} > {log:q} 2>&1"
