"""Settings that may name code of the user's own, `package.module:name`, in place of one of our names.

Only the form of the name is checked here: nothing is imported.
"""

import re
from typing import Any

from pydantic import PlainSerializer, ValidatorFunctionWrapHandler, WrapValidator

NAMES_CODE = ("model.attention.score", "model.attention.normaliser")  # a class; a backbone is a function too
FORM = "package.module:Class of your own"
_CODE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_code(value: object) -> bool:
    """Whether a value of a setting is the name of code: `package.module:name`."""
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def _name_or_code(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    return value if is_code(value) else check(value)


# Both stand beside a Literal in `Annotated`, which then allows its names and names of code. Type checkers see
# the Literal alone.
OR_CODE, AS_TEXT = WrapValidator(_name_or_code), PlainSerializer(str, return_type=str)
