"""What the tests of the commands have the model go on with."""

PROMPT = "The capital of France is"
TEXT = f"{PROMPT} Paris."
