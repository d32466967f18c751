"""One decoder a file. A decoder knows no encoder: it is given a `models.memory.Memory`."""
