process CELLTYPES_CELLMARK {
    tag "${meta.id}"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    // The image that cellmark's Dockerfile builds.
    container "${task.ext.container ?: 'cellmark:latest'}"

    input:
    tuple val(meta), path(h5ad), val(symbol_col), val(counts_layer)
    path model

    output:
    tuple val(meta), path("${prefix}.parquet")               , emit: obs
    tuple val(meta), path("${prefix}_annotation_columns.csv"), emit: annotation_columns
    tuple val(meta), path("${prefix}.json")                  , emit: facts
    path "versions.yml"                                      , emit: versions, topic: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: "${meta.id}"
    def args = task.ext.args ?: ''
    def columns = task.ext.columns ?: 'annotation:cellmark:{model}:per_cell'
    def symbols = symbol_col ? "--symbol-column '${symbol_col}'" : ''
    def layer = counts_layer && counts_layer != 'X' ? "--layer '${counts_layer}'" : ''
    """
    export OMP_NUM_THREADS=${task.cpus}
    export XDG_CACHE_HOME="\$PWD/.cache"

    cellmark annotate "${h5ad}" \\
        --model "${model}" \\
        --out "${prefix}.parquet" \\
        --columns-prefix '${columns}' \\
        --annotation-columns "${prefix}_annotation_columns.csv" \\
        --versions versions.yml \\
        --versions-key '${task.process}' \\
        ${symbols} ${layer} ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch "${prefix}.parquet" "${prefix}.json" versions.yml
    echo "obs_column,aggregatable" > "${prefix}_annotation_columns.csv"
    """
}
