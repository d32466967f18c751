"""How the work of one call is shared out to the cores.

Sources of similar length form batches (`batches`). There are four ways to compute them:

1. On a GPU one batch after the other.
2. On a CPU with one thread: the same.
3. On a CPU with several threads, one batch for each thread (`threads`). The steps of a search are small, so
   all cores on one batch would wait for one another. Python itself runs in one thread at a time, which limits
   the gain.
4. With `processes=True` on Linux, one batch for each forked process (`fork_pool`), if the call is large
   enough to pay for their start. Each has a Python of its own, and the models are in memory once.

Results are the same to the last bit in 2, 3 and 4: every batch is computed by one thread of torch, and its
shape is padded so that matrix products choose the same kernels (`batches.GROUP`, `batches.STEP`).
`fork_safety` makes a process that somebody else forked either work or fail with a message, instead of
waiting for ever.
"""
