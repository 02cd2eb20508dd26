"""The statuses with which `cellmark` ends; `docs/cli.md` has the same table (a test compares the two)."""

DONE = 0
REFUSED = 1
MISUSED = 2
DRIFTED = 3
INTERRUPTED = 130
TERMINATED = 143

MEANINGS = {
    DONE: "done; also where nothing new was found, and whatever `drift` says without `--fail-on`",
    REFUSED: "refused or failed, with a code on standard error; also where some inputs of a batch were refused, "
    "`validate` found an error, or a receipt or a job does not verify",
    MISUSED: "a command line that is not understood: no such command, option or kind of value",
    DRIFTED: "`drift --fail-on`: the verdict, or a worse one, or nothing could be judged",
    INTERRUPTED: "interrupted (Ctrl-C); no half-written output is left",
    TERMINATED: "ended by SIGTERM, as schedulers send it; no half-written output is left",
}
