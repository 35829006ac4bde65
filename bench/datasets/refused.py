"""A user's SQL file that the server does not accept, with the place in the file."""

from __future__ import annotations

from bench.core.errors import Problem, ScenarioError

EXCERPT_CHARACTERS = 80


class SqlRefused(ScenarioError):  # noqa: N818 - what happened is the name
    """One statement of a file was refused. Lines and columns count from 1, columns in characters."""

    def __init__(
        self,
        path: str,
        line: int,
        column: int,
        sqlstate: str,
        message: str,
        statement: str,
        *,
        hint: str = "",
        left_behind: bool = False,
    ) -> None:
        self.path, self.line, self.column = path, line, column
        self.sqlstate, self.message = sqlstate, message
        self.statement = excerpt(statement)
        self.left_behind = left_behind
        """Earlier statements ran outside a transaction of ours and have stayed."""
        stayed = "what ran before it has stayed" if left_behind else "nothing of the files has stayed"
        code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
        super().__init__(
            [
                Problem(
                    file=path,
                    line=line,
                    column=column,
                    where=f"in '{self.statement}'",
                    expected="SQL that the server accepts",
                    found=f"'{message}'{code}",
                    advice=f"{hint.rstrip('.') or 'correct the statement'}; {stayed}",
                )
            ]
        )


def excerpt(statement: str) -> str:
    """The beginning of a statement, in one line."""
    line = " ".join(statement[: 4 * EXCERPT_CHARACTERS].split())
    return line if len(line) <= EXCERPT_CHARACTERS else f"{line[: EXCERPT_CHARACTERS - 1]}…"
