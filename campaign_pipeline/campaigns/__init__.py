"""Campaigns: their life, the queue of people waiting, the plan of days, and how far each has come.

Add here what is true of a campaign as a whole. Sending, delivery and recipients ask this room; it asks nobody but the
ledger. Keep out calls to WhatsApp and anything that a single message goes through.
"""
