"""Names of settings and of parameters as they were before 0.1.0, and as they are now.

Runs of before are kept in `tests/before`; a test reads them with this map and gets the outputs of before. It
goes with the release of 0.1.0, which reads no older runs.
"""

# Setting -> its name now. None: gone.
SETTINGS: dict[str, str | None] = {
    "model.decoder.reads": "model.decoder.context_source",
    "model.decoder.context": "model.decoder.context_to",
    "model.decoder.query": "model.decoder.query_state",
    "model.attention.queries": "model.attention.query_input",
    "model.attention.past": "model.attention.history",
    "model.attention.expected": "model.attention.expectation_prob",
    "model.attention.decoding": "model.attention.at_inference",
    "model.attention.positions": "model.attention.max_positions",
    "model.encoder.side": "model.encoder.image_size",
    "model.encoder.fit": "model.encoder.resize",
    "model.encoder.time": "model.encoder.temporal",
    "model.encoder.time_layers": "model.encoder.temporal_layers",
    "model.encoder.time_heads": "model.encoder.temporal_heads",
    "model.encoder.frames": "model.encoder.max_frames",
    "train.captions": "train.captions_per_image",
    "train.crop": "train.max_crop",
    "train.colour": "train.color_jitter",
    "train.reinforce": "train.reinforce.weight",
    "train.entropy": "train.reinforce.entropy_weight",
    "train.baseline": "train.reinforce.baseline_decay",
    "train.compared": "train.self_critical.baseline",
    "train.samples": "train.self_critical.samples",
    "train.self_critical": "train.self_critical.start_step",
    "train.clip": "train.clip_norm",
    "train.decay": "train.plateau_factor",
    "train.decay_patience": "train.plateau_patience",
    "train.unfreeze": "train.unfreeze_step",
    "train.backbone_lr": "train.backbone_lr_factor",
    "model.attention.shown": None,
    "model.decoder.weights_of": None,
}

# Values that have another name now: (setting's name now, value) -> value now.
VALUES = {("model.decoder.context_source", "nothing"): "none"}

# Parameters: regular expressions over the names in model.safetensors, applied in turn.
PARAMETERS: list[tuple[str, str]] = [
    # a convolutional decoder's attention in several heads has an `out` too: no run of before is such
    (r"\.layers\.(\d+)\.attention\.(maps|out)\.", r".layers.\1.self_attn.\2."),
    (r"\.self_attn\.maps\.", ".self_attn.qkv."),
    (r"\.score\.past\.", ".score.history_proj."),
    (r"\.attention\.term\.", ".attention.history_feature."),
    (r"\.source_attention\.", ".cross_attn."),
    (r"\.feedforward\.into\.", ".ffn.up."),
    (r"\.feedforward\.out\.", ".ffn.down."),
    (r"\.attending\.norm\.", ".self_attn_norm."),
    (r"\.reading\.norm\.", ".cross_attn_norm."),
    (r"\.feeding\.norm\.", ".ffn_norm."),
    (r"\.asking\.", ".query_proj."),
    (r"\.answer\.", ".context_proj."),
    (r"^(encoder|decoder)\.into\.", r"\1.in_proj."),
    (r"^(encoder|decoder)\.out\.", r"\1.out_proj."),
    (r"^decoder\.down\.", "decoder.output_proj."),
    (r"\.(\d+)\.input\.", r".\1.input_to_gates."),
    (r"\.(\d+)\.fed\.", r".\1.feedback."),
    (r"\.(\d+)\.state\.", r".\1.hidden_to_gates."),
    (r"^encoder\.map\.", "encoder.proj."),
    (r"^encoder\.time\.", "encoder.temporal."),
    (r"^encoder\.backbone\.module\.", "encoder.backbone.net."),
]
