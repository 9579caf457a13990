"""
The commands, and the one place that turns an EdgeError into a message and an exit code.

Each command's modules are imported only when it runs: a publisher never loads numpy, vision never loads the MQTT
library.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge import __version__
from edge.cli import types
from edge.config import schema
from edge.config.schema import VisionSettings
from edge.core import head_model
from edge.core.clock import Clock, KernelClock
from edge.core.errors import ConfigError, EdgeError
from edge.core.systemd import Notifier

if TYPE_CHECKING:
    from edge.vision.seal import Seal


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (see edge.core.errors)."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    try:
        return int(options.command(options) or 0)
    except EdgeError as exc:
        print(f"footfall: {exc}", file=sys.stderr)
        return exc.exit_code
    except BrokenPipeError:
        # Whoever read our output has heard enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as exc:
        # What no module has foreseen: mostly an output that can't be written.
        print(f"footfall: {exc}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return os.EX_IOERR
    except KeyboardInterrupt:
        return 130


def _vision(options: argparse.Namespace) -> None:
    # Sealed, it may live in a root of its own, from another folder.
    options.config = options.config.absolute()
    settings = schema.load(options.config).vision(options.camera)
    from edge.sandbox.readiness import Readiness

    readiness = Readiness()
    diode = settings.tally if options.diode is None else None
    seal = None if options.unsealed else _seal(settings, diode, [options.config.parent])
    from edge.vision import process

    def load() -> schema.VisionSettings:
        return schema.load(options.config).vision(options.camera)

    process.run(
        load,
        _clock(options),
        readiness,
        seal,
        diode=options.diode,
        window=options.window,
        picture=not options.no_picture,
    )


def _publisher(options: argparse.Namespace) -> None:
    from edge.publisher import process

    # Confined, it may live in a root of its own, from another folder.
    options.config = options.config.absolute()

    def load() -> schema.PublisherSettings:
        return schema.load(options.config).publisher()

    process.run(load, _clock(options), dict(options.diode), Notifier(), options.config)


def _run(options: argparse.Namespace) -> int:
    from edge.technician import trial

    return trial.run(options.config, options.trial_speed, sealed=not options.unsealed)


def _count(options: argparse.Namespace) -> None:
    from edge.evaluation import count

    contract = head_model.read(options.model)
    if options.line is not None:
        lines = {"line": schema.line(options.line, options.inside)}
    elif options.camera is not None:
        lines = dict(schema.load(options.config).vision(options.camera).camera.lines)
    else:
        raise ConfigError(
            "--line", ["say where the line is: --line x1,y1,x2,y2 --inside x,y, or --config F --camera C"]
        )
    count.run(options.clip, lines, contract, fps=options.fps, as_json=options.json)


def _evaluate(options: argparse.Namespace) -> None:
    from edge.evaluation import evaluate

    contract = head_model.read(options.model)
    evaluate.run(options.folder, contract, fps=options.fps, html=options.html, as_json=options.json)


def _privacy(options: argparse.Namespace) -> int:
    from edge.technician import privacy

    return privacy.run(options.config, options.report)


def _check(options: argparse.Namespace) -> int:
    from edge.technician.check import check

    return check.run(options.config, as_json=options.json)


def _config(options: argparse.Namespace) -> None:
    from edge.technician import reference

    if options.form == "cameras":
        print("\n".join(schema.load(options.config).cameras))
        return
    forms = {"example": reference.example, "schema": reference.schema_text, "reference": reference.reference}
    sys.stdout.write(forms[options.form]())


def _bench(options: argparse.Namespace) -> None:
    from edge.technician import bench

    bench.run(options.config, options.camera, options.seconds, as_json=options.json)


def _status(options: argparse.Namespace) -> None:
    from edge.technician import status

    status.run(schema.load(options.config), watch=options.watch)


def _counts(options: argparse.Namespace) -> None:
    from edge.technician import counts

    counts.run(schema.load(options.config), options.first, options.last, options.camera, options.form)


def _measure(options: argparse.Namespace) -> None:
    settings = schema.load(options.config).vision(options.camera)
    if options.look:
        seal = _seal(settings)
    else:
        from edge.vision.seal import Seal

        seal = Seal([], needed=_model_folder(settings))
    from edge.vision import measurement

    if options.look:
        measurement.look(settings, KernelClock(), options.seconds, seal)
    else:
        measurement.time_stages(settings, options.seconds, seal)


def _seal(settings: VisionSettings, diode: Path | None = None, needed: Sequence[Path] = ()) -> Seal:
    """Begin to seal this process, before numpy, OpenCV and the interpreter start threads, which would be left out."""
    from edge.vision.seal import Seal

    camera = settings.camera
    needed = [*needed, *_model_folder(settings)]
    if not camera.live and not camera.helped:
        needed.append(Path(camera.source).absolute().parent)
    return Seal([Path(camera.source)] if camera.live else [], diode=diode, helper=camera.helped, needed=needed)


def _model_folder(settings: VisionSettings) -> list[Path]:
    """Return where the config's own model lies; nothing if it is the one that is shipped."""
    return [] if settings.model is None else [settings.model.absolute().parent]


def _setup(options: argparse.Namespace) -> int:
    from edge.technician.setup import process

    return process.run(options.config, options.camera, port=options.port, minutes=options.minutes)


def _audit(options: argparse.Namespace) -> int:
    from edge.technician.audit import process

    return process.run(
        options.config,
        options.camera,
        line=options.line,
        port=options.port,
        minutes=options.minutes,
        folder=options.reports,
    )


def _demo(options: argparse.Namespace) -> int:
    from edge.technician import demo

    return demo.run(port=options.port, speed=options.speed)


def _collect(options: argparse.Namespace) -> None:
    from edge.headquarters import collect

    if options.rejudge:
        said = collect.rejudge(options.store, KernelClock(), trial=options.trial)
        print(f"{said.booked} hours stored, {said.repeated} known already; the rest stays in quarantine")
        return
    collect.run(
        _broker(options),
        options.name,
        options.store,
        KernelClock(),
        share=options.share,
        trial=options.trial,
        leave=options.leave,
    )


def _watch(options: argparse.Namespace) -> None:
    from edge.headquarters import watch

    watch.run(_broker(options), KernelClock(), options.store)


def _report(options: argparse.Namespace) -> None:
    from edge.headquarters import report

    report.run(
        options.store,
        KernelClock(),
        html=options.html,
        csv_file=options.csv,
        parquet=options.parquet,
        sites=options.site,
        last=options.last,
        days=options.days,
    )


def _simulate(options: argparse.Namespace) -> int:
    from edge.headquarters import simulate

    wish = simulate.Wish(options.boxes, options.hours, options.outage, not options.no_spread, options.hour_s)
    return simulate.run(wish, KernelClock(), json_file=options.json)


def _make_broker(options: argparse.Namespace) -> None:
    from edge.headquarters import broker

    boxes = list(options.box)
    if options.boxes is not None:
        boxes += options.boxes.read_text(encoding="utf-8").split()
    try:
        accounts = [broker.parse(box) for box in boxes]
    except ValueError as exc:
        raise ConfigError("broker", [str(exc)]) from exc
    broker.run(options.folder, options.host, accounts, options.collector, port=options.port)


def _broker(options: argparse.Namespace) -> schema.Broker:
    from edge.headquarters import address

    if options.broker is None:
        raise ConfigError("--broker", ["say where the broker is: --broker mqtts://mqtt.example.com"])
    return address.broker_at(
        options.broker,
        username=options.username,
        password_file=options.password_file,
        ca_file=options.ca_file,
        protocol=options.protocol,
    )


def _clock(options: argparse.Namespace) -> Clock:
    return options.trial_clock or KernelClock()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="footfall", description="Counts who goes in and out of a shop's door, on this box."
    )
    parser.add_argument("--version", action="version", version=f"footfall-edge {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    vision = commands.add_parser("vision", help="see one camera and count (a service)")
    vision.add_argument("camera", metavar="CAMERA", help="its name in the config")
    _add_config(vision)
    vision.add_argument("--diode", type=int, metavar="FD", help="write to this inherited pipe instead of the FIFO")
    vision.add_argument("--window", type=int, metavar="FD", help=argparse.SUPPRESS)
    vision.add_argument("--no-picture", action="store_true", help=argparse.SUPPRESS)
    vision.add_argument("--unsealed", action="store_true", help="don't seal the process; for development only")
    _add_trial_clock(vision)
    vision.set_defaults(command=_vision)

    publisher = commands.add_parser("publisher", help="keep the ledger and tell headquarters (a service)")
    _add_config(publisher)
    publisher.add_argument(
        "--diode",
        type=types.camera_descriptor,
        action="append",
        default=[],
        metavar="CAMERA=FD",
        help="read this camera's tallies from an inherited pipe instead of the FIFO",
    )
    _add_trial_clock(publisher)
    publisher.set_defaults(command=_publisher)

    run = commands.add_parser("run", help="both, from one terminal, for a trial")
    _add_config(run)
    run.add_argument(
        "--trial-speed",
        type=types.number(0.01, 10_000),
        metavar="N",
        help="a made-up clock that runs N times as fast",
    )
    run.add_argument("--unsealed", action="store_true", help="don't seal vision; for development only")
    run.set_defaults(command=_run)

    count = commands.add_parser("count", help="count a clip as fast as it goes")
    count.add_argument("clip", type=Path, metavar="CLIP")
    count.add_argument("--line", type=types.numbers(4), metavar="x1,y1,x2,y2", help="as shares of the picture, 0 to 1")
    count.add_argument("--inside", type=types.numbers(2), metavar="x,y", default=(), help="a point on the shop's side")
    count.add_argument("--camera", metavar="CAMERA", help="take the lines of this camera in the config instead")
    _add_config(count)
    _add_counting(count)
    count.add_argument("--json", action="store_true", help="one JSON object a crossing, then a summary, on stdout")
    count.set_defaults(command=_count)

    evaluate = commands.add_parser("evaluate", help="hold the counts of clips against the truth beside them")
    evaluate.add_argument("folder", type=Path, metavar="DIR", help="holds door.mp4 and door.json, and so on")
    _add_counting(evaluate)
    evaluate.add_argument("--json", action="store_true", help="one JSON object on stdout instead of a table")
    evaluate.add_argument("--html", type=Path, metavar="FILE", help="also write a page with a time line for each clip")
    evaluate.set_defaults(command=_evaluate)

    privacy = commands.add_parser("privacy", help="what the kernel says that each process can do, and what has left")
    _add_config(privacy)
    privacy.add_argument("--report", type=Path, metavar="FILE", help="also write it as a page for an inspector")
    privacy.set_defaults(command=_privacy)

    _add_visit(commands)
    _add_door(commands)

    demo = commands.add_parser("demo", help="the whole path on the demo clip, against a broker on this machine")
    demo.add_argument("--port", type=int, default=1883, help="the broker's port on loopback (default 1883)")
    demo.add_argument("--speed", type=float, default=60.0, help="how much faster the trial's clock runs (default 60)")
    demo.set_defaults(command=_demo)
    _add_headquarters(commands)
    return parser


def _add_headquarters(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    collect = commands.add_parser("collect", help="headquarters: store every hour, durably (a service)")
    _add_broker(collect)
    _add_store(collect)
    collect.add_argument(
        "--name", type=types.name, default="1", metavar="N", help="this collector's; each has its own (default 1)"
    )
    collect.add_argument("--share", action="store_true", help="split the load with all collectors that share")
    collect.add_argument("--trial", action="store_true", help="store the hours of trials and rehearsals, too")
    collect.add_argument("--leave", action="store_true", help="empty what the broker keeps for this name, and go")
    collect.add_argument("--rejudge", action="store_true", help="store what is in quarantine and passes now, and go")
    collect.set_defaults(command=_collect)

    watch = commands.add_parser("watch", help="headquarters: a live table of all boxes")
    _add_broker(watch)
    watch.add_argument("--store", metavar="URL", help="begin with what this store knows")
    watch.set_defaults(command=_watch)

    report = commands.add_parser("report", help="headquarters: a page with pictures, CSV or Parquet, from the store")
    _add_store(report)
    report.add_argument("--html", type=Path, metavar="FILE", help="write one page, without outside assets")
    report.add_argument("--csv", type=Path, metavar="FILE", help="write one row an hour, the missing ones too")
    report.add_argument("--parquet", type=Path, metavar="FILE", help="the same for data frames")
    report.add_argument("--site", action="append", default=[], metavar="NAME", help="only this site; may be repeated")
    report.add_argument("--last", type=types.day, metavar="DAY", help="the last day (default: yesterday)")
    report.add_argument("--days", type=types.days, default=28, metavar="N", help="how many days, 1 to 366 (default 28)")
    report.set_defaults(command=_report)

    broker = commands.add_parser("broker", help="headquarters: a secured mosquitto configuration, with its accounts")
    broker.add_argument("folder", type=Path, metavar="DIR", help="made, or extended, here")
    broker.add_argument("--host", required=True, metavar="NAME", help="the broker's name, as boxes know it")
    broker.add_argument("--port", type=int, default=8883, help="to listen on (default 8883)")
    broker.add_argument("--box", action="append", default=[], metavar="SITE/CAMERA,...", help="a box; may be repeated")
    broker.add_argument("--boxes", type=Path, metavar="FILE", help="holds many of them, divided by white space")
    broker.add_argument("--collector", action="append", default=[], metavar="NAME", help="an account that may read")
    broker.set_defaults(command=_make_broker)

    simulate = commands.add_parser("simulate", help="headquarters: rehearse with thousands of boxes on this machine")
    simulate.add_argument(
        "--boxes", type=int, default=100, metavar="N", help="how many, with a camera each (default 100)"
    )
    simulate.add_argument("--hours", type=int, default=1, metavar="H", help="how many hours each tells (default 1)")
    simulate.add_argument(
        "--outage", type=int, default=0, metavar="H", help="no broker for H hours, from the second on"
    )
    simulate.add_argument(
        "--hour-s", type=float, default=130.0, metavar="S", help="seconds from turn to turn (default 130)"
    )
    simulate.add_argument("--no-spread", action="store_true", help="all boxes speak at the same moment")
    simulate.add_argument("--json", type=Path, metavar="FILE", help="also write every figure, second by second")
    simulate.set_defaults(command=_simulate)


def _add_broker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--broker", metavar="URL", help="mqtts://mqtt.example.com:8883, or mqtt:// without TLS")
    parser.add_argument("--username", metavar="NAME", help="the account that may read")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="holds its password")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="authority that signed the broker's certificate")
    parser.add_argument("--protocol", choices=["5", "3.1.1"], default="5", help="MQTT version (default 5)")


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        default="hours.sqlite",
        metavar="URL",
        help="postgresql://... or the path of an SQLite file (default hours.sqlite)",
    )


def _add_visit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add what a technician types at the door."""
    check = commands.add_parser("check", help="everything that has to be right at the door, one line each")
    _add_config(check)
    check.add_argument("--json", action="store_true", help="one JSON object on stdout instead of lines")
    check.set_defaults(command=_check)

    measurement = commands.add_parser(
        "measure", help="what check and bench start to measure with: sealed, prints figures"
    )
    measurement.add_argument("camera", metavar="CAMERA", help="its name in the config")
    _add_config(measurement)
    measurement.add_argument("--look", action="store_true", help="look through the camera instead of timing the stages")
    measurement.add_argument(
        "--seconds", type=types.number(0.5, 3600), default=10.0, metavar="N", help="for so long (default 10)"
    )
    measurement.set_defaults(command=_measure)

    about = commands.add_parser("config", help="what footfall.yaml says, and what it may hold")
    _add_config(about)
    forms = about.add_mutually_exclusive_group(required=True)
    for name, what in (
        ("cameras", "the cameras' names, one a line"),
        ("example", "a whole file to begin with, every key explained"),
        ("schema", "a JSON Schema that editors check it with"),
        ("reference", "every key as a table, in Markdown"),
    ):
        forms.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=what)
    about.set_defaults(command=_config)

    bench = commands.add_parser("bench", help="how fast this box is, stage by stage")
    _add_config(bench)
    bench.add_argument("--camera", metavar="CAMERA", help="measure with its size and rate (default: the first)")
    bench.add_argument(
        "--seconds", type=types.number(0.5, 3600), default=20.0, metavar="N", help="for so long (default 20)"
    )
    bench.add_argument("--json", action="store_true", help="one JSON object on stdout instead of tables")
    bench.set_defaults(command=_bench)

    status = commands.add_parser("status", help="what this box is doing now, and today's hours")
    _add_config(status)
    status.add_argument("--watch", action="store_true", help="show it again every few seconds until Ctrl-C")
    status.set_defaults(command=_status)

    counts = commands.add_parser("counts", help="the hours in this box's ledger")
    _add_config(counts)
    counts.add_argument(
        "--from",
        dest="first",
        type=types.day,
        metavar="DAY",
        help="from this day on, 2026-11-24 (default: six days ago)",
    )
    counts.add_argument(
        "--to", dest="last", type=types.day, metavar="DAY", help="up to and with this day (default: today)"
    )
    counts.add_argument("--camera", metavar="CAMERA", help="only this one's")
    form = counts.add_mutually_exclusive_group()
    form.add_argument(
        "--csv", dest="form", action="store_const", const="csv", help="one line for each line of each hour"
    )
    form.add_argument("--json", dest="form", action="store_const", const="json", help="the messages, one a line")
    counts.set_defaults(command=_counts, form="table")


def _add_door(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add what a technician does at the door itself."""
    setup = commands.add_parser("setup", help="draw a camera's lines on a page, over a silhouette")
    setup.add_argument("camera", metavar="CAMERA", help="its name in the config")
    _add_config(setup)
    _add_page(setup, minutes=15)
    setup.set_defaults(command=_setup)

    audit = commands.add_parser("audit", help="count beside the box, by taps or keys, and sign what came of it")
    audit.add_argument("camera", metavar="CAMERA", help="its name in the config")
    _add_config(audit)
    _add_page(audit, minutes=15)
    audit.add_argument("--line", metavar="NAME", help="only this line of the camera (default: all of them, added)")
    audit.add_argument("--reports", type=Path, metavar="DIR", help="where reports go (default: audits, by the ledger)")
    audit.set_defaults(command=_audit)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        default=schema.DEFAULT_PATH,
        metavar="F",
        help=f"the config file (default {schema.DEFAULT_PATH})",
    )


def _add_counting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fps", type=types.number(1, 60), default=15.0, metavar="N", help="look at N frames a second (default 15)"
    )
    parser.add_argument("--model", type=Path, metavar="FILE", help="another head model's contract, head.json")


def _add_page(parser: argparse.ArgumentParser, minutes: float) -> None:
    parser.add_argument("--port", type=int, default=8770, metavar="N", help="the page's, on 127.0.0.1 (default 8770)")
    parser.add_argument(
        "--minutes",
        type=types.number(0.05, 240),
        default=minutes,
        metavar="N",
        help=f"it ends by itself after N (default {minutes:g})",
    )


def _add_trial_clock(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trial-clock", type=types.trial_clock, metavar="SPEC", help=argparse.SUPPRESS)


if __name__ == "__main__":
    sys.exit(main())
