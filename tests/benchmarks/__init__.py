"""Measurements as ratios against a yardstick of the same minute, because this and other machines are shared."""
