"""Assets, one file a group, in the order of the lineage: recipients, sending, delivery.

Add here an asset when the desk should show another thing that people ask about.
Keep out how it comes about: an asset calls a room below and shows what that returns.
"""
