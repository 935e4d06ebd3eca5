"""What became of messages: webhook payloads, status files, folding statuses into states, analytics.

Add here what is learnt after a message has left. It knows campaigns and recipients; it does not know how a message was
sent. Keep out the sending: `sending` asks this room to fold what it has learnt itself.
"""
