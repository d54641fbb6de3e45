"""One room per channel, all of one shape, plain Python. Learn the shape from telegram/adapter.py."""
