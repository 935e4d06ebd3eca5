"""The local Cloud API: a real HTTP server in a process of its own that judges requests as Meta would.

What it is to judge, the sending code never imports. Start it with `python -m campaign_pipeline.whatsapp.simulator`.
"""
