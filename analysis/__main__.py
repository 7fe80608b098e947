"""Answers from the Parquet of a run: SQL, tables, a report, comparisons, and the model against real kernels."""

from __future__ import annotations

import os
import re
import signal
import sys
from dataclasses import replace
from importlib.metadata import version as installed
from pathlib import Path
from typing import Annotated, Any

if __name__ == "__main__":  # a Ctrl-C while libraries are imported ends the process, without a page of Python's
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import duckdb
import pyarrow as pa
import typer

from analysis import output
from analysis import real as measured
from analysis.answers import Answers, answers
from analysis.db import connect, is_of_kernels, is_of_sweep, lacking, no_sweep
from analysis.held import holding
from analysis.marts import marts
from analysis.run import InputError, Run, open_run
from analysis.sheets import Sheet, Shown, sheets
from analysis.tables import Form, write_sheets
from analysis.validate import judged, score
from core.checks import among
from sweep.folder import end_process

OUT = 1
BAD_INPUT = 2
SETTINGS_SHOWN = 6
OPENED: dict[str, None] = {}  # runs found where an experiment was named, in order; a refusal stands alone without them
READS = {"SELECT", "EXPLAIN", "CALL"}  # DESCRIBE, SUMMARIZE and SHOW count as SELECT

app = typer.Typer(
    name="memcg-analysis", help=__doc__, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False
)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Folder or URI of a run, or of an experiment's runs.")]
Verify = Annotated[bool, typer.Option("--verify", help="Read every byte of large files again, and check it.")]
Partial = Annotated[bool, typer.Option("--partial", help="Go on although points are missing.")]
To = Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Write here instead of to stdout.")]
ShownValues = Annotated[str, typer.Option(metavar="A,B", help="Show these values, or all; by default some.")]


@app.callback(invoke_without_command=True)
def common_options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Answers from the Parquet of a run: SQL, tables, a report, comparisons, and the model against real kernels."""
    if version:
        print(f"memcg-sweep {installed('memcg-sweep')}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def tables(
    run: RunArgument,
    *,
    form: Annotated[Form, typer.Option("--format", help="text: 72 ASCII columns, for a mail.")] = Form.table,
    width: Annotated[int | None, typer.Option(min=40, help="Columns; what is wider is stacked.")] = None,
    only: Annotated[str, typer.Option(metavar="A,B", help="Only these tables, such as debate.")] = "",
    cpus: ShownValues = "",
    batch: ShownValues = "",
    churn: ShownValues = "",
    setting: Annotated[str | None, typer.Option(metavar="TEXT", help="Settings that contain this; '' is all.")] = None,
    to: To = None,
    partial: Partial = False,
    verify: Verify = False,
) -> None:
    """Print what the run says: memory, atomics, time, the batch that is enough, the best design."""
    whole = _whole(run, partial, verify)
    axes = {"cpus": cpus, "batch": batch, "churn_hz": churn}
    if is_of_kernels(whole):
        found, intro = list(measured.sheets_of(whole)), [measured.INTRO]
        for name, text in (axes | {"setting": setting}).items():
            if text:
                raise InputError(f"{_option(name)} must be left out for a run of real kernels (got {text!r})")
    else:
        found, intro = _of_sweep(_answers(whole, setting), axes, every=setting is not None)
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    for name in wanted:
        if name not in (there := dict.fromkeys(sheet.name for sheet in found)):
            raise InputError(among(there).broken("--only", name))
    chosen = [sheet for sheet in found if sheet.name in wanted or not wanted]
    with output.place(to) as file:
        write_sheets(chosen, form, width, intro, file)


@app.command()
def report(
    run: RunArgument,
    to: Annotated[Path, typer.Option("-o", metavar="FILE", help="The page to write.")] = Path("report.html"),
    figures: Annotated[Path | None, typer.Option(metavar="DIR", help="Write each chart as SVG and PNG here.")] = None,
    partial: Partial = False,
    verify: Verify = False,
) -> None:
    """Write one HTML page with answers in words and interactive charts; it needs no network."""
    from analysis.report import page

    found = _whole(run, partial, verify)
    asked = _answers(found)[:SETTINGS_SHOWN]
    html = page(found, asked)
    if figures:
        from analysis.figures import figures as draw

        print(*draw(asked, found.manifest["experiment"], figures), sep="\n")
    with output.whole(to) as file:
        file.write(html)
    print(to)


@app.command()
def sql(
    run: RunArgument,
    *,
    query: Annotated[str, typer.Argument(metavar="SQL", help="A query over the views of docs/queries.md.")] = "",
    source: Annotated[str, typer.Option("-f", metavar="FILE", help="Read the query from here; - is stdin.")] = "",
    form: Annotated[output.Format, typer.Option("--format", help="How to write the rows.")] = output.Format.table,
    to: To = None,
    partial: Partial = False,
    verify: Verify = False,
) -> None:
    """Answer one SQL query."""
    if bool(query) == bool(source):
        raise InputError(f"SQL must be given once (got {'both' if query else 'none'}); write it, or name a file by -f")
    text = query or _read(source)
    if text != text.encode(errors="replace").decode():
        raise InputError("SQL must be UTF-8 (got bytes that are not); mend the text")
    con = connect(_whole(run, partial, verify))
    kinds = [statement.type.name for statement in con.extract_statements(text)]
    if len(kinds) != 1 or not set(kinds) <= READS:
        raise InputError(
            f"SQL must be one query that reads (got {', '.join(kinds) or 'nothing'}); the run is never changed"
        )
    try:
        rows = con.sql(text)
    except duckdb.Error as error:
        missing = re.search(r"Table with name (\w+) does not exist", str(error))
        if missing and missing[1] in marts() and (lacks := lacking(con, missing[1])):
            raise InputError(f"SQL must do without {missing[1]} (it needs {lacks}, which the run lacks)") from error
        con.execute(text)  # says where in the text, which sql() does not
        raise
    output.write_rows(rows.to_arrow_reader(output.BATCH_ROWS), form, to)


@app.command()
def validate(
    run: RunArgument,
    reference: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of reference figures.")] = None,
    form: Annotated[output.Format, typer.Option("--format", help="How to write the rows.")] = output.Format.table,
    to: To = None,
    partial: Partial = False,
    *,
    verify: Verify = False,
) -> None:
    """Hold the model against real kernels and published figures; exit 1 if any is out of its tolerance."""
    con = judged(_whole(run, partial, verify), reference)
    rows = con.sql("from verdicts")
    printed = rows.project("* exclude (source)") if form is output.Format.table else rows
    output.write_rows(printed.to_arrow_reader(output.BATCH_ROWS), form, to)
    if form is output.Format.table and to is None:
        print("\nMean of model minus reference, by figure and CPUs:")
        output.write_rows(con.sql("from bias").to_arrow_reader(output.BATCH_ROWS), form, None)
    within, of = score(rows)
    refused = rows.filter("starts_with(verdict, 'refused')").shape[0]
    fitted = rows.filter("verdict = 'fitted'").shape[0]
    said = (f", {refused} more cannot be judged" if refused else "") + (f"; {fitted} were fitted" if fitted else "")
    print(f"{within} of {of} figures are within their tolerance{said}", file=sys.stderr)
    if within < of or not of:
        sys.exit(OUT)


@app.command()
def host(
    run: RunArgument,
    fleet: Annotated[
        Path | None, typer.Option("--fleet", metavar="FILE", help="CSV with a row a host: host, run, count.")
    ] = None,
    partial: Partial = False,
    verify: Verify = False,
) -> None:
    """Say what one host's dying cgroups hold, now and in 7 and 30 days, and what each upgrade would give back."""
    from analysis import host as hosts

    asked = hosts.Forecast.of(_whole(run, partial, verify))
    console = output.console(hosts.SCREEN_COLUMNS)
    console.print(*(hosts.screen(asked) if fleet is None else [hosts.fleet(asked, fleet)]), sep="\n")


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="Folder or URI of a run, or of an experiment's runs.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What it is held against: other code, kernel or settings.")],
    *,
    tolerance: Annotated[float, typer.Option(min=0, help="Relative difference that does not matter.")] = 0.01,
    form: Annotated[
        output.Format, typer.Option("--format", help="How to write the differences.")
    ] = output.Format.table,
    every: Annotated[bool, typer.Option("--all", help="Every difference, not only those beyond.")] = False,
    to: To = None,
    partial: Partial = False,
    verify: Verify = False,
) -> None:
    """Hold two runs against each other; exit 1 if the interval of a difference lies beyond the tolerance."""
    from analysis import compare as comparing

    found = comparing.held_against(_whole(a, partial, verify), _whole(b, partial, verify), tolerance)
    beyond = found.beyond()
    shown = found.rows if every else beyond
    if form is output.Format.table and not every:
        shown = shown.slice(0, comparing.ENOUGH)
    if every or beyond.num_rows:
        output.write_rows(shown.drop(["known"]).to_reader(), form, to)
    print(
        *comparing.told(found, tolerance), sep="\n", file=sys.stderr if form is not output.Format.table else sys.stdout
    )
    if beyond.num_rows:
        sys.exit(OUT)


@app.command()
def status(run: RunArgument, form: Annotated[output.Format, typer.Option("--format")] = output.Format.line) -> None:
    """Say how far a run is: from progress.json, or from its manifest and files."""
    from analysis import status as asking

    output.write_rows(_reader([asking.how_far(open_run(run))]), form, None)


@app.command()
def runs(
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder or URI that runs were written to.")] = "results",
    form: Annotated[output.Format, typer.Option("--format")] = output.Format.table,
) -> None:
    """List the runs of a folder: experiment, state, points, start."""
    from analysis import status as asking

    output.write_rows(_reader(list(asking.listed(out))), form, None)


def _reader(rows: list[dict[str, Any]]) -> pa.RecordBatchReader:
    return pa.Table.from_pylist(rows).to_reader()


def _whole(where: str, partial: bool, verify: bool) -> Run:
    """The run at `where`; one with holes only where the user said `--partial`."""
    run = open_run(where, verify)
    hole = run.hole()
    if hole and not partial:
        raise InputError(
            f"RUN must be whole (got {run.url!r}; {hole}); run the sweep again to resume, or add --partial"
        )
    if run.url.rstrip("/") != where.rstrip("/"):
        OPENED[run.url] = None
    return run


def _answers(run: Run, setting: str | None = None) -> list[Answers]:
    """What each setting of a sweep has to say."""
    tables = run.tables()
    if not tables:
        raise InputError(f"RUN must have landed something (got {run.url!r}, where no task has ended yet); wait for it")
    if not is_of_sweep(run):
        raise no_sweep(run)
    asked = answers(holding(run))
    if not asked:
        raise InputError(f"RUN must have swept a design that accounts (got {run.url!r}, which has none); add one")
    if setting and not any(setting in ask.setting for ask in asked):
        raise InputError(
            f"--setting must be part of a setting of the run (got {setting!r}); such as {asked[0].setting!r}"
        )
    return [ask for ask in asked if (setting or "") in ask.setting]


def _of_sweep(asked: list[Answers], axes: dict[str, str], *, every: bool) -> tuple[list[Sheet], list[str]]:
    """Sheets of a sweep and what they have in common. axes: values asked for. every: all settings, not only some."""
    several = asked if every else asked[:SETTINGS_SHOWN]
    shown = Shown(**{axis: _asked(several, axis, text) for axis, text in axes.items()})
    asked_for = {axis: list(values) for axis, values in vars(shown).items() if values}
    several = [replace(ask, asked_for=asked_for) for ask in several]
    return list(sheets(several, shown)), _intro(several, len(asked) - len(several))


def _asked(asked: list[Answers], axis: str, text: str) -> tuple[Any, ...]:
    """The values of an axis that `--cpus 8,64` asks for, each of which the run has; none asked for is ()."""
    there = sorted({value for ask in asked for value in ask.axis(axis)})
    if text == "all":
        return tuple(there)
    found = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        same = [value for value in there if _is(value, word)]
        if not same:
            raise InputError(
                f"{_option(axis)} must be of the run's {', '.join(f'{v:g}' for v in there)}, or all (got {word!r})"
            )
        found += same
    return tuple(found)


def _option(axis: str) -> str:
    return "--churn" if axis == "churn_hz" else f"--{axis}"


def _is(value: float, word: str) -> bool:
    try:
        return abs(float(word) - value) <= 1e-3 * abs(value)  # 0.0316 asks for 0.0316227766
    except ValueError:
        return False


def _intro(asked: list[Answers], hidden: int) -> list[str]:
    """What all tables have in common."""
    manifest = dict(asked[0].con.execute("select key, value from manifest").fetchall())
    [row] = (
        asked[0]
        .con.execute("""
        select string_agg(distinct kernel, ', ' order by kernel), string_agg(distinct workload, ', ' order by workload),
               string_agg(distinct host_prices, ', ' order by host_prices) from points
    """)
        .fetchall()
    )
    kernels, workloads, hosts = row
    replicates = min(ask.replicates for ask in asked)
    said = [
        f"{manifest.get('experiment', 'run')} {manifest.get('run_id', '')}: kernel {kernels}; workload {workloads}; "
        f"prices of {hosts}; {replicates} replicate{'s' * (replicates != 1)}.",
        "±: half the 95 % interval of a mean, Student's t over replicates."
        if replicates > 1
        else "One replicate: a mean has no interval; replicates=3 gives it one.",
    ]
    foreign = (
        asked[0]
        .con.execute(
            """
        select design from cells where setting = any($1) and design in (select name from designs where accounts)
        group by design having not bool_or(own) order by design
    """,
            [[ask.setting for ask in asked]],
        )
        .fetchall()
    )
    if foreign:
        names = ", ".join(name for (name,) in foreign)
        said.append(f"Counterfactual, as no kernel shown does it by itself: {names}.")
    if hidden:
        said.append(f"{hidden} more settings; --setting TEXT shows those that contain TEXT, --setting '' all.")
    return said


def _read(source: str) -> str:
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        says = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise InputError(f"-f must be a file with SQL, or - for stdin (got {source!r}): {says}") from error


def main() -> None:
    """Run the command line; whatever the user can mend is one line on stderr and exit status 2."""
    if sys.stdout is None:  # closed: what is for a file is written all the same
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)
    OPENED.clear()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status = _status()
        for url in OPENED:
            print(f"run: {url}", file=sys.stderr)
        sys.exit(status)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would try again when it ends
        print(f"stdout must be a place that can be written ({error.strerror}); -o FILE writes a file", file=sys.stderr)
    except InputError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
    except duckdb.Error as error:
        print(_with_caret(error), file=sys.stderr)
    except Exception as error:
        # what typer raises for a command line that it cannot parse; releases differ in whose class it is
        if not hasattr(error, "format_message"):
            raise
        print(_usage(error), file=sys.stderr)
    end_process(BAD_INPUT)


def _status() -> int:
    """Run the command, and return its exit status."""
    try:
        return int(app(standalone_mode=False) or 0)
    except SystemExit as end:
        return int(end.code or 0)


def _usage(error: Any) -> str:
    """One line about a command line that cannot be parsed, with the nearest word that could."""
    said = " ".join(error.format_message().split())
    if choice := re.search(r"'([^']*)' is not one of (.*?)\.?$", said):
        return among(re.findall(r"'([^']*)'", choice[2])).broken(error.param.opts[-1], choice[1])
    if unknown := re.match(r"No such command '([^']*)'", said):
        return among(error.ctx.command.commands).broken("COMMAND", unknown[1])
    if (wrong := re.match(r"Invalid value for '(-[\w-]+)'", said)) and wrong[1] in sys.argv[:-1]:
        said = f"{said.rstrip('.')} (got {sys.argv[sys.argv.index(wrong[1]) + 1]!r})"
    return f"{said.rstrip('.')}; --help says what can be given"


def _with_caret(error: Exception) -> str:
    """What DuckDB says in one line, candidate names included, then the line of SQL and a caret where it is wrong."""
    said, picture = re.fullmatch(r"(.*?)(?:\n+(LINE .*))?", str(error), re.DOTALL).groups()  # type: ignore[union-attr]
    return "\n".join([" ".join(said.split()), *(picture or "").splitlines()[:2]])


if __name__ == "__main__":
    main()
