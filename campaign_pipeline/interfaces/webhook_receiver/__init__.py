"""The receiver of WhatsApp's webhooks: each signed payload is on the disk before it is answered with 200.

Add here what concerns the way of a payload from the socket into the inbox and on to another receiver.
Keep out what payloads mean: `delivery` takes the inbox in. Nothing here needs the ledger, which may be down meanwhile.
"""
