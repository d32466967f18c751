"""A CUDA device without a GPU, for a CPU build of torch: see `device.cpp` and `__main__`.

    build        compiles the C++ part
    install      makes the device; call it before torch is imported
    counts       operations, copies and waits so far
    cuda_module  stands in for torch.cuda
    cudnn        for torch.lstm, torch.gru and torch.rnn_tanh
    attention    for scaled_dot_product_attention
    graphs       for CUDA graphs and streams
    nccl         for NCCL
    workload     an update and decoding steps of a preset
    smoke        every preset in every number format
    table        the counts of presets, as JSON and as Markdown

The environment variables SIMULATED_CUDA_DEVICES=2 and SIMULATED_CUDA_CAPABILITY=7.5 make two devices, or a
T4, and SIMULATED_CUDA_MEMORY=64 gives all devices together 64 MiB. What fails here fails on a GPU. What
passes here may still fail there: the kernels are the CPU's.
"""
