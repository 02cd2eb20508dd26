"""Every stable code with its HTTP status and meaning; `docs/errors.md` explains each (a test compares the two)."""

from typing import NamedTuple


class CodeMeaning(NamedTuple):
    """`status`: the HTTP status of an answer refused with this code. `meaning`: one line for the index of codes."""

    status: int
    meaning: str


CODES: dict[str, CodeMeaning] = {
    # files
    "FILE_NOT_FOUND": CodeMeaning(404, "the input does not exist"),
    "FILE_UNREADABLE": CodeMeaning(422, "the input is incomplete, damaged, or not in the format that its name says"),
    "FILE_FORMAT_UNKNOWN": CodeMeaning(415, "cellmark cannot read files with this extension"),
    "INPUT_TOO_LARGE": CodeMeaning(413, "more cells, genes, values or unpacked bytes than the limits allow"),
    "NOT_ANNDATA": CodeMeaning(422, "an object, or an HDF5 or zarr store, that is not an AnnData"),
    "LAYER_UNKNOWN": CodeMeaning(422, "the layer asked for is not in the file"),
    "TABLE_TRANSPOSED": CodeMeaning(422, "a table that looks like genes x cells"),
    "TABLE_INVALID": CodeMeaning(422, "a table with cells that are not numbers, or rows of unequal length"),
    "TABLE_COLUMNS_IGNORED": CodeMeaning(422, "columns that describe genes or cells were not read as counts (a note)"),
    "TABLE_LONG": CodeMeaning(422, "a table of one row for each gene and cell was read as a matrix (a note)"),
    # cells
    "NO_CELLS": CodeMeaning(422, "the input has no cells"),
    "NO_GENES": CodeMeaning(422, "the input has no genes"),
    "MATRIX_INVALID": CodeMeaning(422, "matrix, cell ids and gene names do not fit together"),
    "MATRIX_TURNED": CodeMeaning(422, "a matrix file has cells as rows, and was read that way (a note)"),
    "MATRIX_TRANSPOSED": CodeMeaning(422, "the matrix is transposed: genes as rows, cells as columns"),
    "ENTRIES_DUPLICATED": CodeMeaning(422, "values of a sparse matrix that are stored in several parts (a warning)"),
    "CELL_ID_DUPLICATE": CodeMeaning(422, "two cells have the same id"),
    "CELL_EMPTY": CodeMeaning(422, "a cell has no counts at all"),
    "CELL_ONE": CodeMeaning(422, "the input is a single cell (a note)"),
    "CELLS_MITOCHONDRIAL": CodeMeaning(422, "many cells whose counts come mostly from mitochondria (a warning)"),
    "CELLS_LIKE_DOUBLETS": CodeMeaning(422, "cells with far more counts than the others (a note)"),
    "COUNTS_NEGATIVE": CodeMeaning(422, "negative values where counts are expected"),
    "COUNTS_NAN": CodeMeaning(422, "missing values where counts are expected"),
    "COUNTS_INFINITE": CodeMeaning(422, "infinite values where counts are expected"),
    "COUNTS_NOT_WHOLE": CodeMeaning(422, "values that are not whole numbers: normalised or scaled input"),
    "COUNTS_TOO_LARGE": CodeMeaning(422, "counts beyond float32's whole numbers"),
    "COUNTS_NOT_RAW": CodeMeaning(422, "whole numbers that are not counts: binary, rounded or multiplied"),
    "COUNTS_ONE_DEPTH": CodeMeaning(422, "counts that were corrected to one sequencing depth (a warning)"),
    "COUNTS_NORMALISED": CodeMeaning(422, "ln(1 + counts per 10,000), used as it is (a note or a warning)"),
    "COUNTS_NOT_NORMALISED": CodeMeaning(
        422, "values that are not ln(1 + counts per 10,000), or a cell that is not where others are"
    ),
    "COUNTS_RECOVERED": CodeMeaning(422, "counts were recovered from transformed values, as asked (a note)"),
    "COUNTS_NOT_RECOVERABLE": CodeMeaning(422, "raw counts cannot be recovered from these values"),
    "LIBRARY_SIZE_NEEDED": CodeMeaning(422, "too few genes to sum a library size over"),
    "LIBRARY_SIZE_INVALID": CodeMeaning(
        422, "a library size that is not positive, not finite or below the counts' sum"
    ),
    "LIBRARY_SIZE_UNUSUAL": CodeMeaning(422, "library sizes far from those of the training cells (a warning)"),
    "LIBRARY_SIZE_DOUBTFUL": CodeMeaning(422, "library sizes that do not fit the counts (a warning)"),
    "LIBRARY_SIZE_COLUMN_UNKNOWN": CodeMeaning(422, "the obs column of library sizes does not exist"),
    # genes
    "NO_GENES_SHARED": CodeMeaning(422, "the input shares no gene with the model"),
    "TOO_FEW_GENES": CodeMeaning(422, "too few of the model's genes were measured"),
    "GENES_INSUFFICIENT": CodeMeaning(422, "the genes measured carry too little of the model's evidence"),
    "GENES_THIN_FOR_TYPES": CodeMeaning(
        422, "the genes measured carry little evidence for some cell types (a warning)"
    ),
    "GENE_UNKNOWN_KEY": CodeMeaning(422, "a cell counts a gene that the request's list of genes does not name"),
    "ORGANISM_MISMATCH": CodeMeaning(422, "genes of another organism than the model's, or of several"),
    "CROSS_SPECIES": CodeMeaning(422, "cells of another organism, whose genes were named by orthologs (a warning)"),
    "GENES_MAPPED": CodeMeaning(422, "genes under other names than the model's were mapped (a note)"),
    "GENES_AMBIGUOUS": CodeMeaning(422, "ambiguous gene names were ignored (a warning)"),
    "GENE_COLUMN_TAKEN": CodeMeaning(422, "genes were found by a column of var (a note)"),
    "GENE_COLUMN_UNKNOWN": CodeMeaning(422, "the var column of gene symbols does not exist"),
    "GENES_DUPLICATED": CodeMeaning(422, "gene names occur more than once; their counts are summed (a note)"),
    "GENE_LIST_UNMATCHED": CodeMeaning(422, "a gene list names genes that the data lack (a note)"),
    "GENES_EMPTY": CodeMeaning(422, "more than half of the genes have no count in any cell (a note)"),
    "GENES_SUBSET": CodeMeaning(422, "the file has only variable genes and no library sizes (a warning)"),
    "FEATURES_NOT_GENES": CodeMeaning(422, "no feature of the input is gene expression"),
    "FEATURES_DROPPED": CodeMeaning(422, "features that are no genes were left out (a note)"),
    "FEATURES_KEPT": CodeMeaning(422, "features that are no genes were counted, as in the model's training (a note)"),
    "FEATURE_TYPES_UNKNOWN": CodeMeaning(422, "types of features in unknown words alone"),
    "COUNTS_UNKNOWN_NAMES": CodeMeaning(
        422, "counts in names that no gene table has: an error, a warning or a note by their share"
    ),
    "SAMPLE_SHIFTED": CodeMeaning(422, "all types of a sample are more novel, as training saw it (a note)"),
    "SAMPLE_BEYOND_TRAINING": CodeMeaning(422, "all types of a sample are more novel than training saw (a warning)"),
    "SAMPLE_IN_PIECES": CodeMeaning(422, "a sample went to a service in pieces and was not judged as one (a warning)"),
    "QUALITY_UNEXPECTED": CodeMeaning(422, "a quality measure unlike the training data's (a warning)"),
    # training data
    "LABEL_COLUMN_UNKNOWN": CodeMeaning(422, "the obs column of labels does not exist"),
    "LABEL_MISSING": CodeMeaning(422, "cells without a label"),
    "LABEL_ONE_CLASS": CodeMeaning(422, "fewer than two cell types are left"),
    "LABEL_SPACES": CodeMeaning(422, "labels with stray spaces: an error where a type is there twice, else a warning"),
    "LABEL_LOOKALIKES": CodeMeaning(
        422, "labels with characters that look like others: an error where a type is there twice, else a warning"
    ),
    "LABEL_CASE_TWINS": CodeMeaning(422, "labels that differ in case or underscores alone"),
    "LABEL_PLACEHOLDER": CodeMeaning(
        422, "labels that name no type: an error where they stand for a missing label, else a warning"
    ),
    "LABELS_NOT_SHARED": CodeMeaning(
        422, "labels of an independent file that the model does not have: an error if it has none, else a warning"
    ),
    "LABEL_RESERVED": CodeMeaning(422, "a label that cellmark uses itself, such as unassigned"),
    "CELL_TYPES_DROPPED": CodeMeaning(422, "cell types with too few cells were removed (a note)"),
    "DONOR_COLUMN_UNKNOWN": CodeMeaning(422, "the obs column of donors does not exist"),
    "DONOR_MISSING": CodeMeaning(422, "cells without a donor"),
    "DONOR_ONE": CodeMeaning(422, "only one donor, so none can be held out"),
    "DONOR_DOUBTFUL": CodeMeaning(
        422,
        "a column that does not look like donors: one per cell or type (errors), few cells or similar names (warnings)",
    ),
    "LEVELS_INVALID": CodeMeaning(
        422, "coarser names that do not group the types: several for one type, or groups that do not nest"
    ),
    "ONTOLOGY_INCOMPLETE": CodeMeaning(422, "types without an ontology term, or terms for other labels (a note)"),
    "TYPE_ONE_DONOR": CodeMeaning(422, "a cell type found in only one donor (a warning)"),
    "HOLD_OUT_UNKNOWN": CodeMeaning(422, "a donor to hold out is not in the data"),
    "SPLIT_IMPOSSIBLE": CodeMeaning(422, "too few cells or donors for training, validation and test"),
    "PANEL_EMPTY": CodeMeaning(422, "no gene passes the filter of the panel"),
    "TUNING_UNFINISHED": CodeMeaning(422, "the search for settings ended before all its trials (a warning)"),
    "STUDY_MISMATCH": CodeMeaning(409, "a study of this name exists for other data or other search settings"),
    # a reference to publish
    "SCHEMA_FIELD_MISSING": CodeMeaning(422, "obs, var or uns lack fields that CELLxGENE's schema requires"),
    "SCHEMA_VALUE_INVALID": CodeMeaning(422, "a field with values that the schema does not allow"),
    "SCHEMA_GENE_IDS": CodeMeaning(422, "genes that are not named by Ensembl ids, each once"),
    "SCHEMA_EMBEDDING_INVALID": CodeMeaning(422, "no embedding of the cells, or one that cannot be shown"),
    "SCHEMA_MATRIX_STORAGE": CodeMeaning(422, "counts are not stored as the schema requires"),
    "CELLS_IDENTICAL": CodeMeaning(422, "cells with exactly the counts of another"),
    # models
    "MODEL_UNKNOWN": CodeMeaning(404, "no such bundle, registered model or version"),
    "ALIAS_MISSING": CodeMeaning(404, "the registered model has no such alias"),
    "REGISTRY_UNREACHABLE": CodeMeaning(503, "the MLflow tracking server or database does not answer"),
    "REGISTRY_REFUSED": CodeMeaning(502, "the MLflow tracking server or database answered with an error"),
    "MODEL_NOT_REGISTERED": CodeMeaning(502, "a trained model that MLflow did not register; its bundle is kept"),
    "TRACKING_LOST": CodeMeaning(503, "MLflow takes nothing more of a training, which goes on (a warning)"),
    "ALIAS_RESTORED": CodeMeaning(409, "a registered model got the champion that it never had (a warning)"),
    "RUN_UNKNOWN": CodeMeaning(404, "no such MLflow run, or one that has ended"),
    "BUNDLE_FORMAT_UNKNOWN": CodeMeaning(409, "a bundle of a format version that this cellmark does not know"),
    "BUNDLE_MANIFEST_INVALID": CodeMeaning(409, "the manifest is missing, damaged or not canonical"),
    "BUNDLE_DIGEST_MISMATCH": CodeMeaning(409, "a file of the bundle is not the one that the manifest describes"),
    "BUNDLE_FILE_MISSING": CodeMeaning(409, "a file that the manifest lists, or format 1 requires, is not there"),
    "BUNDLE_FILE_UNLISTED": CodeMeaning(409, "a file that the manifest does not list lies in the bundle"),
    "BUNDLE_PATH_UNSAFE": CodeMeaning(409, "a path or link that leads out of the bundle"),
    "BUNDLE_CONTENT_INVALID": CodeMeaning(409, "files of a bundle that do not fit together"),
    "GOLDEN_CELLS_MISMATCH": CodeMeaning(
        503, "the model's self-test gave different numbers or type names than at export"
    ),
    "NO_EARLIER_VERSION": CodeMeaning(409, "this server has served no version before the current one"),
    "MODEL_MEMORY_FULL": CodeMeaning(503, "no memory is left for another version of a model"),
    "PARITY_FAILED": CodeMeaning(500, "an exported graph does not answer as the trained network does"),
    "CELL_TYPE_UNKNOWN": CodeMeaning(422, "the model has no such cell type"),
    "GENE_UNKNOWN": CodeMeaning(422, "the model reads no such gene"),
    "EXPLANATIONS_MISSING": CodeMeaning(404, "the job was planned without explanations"),
    "PROFILE_MISSING": CodeMeaning(404, "the bundle has no reference profile of held-out cells"),
    "CALLS_OF_ANOTHER_MODEL": CodeMeaning(
        422, "calls that another model, another version of it, or its other annotator made"
    ),
    "NOVELTY_MISSING": CodeMeaning(422, "the model has no novelty threshold, so it leaves no cell unassigned"),
    "NOVEL_CELLS_NONE": CodeMeaning(422, "no cell is left unassigned (a note)"),
    "NOVEL_CELLS_FEW": CodeMeaning(422, "too few unassigned cells for a population (a note)"),
    "CALLED_CELLS_FEW": CodeMeaning(422, "types with too few called cells to compare new populations with (a note)"),
    "REPORT_MISSING": CodeMeaning(404, "the bundle has no report"),
    # the machine
    "DEVICE_UNAVAILABLE": CodeMeaning(503, "the device asked for cannot be used"),
    "STUDY_UNREACHABLE": CodeMeaning(503, "the file or database of a study cannot be used"),
    "RUNTIME_MISSING": CodeMeaning(503, "no onnxruntime is installed"),
    "RUNTIME_CONFLICT": CodeMeaning(503, "onnxruntime and onnxruntime-gpu are both installed"),
    "CONFIG_INVALID": CodeMeaning(503, "the user's file of settings cannot be used"),
    "EXTRA_MISSING": CodeMeaning(503, "the command needs an extra that is not installed"),
    "REMOTE_FORBIDDEN": CodeMeaning(403, "the storage of an input by URL does not let this user read it"),
    "REMOTE_UNREACHABLE": CodeMeaning(503, "the storage of an input by URL does not answer, or with an error"),
    "REMOTE_INCOMPLETE": CodeMeaning(502, "an input by URL did not arrive whole"),
    "CLUSTER_UNUSABLE": CodeMeaning(503, "a Dask cluster that does not answer, or whose workers cannot do the work"),
    "SCRATCH_FULL": CodeMeaning(507, "no room on the disk for a temporary copy of an input"),
    "OUTPUT_EXISTS": CodeMeaning(409, "the output already exists"),
    "OUTPUT_FORMAT_UNKNOWN": CodeMeaning(422, "cellmark cannot write files with this extension"),
    "OUTPUT_UNWRITABLE": CodeMeaning(500, "the output cannot be written"),
    "SERVICE_FAILED": CodeMeaning(503, "the service did not start or stopped answering"),
    "SERVICE_UNREACHABLE": CodeMeaning(503, "the service does not answer, or what answers is no cellmark service"),
    "PARAMETER_INVALID": CodeMeaning(422, "a parameter outside its range"),
    # what was done and answered
    "AUDIT_UNAVAILABLE": CodeMeaning(503, "the audit log cannot be written, so nothing is answered"),
    "AUDIT_CHAIN_BROKEN": CodeMeaning(409, "a row of the audit log was changed, removed or inserted"),
    "RECEIPT_INVALID": CodeMeaning(422, "not a receipt, or an answer without one"),
    "RECEIPT_OTHER_INPUT": CodeMeaning(409, "the receipt is of another input"),
    "ANSWER_NOT_REPRODUCED": CodeMeaning(409, "the same input got another answer"),
    # jobs
    "JOB_FOLDER_INVALID": CodeMeaning(422, "a folder that holds no job of this release, or a damaged one"),
    "JOB_DIFFERENT": CodeMeaning(409, "an unfinished job of another call lies in the output folder"),
    "INPUT_CHANGED": CodeMeaning(409, "an input is not the one that the job was planned for"),
    "JOB_UNKNOWN": CodeMeaning(404, "no such job, or one of another key"),
    "JOB_UNFINISHED": CodeMeaning(409, "the job has no result yet"),
    "JOB_CANCELLED": CodeMeaning(410, "the job was cancelled"),
    "JOB_FAILED": CodeMeaning(500, "the job ended by an internal error of cellmark"),
    "IDEMPOTENCY_CONFLICT": CodeMeaning(409, "the same Idempotency-Key with another input or other options"),
    # requests
    "REQUEST_INVALID": CodeMeaning(400, "the body is not of the documented form"),
    "REQUEST_TOO_LARGE": CodeMeaning(413, "the body is larger than the service takes"),
    "ROUTE_UNKNOWN": CodeMeaning(404, "no such route"),
    "METHOD_NOT_ALLOWED": CodeMeaning(405, "the route does not take this method"),
    "MEDIA_TYPE_UNSUPPORTED": CodeMeaning(415, "the route does not accept this Content-Type"),
    "NOT_ACCEPTABLE": CodeMeaning(406, "the header Accept names no form that the route answers in"),
    "READER_KILLED": CodeMeaning(
        503, "the process that reads the file was ended from outside; the file is not to blame"
    ),
    "SERVICE_BUSY": CodeMeaning(503, "the service has no room for the request at the moment"),
    "SERVICE_STOPPING": CodeMeaning(503, "the service is being stopped"),
    "RATE_EXCEEDED": CodeMeaning(429, "more requests with one key than its rate allows"),
    "DEADLINE_EXCEEDED": CodeMeaning(504, "the request took longer than it may, and its work was stopped"),
    "REQUEST_TIMEOUT": CodeMeaning(408, "the request's headers or body arrived too slowly"),
    "CLIENT_GONE": CodeMeaning(499, "the client closed the connection, so the work for it was stopped"),
    "DISK_FULL": CodeMeaning(507, "there is no room for the body on the disk of temporary files"),
    "HOST_NOT_ALLOWED": CodeMeaning(421, "the header Host names none of the names that the service is reached by"),
    "WEBHOOK_UNSIGNED": CodeMeaning(403, "a message about the registry that is not signed as it must be"),
    "SERVICE_NOT_READY": CodeMeaning(503, "the model has not passed its self-test yet"),
    # keys and tokens
    "KEY_MISSING": CodeMeaning(401, "the route needs a key or token, and the request has none"),
    "KEY_INVALID": CodeMeaning(401, "a key that the service does not know"),
    "KEY_EXPIRED": CodeMeaning(401, "a key whose time is over"),
    "KEY_REVOKED": CodeMeaning(401, "a key that was revoked"),
    "TOKEN_INVALID": CodeMeaning(401, "a token that its issuer did not sign for this service, or not for this time"),
    "TOKEN_EXPIRED": CodeMeaning(401, "a token whose time is over"),
    "SCOPE_MISSING": CodeMeaning(403, "the key or token does not allow this route"),
    "TOKEN_KEYS_UNREACHABLE": CodeMeaning(503, "the issuer's key set, which tokens are checked with, cannot be had"),
    "KEY_FILE_INVALID": CodeMeaning(503, "the file of API keys cannot be read"),
    "KEYS_NEEDED": CodeMeaning(503, "a service without keys that others than this machine can reach"),
    "KEY_UNKNOWN": CodeMeaning(404, "the file of API keys has no key with this id"),
    "INTERNAL_ERROR": CodeMeaning(500, "an internal error of cellmark"),
}
