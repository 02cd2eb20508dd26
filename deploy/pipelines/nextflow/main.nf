// Names the cells of one or several AnnData files:
//   nextflow run deploy/pipelines/nextflow --input 'runs/*.h5ad' --model pbmc-bundle --outdir calls

include { CELLTYPES_CELLMARK } from './modules/local/celltypes/cellmark'

workflow {
    cells = channel
        .fromPath(params.input, checkIfExists: true)
        .map { h5ad -> [[id: h5ad.baseName], h5ad, params.symbol_col, params.counts_layer] }

    CELLTYPES_CELLMARK(cells, file(params.model, type: 'dir', checkIfExists: true))
}
