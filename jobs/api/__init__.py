"""The workbench's only door to the engine: read the ledger, keep datasets and prompts, submit requests, await their result.

``Engine(settings)`` opens the home (making its file where there is none) and is cheap to keep; each of its rooms is small:

    engine.datasets   add, list, get, page, set_id_column, rows
    engine.prompts    list, versions, get, resolve, save, tried, label, draft, write_back, check, render
    engine.runs       forecast, start, get, list, results, groups, export, pause, resume, cancel, set_budget
    engine.letters    groups, list, inspect, neighbours, replay, correct, discard, undo, outcome, before_after, decisions
    engine.evaluations start, report
    engine.costs      slices, series, calls
    engine.system     overview, look, live
"""
