"""Sending one date's batch: hold the sender, take the batch, admit, call, settle, stop cleanly, report.

Add here what stands between the queue and the Cloud API. It is the only room that makes calls that reach people.
Keep out what is learnt afterwards (`delivery`) and what is shown (`orchestration`, `interfaces`).
"""
