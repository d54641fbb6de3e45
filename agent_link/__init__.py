"""The tunnel: carries sealed envelopes to agents in order, once, and brings their answers back."""
