"""`seq2attn audit`: which attention of a run can be trusted."""

from seq2attn.cli import audit_options as options
from seq2attn.cli import console, flags, mistaken
from seq2attn.cli.output import result_files, table_report
from seq2attn.errors import UsageError


def audit(
    run: options.Run,
    data: flags.PreparedData = None,
    split: options.Split = "test",
    limit: options.Limit = 500,
    reverse: options.Reverse = None,
    as_json: options.AsJson = False,
    output: options.Output = None,
    remember: options.Remember = False,
    seed: flags.Seed = 1,
    device: flags.Device = "auto",
    allow_code: flags.AllowCode = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Score every layer and head of the attention, and attributions: do they align, point, and name what the
    model uses?

    Each head is read at the step that writes a word, and at the next step, which reads it. Beside attention
    stand input x gradient, integrated gradients, occlusion, and a random method. The first lines say what was
    found, and what is wrong with the attention if anything is.
    """
    if output is not None:
        if output.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"-o {output}: the page's name must end in .html")
        result_files.check_place(output, "-o")
    for one in filter(None, (run, reverse)):
        mistaken.refuse_no_run(one)
    from seq2attn.tasks.audit import audited

    report = audited(run, data, split, limit, reverse, remember, seed, device, allow_code, console.progress)
    if output is not None:
        from seq2attn.plotting import html_audit

        html_audit.save(
            report.table(whole=True), output, f"Audit of {run}", [*report.sentences()], [*report.legend()]
        )
    table_report.show(report, as_json)
