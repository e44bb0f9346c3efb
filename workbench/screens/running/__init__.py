"""What the screens about runs share: launching, progress, steering, values, exports, lineage."""
