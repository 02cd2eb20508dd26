"""The start that commands share: the reading process, then the model, with a spinner."""

from ..annotator import Annotator
from ..reader.reader_server import start_reader
from ..scoring.call_options import Floors
from ..terminal.show import waiting
from .options import device_of


def load_annotator(
    model: str,
    *,
    device: str,
    trusted: bool,
    floors: Floors,
    distilled: bool = False,
) -> Annotator:
    """The annotator that a command was asked for. Arguments as of its options; raises as `Annotator.load`.

    Where the input is not `trusted`, the process that is to read it starts first, beside the loading.
    """
    wanted = device_of(device)
    if not trusted:
        start_reader()
    with waiting(f"Loading {model}"):
        return Annotator.load(
            model,
            device=wanted,
            distilled=distilled,
            min_panel_share=floors.min_panel_share,
            min_attribution_share=floors.min_attribution_share,
        )
