"""The command `campaign`.

Add here a command, in the module of its panel. Rooms are imported inside the commands, so that `--help` and every
command start fast. Keep out dagster, pandas and rules.
"""
