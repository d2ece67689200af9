"""The instrumented nanochat model, its traces and their analysis: a library that needs no daemon."""
