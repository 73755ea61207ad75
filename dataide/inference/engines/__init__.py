"""Other places to compute than the inference process of this machine; the messages are the same."""
