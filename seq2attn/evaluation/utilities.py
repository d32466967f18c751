"""A utility function in place of its name among the options of a search."""

from dataclasses import replace

from seq2attn.inference.options import SearchOptions


def with_utility(options: SearchOptions, language: str | None) -> SearchOptions:
    """The options with `text.utility` for outputs in that language if `utility` is a name.

    Raises UsageError if there is no utility of that name.
    """
    if not isinstance(options.utility, str):
        return options
    from seq2attn.evaluation import text  # imports sacreBLEU, which only a name needs

    return replace(options, utility=text.utility(options.utility, language))
