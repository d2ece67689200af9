"""One process, many clients: doors, dispatch, model worker, traces watch, life cycle, command line."""
