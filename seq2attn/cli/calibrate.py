"""`seq2attn calibrate`: how sure a run may be of each word that it writes."""

from seq2attn.cli import calibrate_options as options
from seq2attn.cli import console, flags, mistaken
from seq2attn.cli.output import table_report


def calibrate(
    run: options.Run,
    data: flags.PreparedData = None,
    split: options.Split = "test",
    limit: options.Limit = 2000,
    as_json: options.AsJson = False,
    device: flags.Device = "auto",
    allow_code: flags.AllowCode = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Learn how probable it is that a word of the run's output is right.

    The run writes its output for the split valid. The command compares it with the references, fits a
    logistic regression on the probabilities of tokens and on attention, and writes RUN/confidence.json. From
    then on `translate --confidence` and `caption --confidence` give each word its probability. The first
    lines say how well this works on another split.
    """
    mistaken.refuse_no_run(run)
    from seq2attn.tasks.calibration import calibrate_run

    report = calibrate_run(run, data, split, limit, device, allow_code, console.progress)
    table_report.show(report, as_json)
