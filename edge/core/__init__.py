"""What all processes share: the tally, the clock, the errors, the signals. It imports no other package of ours."""
