"""Which of nanochat's architectures a checkpoint is: one row an era, told apart by keys and shapes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nanochat.errors import CheckpointInvalidError

VOCAB_MULTIPLE = 64  # embedding rows are padded to a multiple of this from era Ap on


def full_context(sequence_len: int) -> int:
    """The window of eras without a pattern: every position sees all before it."""
    return sequence_len


def half_context(sequence_len: int) -> int:
    """The short window of eras B to D."""
    return sequence_len // 2


@dataclass(frozen=True)
class TiledFraction:
    """The short window of later eras: a fraction of the context, rounded up to a tile of 128."""

    divisor: int

    def __call__(self, sequence_len: int) -> int:
        return -(-sequence_len // (self.divisor * 128)) * 128


@dataclass(frozen=True)
class Era:
    """What one period of nanochat's model code computes, where the periods differ."""

    name: str
    since: str
    padded_vocab: bool = True
    rotary_base: float = 10_000.0
    qk_scale: float = 1.0  # after QK norm, on q and on k
    softcap: float = 15.0
    lambdas: bool = True  # resid_lambdas and x0_lambdas
    short_window: Callable[[int], int] = full_context  # a lambda could not be pickled with a model
    unrecorded_windows: str = "L"  # the pattern of metadata that record none
    value_gate_scale: float = 0.0
    value_gate_channels: int = 0  # 0: no value embeddings
    smear: bool = False  # smear and backout

    @property
    def value_embeddings(self) -> bool:
        """Whether alternate layers mix a value embedding into v."""
        return self.value_gate_channels > 0


ERAS: dict[str, Era] = {
    era.name: era
    for era in (
        Era("A", "2025-10-13", padded_vocab=False, lambdas=False),
        Era("Ap", "2025-12-09", lambdas=False),
        # What trained chat models then left the pattern out, and nearly every model had nanochat's default.
        Era("B", "2026-01-11", short_window=half_context, unrecorded_windows="SSSL"),
        Era(
            "C",
            "2026-01-16",
            short_window=half_context,
            unrecorded_windows="SSSL",
            value_gate_scale=2.0,
            value_gate_channels=32,
        ),
        Era("D", "2026-03-02", short_window=half_context, value_gate_scale=2.0, value_gate_channels=32, softcap=20.0),
        Era(
            "E",
            "2026-03-09",
            rotary_base=100_000.0,
            qk_scale=1.15,
            short_window=TiledFraction(3),
            value_gate_scale=3.0,
            value_gate_channels=12,
        ),
        Era(
            "F",
            "2026-03-14",
            rotary_base=100_000.0,
            qk_scale=1.2,
            short_window=TiledFraction(4),
            value_gate_scale=3.0,
            value_gate_channels=12,
            smear=True,
        ),
    )
}

SMEAR_KEYS = {"smear_gate.weight", "smear_lambda", "backout_lambda"}
LAMBDA_KEYS = {"resid_lambdas", "x0_lambdas"}
EMBEDDING_KEY = "transformer.wte.weight"


def named_era(name: str) -> Era:
    """The era of that name.

    Raises:
        CheckpointInvalidError: no such era; the message lists them.
    """
    if not isinstance(name, str) or name not in ERAS:
        raise CheckpointInvalidError(f"There is no era {name!r}; the eras are {', '.join(ERAS)}.")
    return ERAS[name]


def identify_era(shapes: Mapping[str, tuple[int, ...]], vocab_size: int) -> tuple[Era, str | None]:
    """Which era a state dict was written in, from its keys and shapes.

    Args:
        shapes: parameter name to shape, without the prefix `_orig_mod.`.
        vocab_size: the tokenizer's size, from the checkpoint's model_config.

    Returns:
        The era, and a note where the keys leave a choice open (C or D), else None.

    Raises:
        CheckpointInvalidError: keys of no released architecture.
    """
    reverted = sorted(key for key in shapes if key.startswith("bigram_"))
    if reverted:
        raise CheckpointInvalidError(
            f"The checkpoint has {reverted[0]!r}: it was written on 2026-01-27 or 28, when nanochat tried bigram "
            "embeddings and took them back. That architecture is not supported; train again or use an earlier step."
        )
    if SMEAR_KEYS & shapes.keys():
        return ERAS["F"], None
    gates = {key: shape for key, shape in shapes.items() if key.endswith("ve_gate.weight")}
    if gates:
        return _era_of_gates(gates)
    if LAMBDA_KEYS & shapes.keys():
        return ERAS["B"], None
    rows = (*shapes.get(EMBEDDING_KEY, ()), vocab_size)[0]
    return (ERAS["A"] if rows == vocab_size else ERAS["Ap"]), None


def _era_of_gates(gates: Mapping[str, tuple[int, ...]]) -> tuple[Era, str | None]:
    key, shape = next(iter(gates.items()))
    channels = (0, *shape)[-1]
    if channels == ERAS["E"].value_gate_channels:
        return ERAS["E"], None
    if channels == ERAS["C"].value_gate_channels:
        return ERAS["C"], 'took era C; era D has the same keys (softcap 20 instead of 15): override with era="D"'
    raise CheckpointInvalidError(
        f"{key!r} has shape {shape}: value gates are 32 channels wide in eras C and D and 12 in E and F. "
        "The checkpoint is of an architecture that nanoscope does not know; era=... overrides if you know better."
    )
