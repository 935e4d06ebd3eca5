"""How Alembic runs: on the connection and in the transaction that `ledger.migrate` hands over."""

from alembic import context

from campaign_pipeline.ledger.schema import metadata


def _run() -> None:
    connection = context.config.attributes["connection"]
    # SQLite can change tables inside a transaction; Alembic's default for it is not to try.
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


_run()
