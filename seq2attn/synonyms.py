"""Names that other toolkits and textbooks give to our settings. It imports nothing."""

_NAMES = {  # our name: the names elsewhere, without "-" and "_"
    "model.encoder.size and model.decoder.size": (
        "hidden hiddensize hiddendim hidsize hid hiddenunits units nhid nhidden rnnsize encdim decdim "
        "encoderhiddensize decoderhiddensize hiddenlayersize numunits lstmsize grusize statesize"
    ),
    "model.embedding, model.encoder.size and model.decoder.size, all equal": (
        "dmodel modeldim modelsize transformerdim"
    ),
    "model.encoder.layers and model.decoder.layers": (
        "numlayers nlayers nlayer depth numhiddenlayers layersnum nblocks numblocks"
    ),
    "model.encoder.layers": "enclayers encoderlayers numencoderlayers",
    "model.decoder.layers": "declayers decoderlayers numdecoderlayers",
    "model.embedding": (
        "emb embsize embdim embed embeddim embeddings embeddingsize embeddingdim wordvecsize embedsize dimemb"
    ),
    "model.attention.heads (and model.encoder.heads, model.decoder.heads of a Transformer)": (
        "numheads nheads nhead headcount attentionheads numattentionheads multihead"
    ),
    "model.encoder.feedforward and model.decoder.feedforward": (
        "ff ffn ffsize ffnsize ffndim dff dimfeedforward transformerff feedforwardsize feedforwarddim "
        "intermediatesize"
    ),
    "model.attention.score": (
        "attentiontype attntype attention attn attentionmechanism globalattention attentionscore "
        "scorefunction alignmentmodel scoring"
    ),
    "model.attention.normaliser": (
        "normalizer attentionnormalizer softmax attentionfunction globalattentionfunction"
    ),
    "model.attention.history": "coverageattn lambdacoverage coveragemechanism past",
    "model.decoder.input_feeding": "inputfeed feedinput",
    "model.pointer": (
        "copy copying copyattn copynet copymechanism copyattention copygenerator pointergenerator "
        "pointernetwork pgen"
    ),
    "model.encoder.cell and model.decoder.cell": "rnntype celltype rnn unittype rnncell lstm gru",
    "model.encoder.bidirectional": "birnn brnn bidir bilstm",
    "model.tied": (
        "shareembeddings sharedembeddings tieembeddings weighttying tieweights tiewordembeddings "
        "tiedembeddings sharedecoderembeddings"
    ),
    "model.dropout": "dropoutrate droprate dropoutp pdropout dropoutprob hiddendropout rnndropout",
    "model.init": "initializer initialization paraminit initialiser weightinit initmethod",
    "model.encoder.backbone": "cnn encodercnn imageencoder visionmodel",
    "model.encoder.image_size": "imgsize inputsize cropsize side",
    "model.decoder.context_source": "reads contexttype",
    "model.attention.query_input": "queries",
    "model.attention.expectation_prob": "expected",
    "model.attention.at_inference": "decoding",
    "model.encoder.resize": "fit resizemode",
    "model.encoder.temporal": "time temporalmodel",
    "model.encoder.temporal_layers": "timelayers",
    "model.encoder.temporal_heads": "timeheads",
    "model.encoder.max_frames": "frames numframes nframes",
    "data.joint": "sharevocab sharedvocab jointvocab jointdictionary joineddictionary",
    "data.vocab_size": (
        "vocab nvocab vocabularysize vocabulary numtokens bpemerges numoperations mergeops srcvocabsize "
        "tgtvocabsize bpesize"
    ),
    "data.tokenizer": "bpe subword sentencepiece spm tokenization tokeniser segmentation subwordtype",
    "data.lowercase": "lower lowercased dolowercase",
    "train.lr": "learningrate lrate learnrate initiallr baselr peaklr maxlr",
    "train.max_steps": (
        "steps trainsteps numsteps nsteps maxupdate maxupdates updates iterations maxiters maxiterations "
        "niters totalsteps numupdates"
    ),
    "train.max_minutes": "maxtime minutes timelimit maxhours hours maxduration",
    "train.warmup": "warmupsteps warmupupdates numwarmupsteps warmupratio lrwarmup",
    "train.clip_norm": (
        "gradclip clip maxgradnorm gradientclip clipgrad clipgradnorm clipgradient gradientclipping "
        "gradientclipval maxnorm"
    ),
    "train.patience": "earlystopping earlystop earlystoppingpatience stopafter",
    "train.optimizer": "optim optimiser",
    "train.schedule": "scheduler lrscheduler lrschedule decaymethod lrdecay scheduling lrdecaymethod",
    "train.accumulate": (
        "accumgrad accumcount accumulategradbatches gradientaccumulation gradientaccumulationsteps "
        "updatefreq gradaccum batchmultiplier"
    ),
    "train.validate_every": (
        "evalevery validfreq validationfreq validationinterval evalsteps validsteps valfrequency "
        "valinterval validinterval evalfreq evalinterval evaluateevery validatesteps"
    ),
    "train.save_every": "saveinterval savesteps savecheckpointsteps checkpointevery savefreq",
    "train.log_every": (
        "loginterval logfreq logginginterval loggingsteps reportevery dispfreq printevery loggingfreq"
    ),
    "train.label_smoothing": "smoothing labelsmooth labelsmoothingeps labelsmoothingfactor",
    "train.ema": "emadecay movingaverage exponentialsmoothing averagedecay",
    "train.average": "avgcheckpoints averagecheckpoints checkpointaverages numaveragecheckpoints lastbest",
    "train.beta1 and train.beta2": "betas adambetas adambeta1 adambeta2",
    "train.eps": "epsilon adameps adamepsilon",
    "train.weight_decay": "wd l2 weightdecayrate l2reg regularization",
    "train.precision": "fp16 bf16 amp halfprecision mixedprecision",
    "train.seed": "randomseed randseed rngseed manualseed",
    "train.captions_per_image": "captions numcaptions",
    "train.max_crop": "crop randomcrop",
    "train.color_jitter": "colour colourjitter jitter",
    "train.flip": "horizontalflip randomflip hflip",
    "train.plateau_factor": "decay lrfactor decayfactor lrdecayfactor",
    "train.plateau_patience": "decaypatience lrpatience",
    "train.reinforce.entropy_weight": "entropy entropycoefficient entropybonus",
    "train.self_critical.start_step": "scst",
    "train.self_critical.baseline": "compared",
    "train.unfreeze_step": "unfreeze unfreezeat",
    "train.backbone_lr_factor": "backbonelr encoderlr",
    "search.beam": "beamsize numbeams beamwidth nbeams",
    "search.length_penalty": "lenpen lengthpen lengthalpha lengthnormalization",
    "search.max_length": "maxlen maxoutputlength maxnewtokens maxdecodinglength maxgenlength maxtargetlength",
    "search.no_repeat_ngram": "norepeatngramsize blockngramrepeat",
}
BASES = ("preset", "base", "extends", "extend", "inherit", "inherits", "parent")
OUR_NAME = "its name here is "  # how the hint begins that only names a setting
SETTINGS = {name: f"{OUR_NAME}{ours}" for ours, names in _NAMES.items() for name in names.split()}
SETTINGS |= dict.fromkeys(
    ("epochs", "epoch", "numepochs", "nepochs", "maxepochs", "maxepoch", "numtrainepochs", "trainepochs"),
    "there are no epochs: set train.max_steps or train.max_minutes (the log names the epoch of a step)",
)
SETTINGS |= dict.fromkeys(
    (
        "batch",
        "batchsize",
        "minibatch",
        "minibatchsize",
        "bs",
        "maxtokens",
        "batchsizetrain",
        "perdevicetrainbatchsize",
        "trainbatchsize",
    ),
    "batches are counted in tokens, not in sentences: set train.batch_tokens, such as 4096",
)
SETTINGS |= dict.fromkeys(
    (
        "gpu",
        "gpus",
        "cuda",
        "device",
        "devices",
        "ngpu",
        "ngpus",
        "numgpus",
        "gpuranks",
        "usecuda",
        "nocuda",
        "usegpu",
        "accelerator",
    ),
    "the device is no setting: choose `device` cpu or `device` cuda",
)
SETTINGS |= dict.fromkeys(
    ("teacherforcing", "teacherforcingratio", "scheduledsampling"),
    "training always uses teacher forcing: there is nothing to set",
)
SETTINGS |= dict.fromkeys(
    (
        "pretrained",
        "initfrom",
        "warmstart",
        "initializefrom",
        "trainfrom",
        "loadfrom",
        "checkpoint",
        "finetunefrom",
        "restorefile",
        "loadcheckpoint",
    ),
    "a run cannot start from the weights of another run; `resume` continues a run",
)
SETTINGS |= dict.fromkeys(
    BASES,
    "a preset is named without an option, as in `seq2attn train bahdanau15`; "
    'in a file, write preset = "bahdanau15" in the first line',
)


def known_as(name: str) -> str | None:
    """A sentence with our name for a setting or an option of another toolkit; None if that is unknown."""
    return SETTINGS.get(name.lower().replace("-", "").replace("_", ""))
