"""People: reading recipient lists, phone numbers, deduplication into an audience, and who wants messages.

Add here what concerns people before anything is sent to them. It knows campaigns and the ledger.
Keep out the queue and the plan (`campaigns`) and everything after a batch is taken (`sending`).
"""
