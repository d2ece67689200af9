"""What is said on the wire: every method, type and error of the daemon, once; everything else is generated from it."""
