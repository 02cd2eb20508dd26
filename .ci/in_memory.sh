#!/usr/bin/env bash
# in_memory.sh COMMAND...: run it with temporary files in memory where there is room for them, else as it is.
# On a disk each commit of a database, and each file of a batch job, waits for the disk: 4 to 20 ms, thousands of times.
set -euo pipefail
WANTED_KB=$((10 * 1024 * 1024)) # the suite writes about 2 GiB, and its processes and services take as much each
free_kb() {
    local in_folder in_memory
    in_folder=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
    in_memory=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo 2>/dev/null)
    ((${in_folder:-0} < ${in_memory:-0})) && echo "${in_folder:-0}" || echo "${in_memory:-0}"
}
if [[ -z "${TMPDIR:-}" && -w /dev/shm ]] && (($(free_kb) >= WANTED_KB)); then
    TMPDIR=$(mktemp -d /dev/shm/cellmark-XXXXXX)
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
fi
"$@"
