"""The monitor as a Textual application: it asks its gateway in workers, keeps what was seen, and has it drawn."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import ClassVar

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.message import Message
from textual.widgets import ContentSwitcher, DataTable, Input, Static

from helios_cli.engine.errors import HeliosError
from helios_cli.tui import frame, proxyview, topology, words
from helios_cli.tui.acts import act_of
from helios_cli.tui.alarms import Acknowledged
from helios_cli.tui.curves import WINDOW
from helios_cli.tui.gateway import Act, Gateway
from helios_cli.tui.history import Happening, History
from helios_cli.tui.keys import KEYS
from helios_cli.tui.lines import Line, width_of
from helios_cli.tui.messages import CarriedOut, LogRead, Planned, PlaybooksListed, Recalled, Sampled, SqlRun
from helios_cli.tui.nodetable import LOOKS, Scene
from helios_cli.tui.palette import PALETTES
from helios_cli.tui.screens.dialog import Choice, Dialog, Question
from helios_cli.tui.screens.pages import help_lines, node_lines
from helios_cli.tui.snapshot import Snapshot
from helios_cli.tui.sqlhistory import SqlHistory
from helios_cli.tui.themes import theme
from helios_cli.tui.timetravel import TimeTravel
from helios_cli.tui.widgets.bars import KeyBar, Tab, Tabs
from helios_cli.tui.widgets.base import Lines, Panel
from helios_cli.tui.widgets.charts import TREND, Charts
from helios_cli.tui.widgets.console import Console, StatementInput
from helios_cli.tui.widgets.nodes import NodeTable

TICK_S = 0.5
"""How often ages are drawn anew."""

MARK: Line = (("HeliosDB Nano", "accent"), ("  ", ""))
MARK_WIDTH = 100
"""Characters of a heading that has room for the product's name."""

LOG_LINES = 400
LOOKS_FIRST = 2
"""Looks after which every node is known that is to be asked for the time before."""

BREAKPOINTS = [(0, "-narrow"), (110, "-normal"), (170, "-wide")]
"""Classes of the screen by its width."""

SEVERITIES = (("info", "warning", "error"), ("warning", "error"), ("error",))


class MonitorApp(App[None]):
    """One cluster on a screen."""

    CSS_PATH = "styles/monitor.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.short, show=bool(key.rank), key_display=key.shown)
        for key in KEYS
        if key.action
    ]

    def __init__(
        self,
        gateway: Gateway,
        *,
        interval_s: float = 1.0,
        theme_name: str = "dark",
        clock: Callable[[], float] = time.time,
        sql_history: SqlHistory | None = None,
        is_left: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self.gateway = gateway
        self.history = History()
        self.time = TimeTravel(self.history)
        self.view = "overview"
        self.acknowledged = Acknowledged()
        self.looks = 0
        """Looks that have come back."""
        self.before = "the nodes have not answered yet"
        """Why nothing is known of the time before the oldest snapshot."""
        self._interval_s = interval_s
        self._clock = clock
        self._is_left = is_left
        """Whether nobody is there any more to show anything to."""
        self._sql_history = sql_history or SqlHistory()
        self._filter = 0
        self._newest_log: tuple[str, list[str] | HeliosError] = ("", [])
        for palette in PALETTES.values():
            self.register_theme(theme(palette))
        self.theme = PALETTES[theme_name].name

    def compose(self) -> ComposeResult:
        """Heading, nodes, the views, and the keys."""
        yield Lines(id="heading")
        yield NodeTable()
        with Horizontal(id="tabs"):
            yield Tabs()
            yield Static("", id="place", markup=False)
        with ContentSwitcher(id="views", initial="overview"):
            with Container(id="overview"):
                with Container(id="picture"):
                    yield Panel("Topology", id="topology")
                    yield Charts(id="trends", cell=TREND)
                yield Panel("Events", id="happened")
            yield Panel("Events", id="events")
            yield Panel("Proxy", id="proxy")
            yield Panel("Log", id="log")
            yield Console(self._sql_history)
            yield Charts(id="charts")
        yield KeyBar()

    def on_mount(self) -> None:
        """Look at once, and again and again."""
        self.query_one(NodeTable).focus()
        self.query_one(Tabs).choose(self.view)
        self.query_one("#heading", Lines).draw(lambda width, _: [self._heading(width)])
        self.query_one(Console).show("", None)
        self.set_interval(self._interval_s, self.action_refresh_now)
        self.set_interval(TICK_S, self._tick)
        self.action_refresh_now()

    # Looking --------------------------------------------------------------------------------------------------------

    def action_refresh_now(self) -> None:
        """Look, unless a look is under way."""
        if not any(worker.group == "look" and not worker.is_finished for worker in self.workers):
            self._look()

    @work(thread=True, group="look", exit_on_error=False)
    def _look(self) -> None:
        try:
            self.post_message(Sampled(self.gateway.sample()))
        except Exception as error:  # the age of the data grows meanwhile; that it is our fault is said
            why = f"{type(error).__name__}: {error}"
            self.call_from_thread(self.notify, why, title="A look has failed", severity="error", markup=False)

    @on(Sampled)
    def _take(self, message: Sampled) -> None:
        self.acknowledged.seen(self.history.take(message.sample))
        self.time.taken()
        self.looks += 1
        if self.looks == LOOKS_FIRST:
            self._recall()
        self.show()
        if self.view == "log":
            self._read_log_of_chosen()

    def _recall(self) -> None:
        until_s = self.history[0].at_s
        self._aside(lambda: Recalled(self.gateway.past(until_s)))

    @on(Recalled)
    def _recalled(self, message: Recalled) -> None:
        self.history.put_before(message.past.samples)
        self.before = message.past.missing or "the nodes have kept nothing older"
        self.show()

    # Drawing --------------------------------------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot | None:
        """What is shown; None before the first look."""
        return self.history[self.time.index] if len(self.history) else None

    @property
    def now_s(self) -> float:
        """The time that is shown: the present, or that of a snapshot of before."""
        return self._clock() if self.time.is_live or self.snapshot is None else self.snapshot.at_s

    def scene(self) -> Scene | None:
        """What is shown, and what came before it."""
        if self.snapshot is None:
            return None
        return Scene(self.snapshot, self.history.window(self.time.index, LOOKS), self.now_s)

    def show(self) -> None:
        """Draw all that can be seen."""
        self._tick()
        scene = self.scene()
        if scene is None or not self._stands:
            return
        self.query_one(NodeTable).show(scene, self.size.width)
        getattr(self, f"_show_{self.view}")(scene)

    @property
    def _stands(self) -> bool:
        """Whether there is something to draw on: no longer while it ends, when a look may still come back."""
        return bool(self.query("#heading"))

    def _tick(self) -> None:
        if self._is_left():
            self.exit()
        if not self._stands:
            return
        self.query_one("#heading", Lines).redraw()
        place = self.query_one("#place", Static)
        place.update(self.time.sentence(self.size.width >= 100))
        place.set_class(not self.time.is_live, "past")

    def _heading(self, width: int) -> Line:
        snapshot = self.snapshot
        if snapshot is None:
            return (("looking at the cluster ...", "dim"),)
        mark = MARK if width >= MARK_WIDTH else ()
        return (*mark, *frame.heading(snapshot, self.now_s, width - width_of(mark)))

    def _show_overview(self, scene: Scene) -> None:
        self.query_one("#topology", Panel).draw(lambda width, height: topology.draw(scene, width, height))
        alarms, hidden = (which(scene.snapshot) for which in (self.acknowledged.shown, self.acknowledged.hidden))
        self.query_one("#happened", Panel).draw(
            lambda width, _: [
                *frame.alarm_lines(alarms, width, len(hidden)),
                *self._event_lines(scene, width, 100),
            ]
        )

        if self.screen_stack[0].has_class("-wide"):
            self.query_one("#trends", Charts).show(self.history.window(self.time.index, WINDOW))

    def _show_events(self, scene: Scene) -> None:
        self.query_one("#events", Panel).draw(lambda width, _: self._event_lines(scene, width, 500))

    def _show_proxy(self, scene: Scene) -> None:
        proxy = scene.snapshot.proxy
        self.query_one("#proxy", Panel).draw(lambda width, _: proxyview.proxy_lines(proxy, scene.now_s, width))

    def _show_log(self, scene: Scene) -> None:
        name, outcome = self._newest_log
        panel = self.query_one("#log", Panel)
        panel.border_title = f"Log of {name}" if name else "Log"
        panel.draw(lambda width, _: frame.log_lines(outcome, width))

    def _show_charts(self, scene: Scene) -> None:
        self.query_one("#charts", Charts).show(self.history.window(self.time.index, WINDOW))

    def _show_sql(self, scene: Scene) -> None:
        self.query_one(Console).aim(self.chosen)

    def events(self) -> list[Happening]:
        """Those that the filter lets through, up to the time that is shown; newest first."""
        until = None if self.time.is_live else self.now_s
        return [one for one in self.history.events(until) if one.severity in SEVERITIES[self._filter]]

    def _event_lines(self, scene: Scene, width: int, limit: int) -> list[Line]:
        lines = [line for one in self.events()[:limit] for line in frame.event_lines(one, scene.now_s, width)]
        if scene.snapshot.untold:
            lines = [*frame.alarm_lines([("events", scene.snapshot.untold)], width), *lines]
        return lines or [(("nothing has happened yet", "dim"),)]

    # Keys -----------------------------------------------------------------------------------------------------------

    def action_view(self, view: str) -> None:
        """Show another view below the nodes."""
        self.view = view
        self.query_one("#views", ContentSwitcher).current = view
        self.query_one(Tabs).choose(view)
        if view == "log":
            self._read_log_of_chosen()
        self.set_focus(self.query_one(StatementInput) if view == "sql" else self.query_one(NodeTable))
        self.call_after_refresh(self.show)

    @on(Tab.Chosen)
    def _tab_chosen(self, message: Tab.Chosen) -> None:
        self.action_view(message.view)

    def action_help(self) -> None:
        """The keys and the signs."""
        self.push_screen(Dialog("Help", help_lines()))

    @on(DataTable.RowSelected)
    def action_details(self) -> None:
        """The chosen node in full."""
        snapshot = self.snapshot
        node = snapshot.node(self.chosen) if snapshot else None
        if snapshot is not None and node is not None:
            self.push_screen(Dialog(node.name, node_lines(snapshot, node, self.now_s)))

    @on(DataTable.RowHighlighted)
    def _another(self) -> None:
        if self.view == "log":
            self._read_log_of_chosen()
        elif self.view == "sql":
            self.query_one(Console).aim(self.chosen)

    @property
    def chosen(self) -> str:
        """The node under the cursor; empty without nodes."""
        return self.query_one(NodeTable).chosen

    def action_theme(self) -> None:
        """Dark, or light."""
        self.theme = PALETTES["light" if self.current_theme.dark else "dark"].name
        self.call_after_refresh(self.show)

    def action_scroll_view(self, pages: int) -> None:
        """Move what is below the nodes: of several panels the last, which has the events."""
        panels = [one for one in self.query(Panel) if one.is_on_screen and one.region.height]
        if panels:
            panels[-1].scroll_relative(y=pages * max(1, panels[-1].size.height - 1), animate=False)

    def action_charts(self) -> None:
        """The charts, or those behind the ones that are shown."""
        if self.view == "charts":
            self.query_one("#charts", Charts).next()
        else:
            self.action_view("charts")

    def action_filter(self) -> None:
        """Fewer events, then all again."""
        self._filter = (self._filter + 1) % len(SEVERITIES)
        only = " and ".join(f"{word}s" for word in SEVERITIES[self._filter]) if self._filter else "all"
        for panel in ("#events", "#happened"):
            self.query_one(panel, Panel).border_title = f"Events: {only}" if self._filter else "Events"
        self.show()

    def action_acknowledge(self) -> None:
        """Ask whether the alarms that are there are to be shown no longer, or again."""
        snapshot = self.history.newest
        act = self.acknowledged.act(snapshot) if snapshot is not None else None
        plan = self.acknowledged.plan(act, snapshot) if act is not None and snapshot is not None else None
        if act is None or plan is None:
            self.notify("Nothing is to be acknowledged.", title="No alarm")
            return
        question = Question(act)
        self.push_screen(question)
        self.call_after_refresh(question.show_plan, plan)

    def action_step(self, looks: int) -> None:
        """So many looks on in time; back where it is negative."""
        if looks < 0 and len(self.history) and self.time.index == 0:
            self.notify(self.before, title="Nothing is known of before", severity="warning", markup=False)
        self.time.step(looks)
        self.show()

    def action_event(self, direction: int) -> None:
        """To the event before, or after, what is shown."""
        self.time.to_event(direction)
        self.show()

    def action_live(self) -> None:
        """Back to the present."""
        self.time.live()
        self.show()

    def action_hold(self) -> None:
        """Stay at what is shown, or go on."""
        self.time.hold()
        self.show()

    # Acts -----------------------------------------------------------------------------------------------------------

    def action_act(self, verb: str) -> None:
        """Ask whether something is to be done, with its dry run."""
        if self.snapshot is not None:
            self._ask(act_of(verb, self.snapshot, self.chosen))

    def _ask(self, act: Act) -> None:
        question = Question(act)
        self.push_screen(question)
        self._plan(question)

    @work(thread=True, exclusive=True, group="playbooks", exit_on_error=False)
    def action_playbooks(self) -> None:
        """Choose a playbook to run."""
        try:
            self.post_message(PlaybooksListed(self.gateway.playbooks()))
        except HeliosError as error:
            self.post_message(PlaybooksListed(error))

    @on(PlaybooksListed)
    def _playbooks_listed(self, message: PlaybooksListed) -> None:
        outcome = message.outcome
        if isinstance(outcome, HeliosError):
            said = f"{outcome.message}. {outcome.hint or ''}"
            self.notify(said, title="No playbook", severity="warning", markup=False)
        elif len(self.screen_stack) == 1:
            self.push_screen(
                Choice("Playbooks", outcome), lambda name: self._ask(Act("playbook", name)) if name else None
            )

    @work(thread=True, group="act", exit_on_error=False)
    def _plan(self, question: Question) -> None:
        try:
            self.post_message(Planned(question, self.gateway.plan(question.act)))
        except HeliosError as error:
            self.post_message(Planned(question, error))

    @on(Planned)
    def _planned(self, message: Planned) -> None:
        if message.question not in self.screen_stack:
            return
        if isinstance(message.outcome, HeliosError):
            message.question.show_refusal(message.outcome)
        else:
            message.question.show_plan(message.outcome)

    def carry_out(self, question: Question) -> None:
        """Do what was agreed to; what takes long holds up nobody who ends the monitor."""
        snapshot = self.history.newest
        if question.act.verb in ("acknowledge", "unacknowledge") and snapshot is not None:
            self.post_message(CarriedOut(question, self.acknowledged.carry_out(question.act, snapshot)))
            return

        def done() -> Message:
            try:
                return CarriedOut(question, self.gateway.carry_out(question.act))
            except HeliosError as error:
                return CarriedOut(question, error)

        self._aside(done)

    def _aside(self, work: Callable[[], Message]) -> None:
        """Do something in a thread that the end of the process does not wait for; its message comes back."""

        def run() -> None:
            message = work()
            with contextlib.suppress(RuntimeError):  # the monitor has ended meanwhile
                self.post_message(message)

        threading.Thread(target=run, name="aside", daemon=True).start()

    @on(CarriedOut)
    def _carried_out(self, message: CarriedOut) -> None:
        self.action_refresh_now()
        outcome, question = message.outcome, message.question
        if question not in self.screen_stack:
            failed = isinstance(outcome, HeliosError)
            said = outcome.message if isinstance(outcome, HeliosError) else words.cut(" ".join(outcome), 200)
            self.notify(said, title=question.act.title, severity="error" if failed else "information", markup=False)
        elif isinstance(outcome, HeliosError):
            question.show_refusal(outcome)
        else:
            question.show_result(outcome)

    # SQL ------------------------------------------------------------------------------------------------------------

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        text = message.value.strip()
        if not text:
            return
        self._sql_history.add(text)
        message.input.value = ""
        self.query_one(Console).show(text, None)
        self._run_sql(self.chosen, text)

    def _run_sql(self, node: str, text: str) -> None:
        def done() -> Message:
            try:
                return SqlRun(text, self.gateway.sql(node, text))
            except HeliosError as error:
                return SqlRun(text, error)

        self._aside(done)

    @on(SqlRun)
    def _sql_run(self, message: SqlRun) -> None:
        if self._stands:
            self.query_one(Console).show(message.text, message.outcome)

    # Logs -----------------------------------------------------------------------------------------------------------

    def _read_log_of_chosen(self) -> None:
        if self.chosen:
            self._read_log(self.chosen)

    @work(thread=True, exclusive=True, group="log", exit_on_error=False)
    def _read_log(self, name: str) -> None:
        try:
            self.post_message(LogRead(name, self.gateway.log_tail(name, LOG_LINES)))
        except HeliosError as error:
            self.post_message(LogRead(name, error))

    @on(LogRead)
    def _log_read(self, message: LogRead) -> None:
        self._newest_log = (message.name, message.outcome)
        scene = self.scene()
        if self.view == "log" and scene is not None and self._stands:
            self._show_log(scene)
