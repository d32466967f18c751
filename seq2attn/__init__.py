"""seq2attn: train, run and explain sequence-to-sequence models with attention.

    import seq2attn

    prepared = seq2attn.prepare("my_pairs.tsv", "prepared/mine", source="en", target="de")
    run = seq2attn.train("first-try", data=prepared.path, out="runs/mine", settings=["train.seed=2"])
    reports = seq2attn.evaluate(run.path)
    translator = seq2attn.load(run.path)
    translator.translate(["The small dog sleeps."])

Names and defaults are those of the command line. Importing this package is cheap: names are imported on first
use, and torch with the first call that needs it. Notes and warnings go to the logger "seq2attn".
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seq2attn.version import __version__ as __version__

if TYPE_CHECKING:
    from seq2attn.data.prepared import Prepared as Prepared
    from seq2attn.errors import UsageError as UsageError
    from seq2attn.errors import UserError as UserError
    from seq2attn.explaining.comparison import Comparison as Comparison
    from seq2attn.explaining.comparison import compare as compare
    from seq2attn.explaining.experiment import Experiment as Experiment
    from seq2attn.explaining.explanation import Explanation as Explanation
    from seq2attn.explaining.explanation import explain as explain
    from seq2attn.explaining.explanation_page import write_page as write_page
    from seq2attn.inference import Caption as Caption
    from seq2attn.inference import Captioner as Captioner
    from seq2attn.inference import SearchOptions as SearchOptions
    from seq2attn.inference import Translation as Translation
    from seq2attn.inference import Translator as Translator
    from seq2attn.inference.drawing import plot as plot
    from seq2attn.runs.directory import Run as Run
    from seq2attn.tasks.alignment import align as align
    from seq2attn.tasks.audit import audit as audit
    from seq2attn.tasks.audit_report import AuditReport as AuditReport
    from seq2attn.tasks.back_translation import BackTranslation as BackTranslation
    from seq2attn.tasks.back_translation import back_translate as back_translate
    from seq2attn.tasks.calibration import calibrate as calibrate
    from seq2attn.tasks.calibration_report import CalibrationReport as CalibrationReport
    from seq2attn.tasks.curves import plot_training as plot_training
    from seq2attn.tasks.evaluation import evaluate as evaluate
    from seq2attn.tasks.importing import import_model as import_model
    from seq2attn.tasks.loading import load as load
    from seq2attn.tasks.preparation import prepare as prepare
    from seq2attn.tasks.presets import Preset as Preset
    from seq2attn.tasks.presets import presets as presets
    from seq2attn.tasks.pushing import push as push
    from seq2attn.tasks.report import Mean as Mean
    from seq2attn.tasks.report import Report as Report
    from seq2attn.tasks.report import Reports as Reports
    from seq2attn.tasks.training import Training as Training
    from seq2attn.tasks.training import train as train
    from seq2attn.tasks.training import training_session as training_session

_MODULES = {
    "AuditReport": "tasks.audit_report",
    "BackTranslation": "tasks.back_translation",
    "CalibrationReport": "tasks.calibration_report",
    "Caption": "inference",
    "Captioner": "inference",
    "Comparison": "explaining.comparison",
    "Experiment": "explaining.experiment",
    "Explanation": "explaining.explanation",
    "Mean": "tasks.report",
    "Prepared": "data.prepared",
    "Preset": "tasks.presets",
    "Report": "tasks.report",
    "Reports": "tasks.report",
    "Run": "runs.directory",
    "SearchOptions": "inference",
    "Training": "tasks.training",
    "Translation": "inference",
    "Translator": "inference",
    "UsageError": "errors",
    "UserError": "errors",
    "align": "tasks.alignment",
    "audit": "tasks.audit",
    "back_translate": "tasks.back_translation",
    "compare": "explaining.comparison",
    "calibrate": "tasks.calibration",
    "evaluate": "tasks.evaluation",
    "explain": "explaining.explanation",
    "import_model": "tasks.importing",
    "load": "tasks.loading",
    "plot": "inference.drawing",
    "plot_training": "tasks.curves",
    "prepare": "tasks.preparation",
    "presets": "tasks.presets",
    "push": "tasks.pushing",
    "train": "tasks.training",
    "training_session": "tasks.training",
    "write_page": "explaining.explanation_page",
}
__all__ = ["__version__"]
__all__.extend(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"seq2attn.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
