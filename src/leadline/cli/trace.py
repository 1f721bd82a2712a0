"""``leadline trace``: watch a live process and name the line that leaks descriptors."""

from __future__ import annotations

import typer

from leadline.cli import _options as opt

EPILOG = """\
Examples:

    sudo leadline trace 4711                       half a minute, then the report

    sudo leadline trace port:8080 -d 2m --source . with the lines of code

    sudo leadline trace name:api --until-sure -d 10m -o api.leadline --html api.html

Ctrl-C ends the watch early and still reports. Exit status: 0 nothing found, 1 findings, 2 could not run.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("trace", epilog=EPILOG)
    def trace(
        target: opt.Target,
        *,
        duration: opt.Duration = "30s",
        follow: opt.Follow = False,
        until_sure: opt.UntilSure = False,
        no_uprobes: opt.NoUprobes = False,
        no_runtime: opt.NoRuntime = False,
        retention: opt.Retention = False,
        heap_limit: opt.HeapLimit = "512MiB",
        source: opt.Source = None,
        output: opt.Case = None,
        json: opt.Json = False,
        html: opt.Html = None,
        pprof: opt.Pprof = None,
        flame: opt.Flame = None,
        sarif: opt.Sarif = None,
        junit: opt.JUnit = None,
        github: opt.GitHub = False,
        force: opt.Force = False,
        exit_zero: opt.ExitZero = False,
        fail_on_gap: opt.FailOnGap = False,
        verbose: opt.Verbose = False,
    ) -> None:
        """Watch a live process and name the line that leaks descriptors.

        Every descriptor that is born or dies is counted in the kernel with the stack that made it; at the end each birthplace is
        judged: leaking, plateau, churning, long-lived, or too little evidence. The target is never stopped and only read.
        """
        from leadline.app.outputs import OutputOptions, deliver  # noqa: PLC0415
        from leadline.app.probes import HeapSearch  # noqa: PLC0415
        from leadline.app.runtime import heap_progress  # noqa: PLC0415
        from leadline.app.trace import TraceOptions, trace_target  # noqa: PLC0415
        from leadline.model import parse_duration_ns, parse_size_bytes  # noqa: PLC0415

        outputs = OutputOptions(
            case=output, json=json, html=html, pprof=pprof, flame=flame, sarif=sarif, junit=junit, github=github,
            force=force, verbose=verbose,
        )  # fmt: skip
        outputs.check()
        case = trace_target(
            target,
            TraceOptions(
                duration_ns=parse_duration_ns(duration),
                follow=follow,
                until_sure=until_sure,
                uprobes=not no_uprobes,
                source=source,
                runtime=None
                if no_runtime
                else HeapSearch(
                    "always" if retention else "when-needed", parse_size_bytes(heap_limit), heap_progress()
                ),
            ),
        )
        raise typer.Exit(deliver(case, outputs, exit_zero=exit_zero, fail_on_gap=fail_on_gap))
