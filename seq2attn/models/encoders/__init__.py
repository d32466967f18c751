"""One encoder a file. An encoder knows no decoder: it hands over a `models.memory.Memory`."""
