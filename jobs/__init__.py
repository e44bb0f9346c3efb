"""The engine of Redrive, in the order in which a table passes through it.

    stop                 what it does
    intake            1  file bytes -> rows + findings
    prompts, templates   a prompt folder or stored version; its template -> messages of a row
    contract             JSON Schema <-> the Pydantic model that holds a value to it
    plan              2  rows due -> calls (reuse, the re-ask with its corrected prompt)
    dispatch          3  calls onto the stream, lanes onto RQ
    lane, call        4  the worker's loop; one call: render, ask, judge
    llm, limits       5  one OpenAI-compatible request -> reply or typed failure; the shared limits
    reply, judge      6  raw text -> candidate values with places; value x contract -> verdict
    parcel, pairing      several rows a call: which answer is whose; whether what it repeats shows that
    confidence, thresholds
                         log-probabilities of tokens -> how sure each field is; from where on that is enough
    batches, errands     calls by a provider's batch endpoint: what is done next about each batch; the lane that does it
    outcomes          7  the stream back
    keeper, lifecycle 8  the owner of every run's state; all states and transitions
    asking, gathering    rows due -> calls, or lines of a batch
    shares, strays       how runs share a connection's calls in flight; calls of dead lanes, and calls that are on no stream
    store                SQLite: migrations, writer, reader
    views                what readers of the store get: frozen rows of what is so now
    review            9  a person's decisions, held to the contract; which rows a replay takes, the store says
    evals, settings, errors, api, testing

Imports go one way: errors, values, settings, then the pure stops, then Redis and the store, then lane, keeper, api.
This file imports nothing, since it runs before each of them.
"""
