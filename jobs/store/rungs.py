"""Where the calls of runs have gone: the connection, the model and the price of each rung, as they are frozen with a run."""

from __future__ import annotations

from functools import lru_cache

from pydantic import TypeAdapter
from sqlite_utils import Database

from jobs.options import Rung
from jobs.settings import Price

#: the rungs above a run's own model, as the store keeps them
UPPER: TypeAdapter[tuple[Rung, ...]] = TypeAdapter(tuple[Rung, ...])
NO_UPPER = "[]"


def of_run(db: Database, run: int) -> tuple[Rung, ...]:
    """The rungs of a run, the lowest first."""
    query = "SELECT connection, base_url, model, price, upper FROM runs WHERE id = ?"
    return rungs(*db.execute(query, [run]).fetchone())


@lru_cache(maxsize=1024)
def rungs(connection: str, base_url: str, model: str, price: str | None, upper: str) -> tuple[Rung, ...]:
    """The rungs of a run, of the columns that it stands in, the lowest first."""
    known = Price.model_validate_json(price) if price else None
    lowest = Rung(connection=connection, base_url=base_url, model=model, price=known)
    return (lowest,) if upper == NO_UPPER else (lowest, *UPPER.validate_json(upper))
