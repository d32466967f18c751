"""The training loop: updates, objectives, schedules, saved states, several processes.

It knows no command line, no search and no source of data.
"""
