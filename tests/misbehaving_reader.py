"""A program of readers that misbehave as the name of their file says, in place of `reader/reader_program.py`."""

import os
import signal
import sys
import time

import numpy as np

from cellmark.serving.reader import read_apart
from cellmark.serving.reader.reader_messages import Message
from cellmark.serving.reader.reader_program import main

open_really, next_really = read_apart.OpenFile.open, read_apart.OpenFile.next


def open_badly(self: read_apart.OpenFile, question: Message) -> Message:
    match os.path.basename(question.facts["path"]).split(".")[0]:
        case "sleeps":
            time.sleep(1000)
        case "loops":
            while True:
                pass
        case "eats":
            eaten = [np.ones(10_000_000) for _ in range(1000)]
            return Message({"eaten": len(eaten)})
        case "eats_shared":  # not counted by RLIMIT_DATA, so only the one that watches sees it
            import mmap

            shared = mmap.mmap(-1, 8 * 1024**3)
            for start in range(0, 8 * 1024**3, 4096):
                shared[start] = 1
        case "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crashes":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "raises":
            raise RuntimeError("of no known kind")
        case "writes":
            with open(question.facts["path"] + ".new", "wb") as file:
                file.write(b"x")
    return open_really(self, question)


def next_badly(self: read_apart.OpenFile, question: Message) -> Message:
    answer = next_really(self, question)
    if not answer.arrays:
        return answer
    data, indices, indptr = (array.copy() for array in answer.arrays)
    facts = dict(answer.facts)
    match self.path.name.split(".")[0]:
        case "dies_half_way":
            os.kill(os.getpid(), signal.SIGKILL)
        case "index_beyond":
            indices[0] = 10**6
        case "index_below":
            indices[0] = -1
        case "pointers_fall":
            indptr[1] = indptr[-1] + 5
        case "too_short":
            data = data[:-1]
        case "another_shape":
            facts["shape"] = [facts["shape"][0] - 1, facts["shape"][1]]
        case "more_rows":
            facts["shape"] = [2**40, facts["shape"][1]]
        case "float_indices":
            indices = indices.astype(np.float32)
        case "again":
            facts["start"] = 7
    return Message(facts, (data, indices, indptr))


if __name__ == "__main__":
    read_apart.OpenFile.open = open_badly  # type: ignore[method-assign]
    read_apart.OpenFile.next = next_badly  # type: ignore[method-assign]
    sys.argv = [sys.argv[0], sys.argv[-1]]
    main()
