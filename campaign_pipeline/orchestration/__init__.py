"""What Dagster sees: assets, checks, partitions, jobs, schedules, resources. Thin: rooms below do the work.

Add here what the operator's desk shows or starts. Only this room and `definitions.py` import dagster.
Keep out every rule and every query that would be true without Dagster.
"""
