"""Every setting of a run: frozen, typed, read from TOML or JSON, changed by `KEY=VALUE`.

    schema       every setting: its type, default, one plain sentence, and when it acts
    scores       the names of the scores, with their formulas
    own_code     settings that may name code of the user's own
    marks        how a setting says when it acts
    consistency  what settings must agree on, one function for each rule
    recipe       the same for the settings of the training recipe
    idle         settings that would do nothing
    sizes        sizes that follow from several settings
    modality     what sources are, text or images: one row for each
    parameters   the number of parameters of a model
    guide        which attention train.guide acts on
    files        presets and TOML files, and changes to them
    typed        settings as a user types them
    fields       lists of settings
    messages     errors in one line

It imports no torch. Contradictions between settings are refused here, before any work starts.
"""

from seq2attn.config.consistency import BACKBONES, HARD, MOST_PARAMETERS, STAGES
from seq2attn.config.fields import choices, description, fields, flat, names_marked
from seq2attn.config.files import change, file_of, load, presets, validate
from seq2attn.config.guide import GuidedHead, guided_head, with_guided_head
from seq2attn.config.idle import refuse_idle, refuse_training_only
from seq2attn.config.marks import MAY_CHANGE_ON_RESUME, TRAINING_ONLY
from seq2attn.config.modality import IMAGES, MODALITIES, TEXT, Modality, of_encoder, of_report
from seq2attn.config.parameters import estimate_parameters
from seq2attn.config.schema import (
    BATCH_TOKENS,
    BEFORE_CLEANING,
    MOST_BATCH_TOKENS,
    MOST_BEAM,
    MOST_PENALTY,
    MOST_SAMPLES,
    MOST_TOKENS,
    AttentionConfig,
    Cell,
    Config,
    ConvDecoderConfig,
    ConvEncoderConfig,
    DataConfig,
    DecoderConfig,
    EncoderConfig,
    ImageEncoderConfig,
    Map,
    ModelConfig,
    Part,
    Precision,
    Reason,
    ReinforceConfig,
    RNNDecoderConfig,
    RNNEncoderConfig,
    SearchConfig,
    Section,
    SelfCriticalConfig,
    TrainConfig,
    TransformerConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seq2attn.config.scores import SCORES, ScoreName, ScoreTraits, traits_of
from seq2attn.config.typed import Changes, as_typed, assign, assign_all, refuse_incomplete

__all__ = [
    "BACKBONES",
    "BATCH_TOKENS",
    "BEFORE_CLEANING",
    "HARD",
    "IMAGES",
    "MAY_CHANGE_ON_RESUME",
    "MODALITIES",
    "MOST_BATCH_TOKENS",
    "MOST_BEAM",
    "MOST_PARAMETERS",
    "MOST_PENALTY",
    "MOST_SAMPLES",
    "MOST_TOKENS",
    "SCORES",
    "STAGES",
    "TEXT",
    "TRAINING_ONLY",
    "AttentionConfig",
    "Cell",
    "Changes",
    "Config",
    "ConvDecoderConfig",
    "ConvEncoderConfig",
    "DataConfig",
    "DecoderConfig",
    "EncoderConfig",
    "GuidedHead",
    "ImageEncoderConfig",
    "Map",
    "Modality",
    "ModelConfig",
    "Part",
    "Precision",
    "RNNDecoderConfig",
    "RNNEncoderConfig",
    "Reason",
    "ReinforceConfig",
    "ScoreName",
    "ScoreTraits",
    "SearchConfig",
    "Section",
    "SelfCriticalConfig",
    "TrainConfig",
    "TransformerConfig",
    "TransformerDecoderConfig",
    "TransformerEncoderConfig",
    "as_typed",
    "assign",
    "assign_all",
    "change",
    "choices",
    "description",
    "estimate_parameters",
    "fields",
    "file_of",
    "flat",
    "guided_head",
    "load",
    "names_marked",
    "of_encoder",
    "of_report",
    "presets",
    "refuse_idle",
    "refuse_incomplete",
    "refuse_training_only",
    "traits_of",
    "validate",
    "with_guided_head",
]
