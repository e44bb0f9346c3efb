"""What the screens about dead letters share: the filter, frozen sets, replaying, correcting, decisions, attempts."""
