"""Text compared by its bytes, which is one order on every database.

Add here another comparison that must not depend on a database's locale.
Keep out what is compared.
"""

from typing import Any

from sqlalchemy import ColumnElement, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction


class by_bytes(GenericFunction[str]):  # noqa: N801 - stands in a query as a function of SQL does
    """A text that is sorted and compared by the bytes of its UTF-8.

    SQLite does so anyway. PostgreSQL goes by the locale of its database, which is another one elsewhere.
    """

    type = Text()
    inherit_cache = True

    def __init__(self, text: ColumnElement[Any]) -> None:
        super().__init__(text)


@compiles(by_bytes)
def _as_it_is(element: by_bytes, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as SQLAlchemy calls it
    return compiler.process(element.clauses, **options)


@compiles(by_bytes, "postgresql")
def _without_locale(element: by_bytes, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - likewise
    return f'({compiler.process(element.clauses, **options)} COLLATE "C")'
