"""What people and other programs call: the command line, the webhook receiver, and later REST API and page.

Add here another way in. Each only asks rooms and shows what they say; decisions and SQL that changes rows stay there.
Keep out dagster and pandas, which take longer to load than most commands run.
"""
