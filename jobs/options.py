"""What a person chooses for a run beside its prompt and its rows: the defaults, the bounds, the frozen form."""

from __future__ import annotations

from pydantic import Field

from jobs.values import Value


class RunOptions(Value):
    """How a run is made; frozen with it."""

    strikes: int = Field(default=3, ge=1, le=10)
    in_flight: int = Field(default=8, ge=1, le=2000)
    #: rows that one call may be about; more than one only where the template's last message alone depends on the row
    rows_per_call: int = Field(default=1, ge=1, le=50)
    rpm: int | None = Field(default=None, ge=1)
    tpm: int | None = Field(default=None, ge=1)
    #: US dollars that the run may spend; None: no limit
    budget: float | None = Field(default=None, gt=0)
    #: seconds for one request
    timeout: float = Field(default=60.0, gt=0, le=3600)
    reuse: bool = True
