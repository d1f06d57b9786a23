"""What W&B's workspace and report page of a sweep show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from experiments import space
from experiments.spec import Sweep
from experiments.story import unit

Panel = Any
"""One of W&B's panels."""
OBJECTIVE = "objective"
"""The value that the search minimizes or maximizes, in a trial's summary."""
MOST_PLOTS = 8
"""Parameters that get a plot of their own."""
TITLE_LENGTH = 128


@dataclass(frozen=True)
class Subject:
    """A sweep as W&B has it: where its runs are, and the id of its own."""

    sweep: Sweep
    entity: str
    project: str
    run_id: str

    @property
    def runs(self) -> str:
        """The filter that leaves this sweep's runs."""
        return f"Config('sweep.id') == '{self.run_id}'"


def workspace(subject: Subject) -> ws.Workspace:
    """The sweep's runs beside its curves, its search, its texts and its speed."""
    columns = [f"config:{_nested(key)}" for key in space.searched(subject.sweep.space)]
    return ws.Workspace(
        entity=subject.entity,
        project=subject.project,
        name=f"Sweep {subject.sweep.name}",
        sections=[
            ws.Section(name="Learning curves", panels=list(curves()), is_open=True),
            ws.Section(name="Search", panels=list(search(subject.sweep)), is_open=True),
            ws.Section(name="Samples", panels=list(samples()), is_open=True),
            ws.Section(name="Speed and machine", panels=list(speed())),
        ],
        settings=ws.WorkspaceSettings(max_runs=100, group_by_prefix="first"),
        runset_settings=ws.RunsetSettings(
            filters=subject.runs,
            order=[ws.Ordering(ws.Summary(OBJECTIVE), ascending=_is_minimized(subject.sweep))],
            pinned_columns=[f"summary:{OBJECTIVE}", "summary:state", *columns],
            pinned_runs=[subject.run_id],
            baseline_run=f"{subject.run_id}-t0000",
        ),
    )


def report(subject: Subject, text: str) -> wr.Report:
    """A page with the sweep's own report, `text` in Markdown, above the live panels."""
    runs = wr.Runset(
        entity=subject.entity,
        project=subject.project,
        name=subject.sweep.name,
        filters=subject.runs,
    )
    parts: Sequence[tuple[str, Sequence[Panel]]] = (
        ("Learning curves", curves()),
        ("Search", search(subject.sweep)),
        ("Samples", samples()),
        ("Speed and machine", speed()),
    )
    blocks: list[Any] = [wr.MarkdownBlock(text=text), wr.TableOfContents()]
    for title, panels in parts:
        placed = [_placed(panel, number) for number, panel in enumerate(panels)]
        blocks += [wr.H2(text=title), wr.PanelGrid(runsets=[runs], panels=placed)]
    return wr.Report(
        entity=subject.entity,
        project=subject.project,
        title=f"Sweep {subject.sweep.name}"[:TITLE_LENGTH],
        description="Made from the sweep's record; made again, it is replaced.",
        blocks=blocks,
        width="fluid",
    )


def curves() -> list[Panel]:
    """Losses against steps and tokens, learning rates, gradients."""
    return [
        _line("Validation loss (nats per character)", "eval/val_loss_nats"),
        _line("Training loss (nats per character)", "train/loss_nats"),
        _line("Validation loss by tokens", "eval/val_loss_nats", x="train/tokens"),
        _line("Learning rate", "train/learning_rate"),
        _line("Gradient norm", "train/grad_norm"),
    ]


def search(sweep: Sweep) -> list[Panel]:
    """The best so far, what mattered, and the objective against every parameter."""
    found = space.searched(sweep.space)
    axes = [
        wr.ParallelCoordinatesPlotColumn(wr.Config(key), log=getattr(one, "log", None) or None)
        for key, one in found.items()
    ]
    axes.append(wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(OBJECTIVE)))
    best = [f"best/{unit(one.metric)}" for one in sweep.objective]
    plots = [
        wr.ScatterPlot(
            title=f"{OBJECTIVE} by {key}",
            x=wr.Config(key),
            y=wr.SummaryMetric(OBJECTIVE),
            log_x=getattr(one, "log", None) or None,
        )
        for key, one in list(found.items())[:MOST_PLOTS]
    ]
    return [
        wr.LinePlot(title="Best so far, by trial", x="Step", y=best),
        wr.ParameterImportancePlot(with_respect_to=OBJECTIVE),
        wr.ParallelCoordinatesPlot(title="Trials", columns=axes),
        wr.WeavePanelSummaryTable(table_name="leaderboard"),
        wr.WeavePanelSummaryTable(table_name="importances"),
        *plots,
    ]


def samples() -> list[Panel]:
    """What the models write, and the sweep's own report."""
    return [
        wr.WeavePanelSummaryTable(table_name="samples"),
        wr.MediaBrowser(title="Report", media_keys=["report"], num_columns=1),
    ]


def speed() -> list[Panel]:
    """How fast the runs were, and what they took."""
    return [
        _line("Tokens per second", "speed/tokens_per_second"),
        _line("Peak memory (bytes)", "machine/peak_memory_bytes"),
    ]


def _line(title: str, metric: str, x: str = "Step") -> wr.LinePlot:
    return wr.LinePlot(title=title, x=x, y=[metric], smoothing_type="none")


def _placed(panel: Panel, number: int) -> Panel:
    """The panel in its place of a grid that is two panels wide."""
    panel.layout = wr.Layout(x=12 * (number % 2), y=8 * (number // 2), w=12, h=8)
    return panel


def _nested(key: str) -> str:
    """A config key as W&B's columns have it: `train.value.learning_rate`."""
    first, _, rest = key.partition(".")
    return f"{first}.value.{rest}" if rest else f"{first}.value"


def _is_minimized(sweep: Sweep) -> bool:
    return sweep.objective[0].direction == "minimize"
