"""The training loop: updates, schedules, saved states, several processes. It knows no command line, no search
and no data source.
"""
