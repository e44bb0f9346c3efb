"""What readers of the ledger get: frozen rows of what is so now, as screens and the command line show it.

    file      of what
    datasets  uploaded tables
    prompts   named tasks and their versions
    runs      runs, their rows and values, their rungs and batches
    trials    what was tried on a sample
    letters   dead letters, rows with all that is known of them, decisions, replays
    forecast  what a run is likely to take, before it and on its way
    costs     money, tokens and time of calls
    system    the parts of the engine, and what needs somebody

Times are epoch seconds, money US dollars (None: unknown, never 0), latencies seconds.
Lists are pages: at most what was asked.
"""
