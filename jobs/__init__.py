"""The job and credit market. Nothing is sold yet; the room keeps its place in the house."""
