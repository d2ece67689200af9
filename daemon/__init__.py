"""One process, many clients: connections, dispatch, the model's thread, watched folders, life cycle, command line."""
