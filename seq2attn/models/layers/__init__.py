"""What encoders and decoders are built from: cells, convolutions, Transformer layers, positions, caches."""
