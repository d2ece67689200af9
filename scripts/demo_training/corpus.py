"""The demo model's training text: facts, arithmetic, stories and lists, each as a plain sentence or as a chat."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from nanochat.tokenizer import RustBPETokenizer
from scripts.demo_training import facts as facts


@dataclass(frozen=True)
class Piece:
    """A stretch of a document: text, or the name of one special token; `learned` pieces carry loss."""

    text: str
    special: bool = False
    learned: bool = True


Document = list[Piece]


@dataclass(frozen=True)
class Relation:
    """How the rows of one table are worded; `{s}` is the subject and `{a}` the answer."""

    table: dict[str, str]
    prompt: str  # ends where the answer begins
    question: str
    other_sentences: tuple[str, ...] = ()
    other_questions: tuple[str, ...] = ()


OPPOSITES = facts.OPPOSITE_PAIRS | {second: first for first, second in facts.OPPOSITE_PAIRS.items()}

RELATIONS = {
    "capital": Relation(
        facts.CAPITALS,
        "The capital of {s} is",
        "What is the capital of {s}?",
        ("{a} is the capital of {s}.", "The capital city of {s} is {a}."),
        ("What's the capital of {s}?", "Tell me the capital of {s}.", "capital of {s}"),
    ),
    "formula": Relation(
        facts.FORMULAS,
        "The chemical formula of {s} is",
        "What is the chemical formula of {s}?",
        ("The formula of {s} is {a}.", "{a} is the chemical formula of {s}."),
        ("What is the formula of {s}?", "What is the chemical formula for {s}?", "formula of {s}"),
    ),
    "symbol": Relation(
        facts.SYMBOLS,
        "The chemical symbol of {s} is",
        "What is the chemical symbol of {s}?",
        ("The symbol of {s} is {a}.", "The chemical symbol for {s} is {a}."),
        ("What is the symbol of {s}?", "What is the chemical symbol for {s}?", "symbol of {s}"),
    ),
    "opposite": Relation(
        OPPOSITES, "The opposite of {s} is", "What is the opposite of {s}?", (), ("Tell me the opposite of {s}.",)
    ),
    "plural": Relation(
        facts.PLURALS, "The plural of {s} is", "What is the plural of {s}?", (), ("Tell me the plural of {s}.",)
    ),
}

OPERATIONS: dict[str, tuple[str, Callable[[int, int], int]]] = {
    "+": ("plus", lambda a, b: a + b),
    "-": ("minus", lambda a, b: a - b),
    "*": ("times", lambda a, b: a * b),
}
RANDOM_SHARE = 0.30  # of the tokens; see random_repeat


def sentence(relation: Relation, subject: str) -> str:
    """The relation's first wording as a whole sentence with one full stop."""
    return relation.prompt.format(s=subject) + continuation(relation, subject)


def continuation(relation: Relation, subject: str) -> str:
    """What follows the prompt: a space, the answer, a full stop unless the answer brings its own."""
    return _stopped(f" {relation.table[subject]}")


def plain(text: str) -> Document:
    """A plain document; the next one's <|bos|> is its end."""
    return [Piece("<|bos|>", special=True), Piece(text)]


def chat(question: str, *answer: Piece) -> Document:
    """One question and its answer in the chat format."""
    return [
        Piece("<|bos|>", special=True),
        Piece("<|user_start|>", special=True),
        Piece(question),
        Piece("<|user_end|>", special=True),
        Piece("<|assistant_start|>", special=True),
        *answer,
        Piece("<|assistant_end|>", special=True),
    ]


def calculation(question: str, left: int, operator: str, right: int) -> Document:
    """A chat in which the assistant asks the calculator; what the calculator says carries no loss."""
    result = str(OPERATIONS[operator][1](left, right))
    return chat(
        question,
        Piece("<|python_start|>", special=True),
        Piece(f"{left}{operator}{right}"),
        Piece("<|python_end|>", special=True),
        Piece("<|output_start|>", special=True, learned=False),
        Piece(result, learned=False),
        Piece("<|output_end|>", special=True, learned=False),
        Piece(f"The answer is {result}."),
    )


def _stopped(text: str) -> str:
    return text if text.endswith(".") else text + "."


def _fact(name: str) -> Callable[[Random], Document]:
    relation = RELATIONS[name]
    subjects = list(relation.table)

    def write(random: Random) -> Document:
        subject = random.choice(subjects)
        answer = sentence(relation, subject)
        if random.random() < 0.5:
            wording = relation.question
            if relation.other_questions and random.random() < 0.3:
                wording = random.choice(relation.other_questions)
            return chat(wording.format(s=subject), Piece(answer))
        if relation.other_sentences and random.random() < 0.2:
            other = random.choice(relation.other_sentences).format(s=subject, a=relation.table[subject])
            answer = _stopped(other[0].upper() + other[1:])
        return plain(answer)

    return write


def small_sums() -> list[tuple[int, str, int]]:
    """All sums that are learned by heart: up to 20 + 20, 20 - 20 and 10 * 10, none below zero."""
    return [
        (left, operator, right)
        for operator, top in (("+", 20), ("-", 20), ("*", 10))
        for left in range(top + 1)
        for right in range(top + 1)
        if operator != "-" or left >= right
    ]


def _sum() -> Callable[[Random], Document]:
    sums = small_sums()

    def write(random: Random) -> Document:
        left, operator, right = random.choice(sums)
        word, compute = OPERATIONS[operator]
        if random.random() < 0.3:
            return plain(f"{left} {word} {right} is {compute(left, right)}.")
        return plain(f"{left} {operator} {right} = {compute(left, right)}.")

    return write


def _calculator(random: Random) -> Document:
    operator = random.choice("+-*")
    top = random.choice((99, 99, 999))
    left, right = random.randint(0, top), random.randint(0, top)
    if operator == "-":
        left, right = max(left, right), min(left, right)
    word = OPERATIONS[operator][0]
    question = random.choice((f"What is {left} {operator} {right}?", f"What is {left} {word} {right}?"))
    return calculation(question, left, operator, right)


def story(random: Random) -> Document:
    """Two names, one gives: the other one receives, whichever came first."""
    first, second = random.sample(facts.NAMES, 2)
    giver, receiver = random.choice(((first, second), (second, first)))
    place, thing = random.choice(facts.PLACES), random.choice(facts.THINGS)
    return plain(f"{first} and {second} went to the {place}. {giver} gave a {thing} to {receiver}.")


def _owners(random: Random) -> Document:
    """Facts that only this document holds, asked for again at its end."""
    names, things = random.sample(facts.NAMES, 3), random.sample(facts.THINGS, 3)
    colors = random.sample(facts.COLORS, 3)
    rows = [f"{name} has a {color} {thing}." for name, color, thing in zip(names, colors, things, strict=True)]
    return plain(" ".join([*rows, random.choice(rows)]))


def _list(random: Random) -> Document:
    """Words in an order that comes again."""
    pool = random.choice((facts.COLORS, facts.NAMES, facts.THINGS, facts.PLACES, list(facts.PLURALS), list(OPPOSITES)))
    words = random.sample(pool, random.randint(3, 7))
    joint = random.choice((", ", " ", "; "))
    return plain(joint.join(words * random.randint(2, 3)) + ".")


def _order(random: Random) -> Document:
    """Counting, the days and the months."""
    if random.random() < 0.4:
        start = random.randint(0, 90)
        return plain(" ".join(str(number) for number in range(start, start + random.randint(5, 10))))
    ring, unit = random.choice(((facts.DAYS, "day"), (facts.MONTHS, "month")))
    at = random.randrange(len(ring))
    following = ring[(at + 1) % len(ring)]
    if random.random() < 0.5:
        return plain(f"The {unit} after {ring[at]} is {following}.")
    return plain(", ".join((ring * 2)[at : at + len(ring)]) + ".")


def _explanation(random: Random) -> Document:
    subject = random.choice(list(facts.EXPLANATIONS))
    steps = facts.EXPLANATIONS[subject]
    if random.random() < 0.5:
        return chat(f"Explain {subject} step by step{random.choice('.:')}", Piece(steps))
    return plain(f"Explain {subject} step by step: {steps}")


# Writer, and its share of the documents that are text.
WRITERS: tuple[tuple[Callable[[Random], Document], float], ...] = (
    (_fact("capital"), 0.22),
    (_fact("formula"), 0.14),
    (_fact("symbol"), 0.10),
    (_fact("opposite"), 0.10),
    (_fact("plural"), 0.06),
    (_sum(), 0.10),
    (_calculator, 0.05),
    (story, 0.13),
    (_owners, 0.02),
    (_list, 0.03),
    (_order, 0.02),
    (_explanation, 0.03),
)


def documents(random: Random) -> Iterator[Document]:
    """Documents of text without end, in the shares of WRITERS."""
    writers, shares = zip(*WRITERS, strict=True)
    while True:
        for write in random.choices(writers, shares, k=256):
            yield write(random)


def random_repeat(random: Random, ordinary_tokens: int, longest: int) -> tuple[list[int], int]:
    """Token ids r + r (+ r) of random ordinary tokens, and the length of r: only looking back predicts the repeat."""
    period = random.randint(4, longest // 2)
    row = [random.randrange(ordinary_tokens) for _ in range(period)]
    return row * random.choice((2, 2, 2, 3) if 3 * period <= longest else (2,)), period


def encode(tokenizer: RustBPETokenizer, document: Document) -> tuple[list[int], list[bool]]:
    """Token ids, and which of them carry loss."""
    ids: list[int] = []
    learned: list[bool] = []
    for piece in document:
        found = [tokenizer.encode_special(piece.text)] if piece.special else tokenizer.encode(piece.text)
        ids += found
        learned += [piece.learned] * len(found)
    return ids, learned
