#!/usr/bin/env bash
# A planned job of cellmark as a SLURM array. Before: cellmark batch plan DATA -m MODEL -o JOB, on a disk of all nodes.
#   sbatch --array=0-15 deploy/batch/slurm_array.sh JOB
# After a failure or the end of the time, the same line goes on; any number of tasks may be asked for then.
#SBATCH --job-name=cellmark
#SBATCH --array=0-15
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail
exec cellmark batch run "$1" --array-task auto --threads "${SLURM_CPUS_PER_TASK:-1}"
