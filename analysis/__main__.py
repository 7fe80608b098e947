"""Answers from the Parquet of a run: SQL, tables, a report, and the model against real kernels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import duckdb
import typer

from analysis import output
from analysis.answers import Answers, answers
from analysis.db import connect
from analysis.run import InputError, Run, open_run
from analysis.tables import WIDTH, across, every
from analysis.validate import score, verdicts

OUT = 1
BAD_INPUT = 2
SETTINGS_SHOWN = 6
READS = {"SELECT", "EXPLAIN", "CALL"}  # DESCRIBE, SUMMARIZE and SHOW count as SELECT

app = typer.Typer(
    name="memcg-analysis", help=__doc__, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Folder or URI of a run, or of an experiment's runs.")]
Partial = Annotated[bool, typer.Option("--partial", help="Go on although points are missing.")]


@app.command()
def sql(
    run: RunArgument,
    query: Annotated[str, typer.Argument(metavar="SQL", help="A query over the views that docs/queries.md lists.")],
    form: Annotated[output.Format, typer.Option("--format", help="How to write the rows.")] = output.Format.table,
    to: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Write here instead of to stdout.")] = None,
    partial: Partial = False,
) -> None:
    """Answer one SQL query."""
    if query != query.encode(errors="replace").decode():
        raise InputError("SQL must be UTF-8 (got bytes that are not); mend the text")
    con = connect(_whole(run, partial))
    kinds = [statement.type.name for statement in con.extract_statements(query)]
    if len(kinds) != 1 or not set(kinds) <= READS:
        raise InputError(
            f"SQL must be one query that reads (got {', '.join(kinds) or 'nothing'}); the run is never changed"
        )
    output.write(con.sql(query), form, to)


@app.command()
def tables(run: RunArgument, partial: Partial = False) -> None:
    """Print what the run says: memory, atomics, the batch that is enough, the best design."""
    asked = _answers(_whole(run, partial))
    console = output.console(WIDTH)
    console.print(*across(asked[:SETTINGS_SHOWN]), sep="")
    for ask in asked[:SETTINGS_SHOWN]:
        if ask.setting:
            console.rule(ask.setting, align="left")
        console.print(*every(ask), sep="")
    if len(asked) > SETTINGS_SHOWN:
        console.print(f"{len(asked) - SETTINGS_SHOWN} more settings; the sql command has them all")


@app.command()
def report(
    run: RunArgument,
    to: Annotated[Path, typer.Option("-o", metavar="FILE", help="The page to write.")] = Path("report.html"),
    partial: Partial = False,
) -> None:
    """Write one HTML page with answers in words and interactive charts; it needs no network."""
    from analysis.report import page

    found = _whole(run, partial)
    html = page(found, _answers(found)[:SETTINGS_SHOWN])
    with output.whole(to) as file:
        file.write(html)
    print(to)


@app.command()
def validate(
    run: RunArgument,
    reference: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of reference figures.")] = None,
    form: Annotated[output.Format, typer.Option("--format", help="How to write the rows.")] = output.Format.table,
    to: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Write here instead of to stdout.")] = None,
    partial: Partial = False,
) -> None:
    """Hold the model against real kernels and published figures; exit 1 if any is out of its tolerance."""
    rows = verdicts(_whole(run, partial), reference)
    output.write(rows if form is not output.Format.table else rows.project("* exclude (source)"), form, to)
    within, of = score(rows)
    print(f"{within} of {of} figures are within their tolerance", file=sys.stderr)
    if within < of or not of:
        sys.exit(OUT)


def _whole(where: str, partial: bool) -> Run:
    """The run at `where`; one with holes only where the user said `--partial`."""
    run = open_run(where)
    hole = run.hole()
    if hole and not partial:
        raise InputError(
            f"RUN must be whole (got {run.url!r}; {hole}); run the sweep again to resume, or add --partial"
        )
    if run.url.rstrip("/") != where.rstrip("/"):
        print(f"run: {run.url}", file=sys.stderr)
    return run


def _answers(run: Run) -> list[Answers]:
    """What each setting of a sweep has to say."""
    tables = run.tables()
    if not tables:
        raise InputError(f"RUN must have landed something (got {run.url!r}, where no task has ended yet); wait for it")
    if "points" not in tables:
        raise InputError(
            f"RUN must be of a sweep (got {run.url!r}, which has {', '.join(tables) or 'nothing'}); try sql"
        )
    asked = answers(connect(run))
    if not asked:
        raise InputError(f"RUN must have swept a design that accounts (got {run.url!r}, which has none); add one")
    return asked


def main() -> None:
    """Run the command line; whatever the user can mend is one line on stderr and exit status 2."""
    try:
        app()
    except (InputError, duckdb.Error) as error:
        print(_one_line(error), file=sys.stderr)
        sys.exit(BAD_INPUT)


def _one_line(error: Exception) -> str:
    """The message without the picture that DuckDB draws of the query, its candidate names included."""
    paragraphs = str(error).split("\n\nLINE ")
    return " ".join(paragraphs[0].split())


if __name__ == "__main__":
    main()
