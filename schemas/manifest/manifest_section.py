"""What every part of a manifest has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Part of a manifest. Fields added by later versions are ignored, so they do not need a new format version."""

    model_config = ConfigDict(frozen=True, extra="ignore")
