"""The base of every model of a scenario."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)
