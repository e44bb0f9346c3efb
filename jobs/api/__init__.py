"""The workbench's only door to the engine: read the ledger, keep datasets and prompts, submit requests, await their result.

``Engine(settings)`` opens the home (making its file where there is none) and is cheap to keep; each of its rooms is small:

    engine.datasets    add, list, get, page, row, set_id_column
    engine.prompts     list, versions, get, resolve, save, tried, label, draft, put_draft, drop_draft, write_back, check, render,
                       diff
    engine.runs        forecast, outlook, usable, model_of, prepared, start, get, list, results, rungs, groups,
                       resolutions, batches, export, pause, resume, cancel, set_budget
    engine.letters     groups, list, ids, standing, inspect, neighbours, replay, prepared, replayable, forecast, correct,
                       discard, undo, outcome, before_after, decisions, decision_of
    engine.evaluations usable, table, report, others, beside
    engine.trials      start, compare, rivals, least, weigh
    engine.costs       report, slices, order, ways, calls, reused
    engine.archive     dataset, prompt, run, weigh, put, restore, look
    engine.system      overview, look, trouble, keeper_alive, pool, live, connections, model_in_words, probe, probed

A run is asked for by one value, ``launch.Launch``, and what is other in a replay by ``replays.Changes``.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from jobs.api.archive import Archive
from jobs.api.costs import Costs
from jobs.api.datasets import Datasets
from jobs.api.evaluations import Evaluations
from jobs.api.letters import Letters
from jobs.api.prompts import Prompts
from jobs.api.room import PATIENCE, House
from jobs.api.runs import Runs
from jobs.api.system import System
from jobs.api.trials import Trials
from jobs.settings import Settings

__all__ = ["Engine"]


class Engine:
    """The engine of one home, for any number of threads.

    Args:
        settings: where the home is and which connections there are.
        patience: seconds to wait for the keeper's answer to a request.

    Raises:
        EngineDown: the home's file cannot be opened.
    """

    def __init__(self, settings: Settings, *, patience: float = PATIENCE) -> None:
        self.settings = settings
        self._house = House(settings, patience=patience)
        self.datasets = Datasets(self._house)
        self.prompts = Prompts(self._house)
        self.runs = Runs(self._house)
        self.letters = Letters(self._house, self.runs, self.prompts, self.datasets)
        self.evaluations = Evaluations(self._house, self.datasets, self.runs, self.prompts)
        self.trials = Trials(self._house, self.runs)
        self.costs = Costs(self._house)
        self.archive = Archive(self._house, self.datasets, self.prompts, self.runs)
        self.system = System(self._house, self.runs, self.prompts)

    def close(self) -> None:
        """Close the home's file; the engine is of no use after it."""
        self._house.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
