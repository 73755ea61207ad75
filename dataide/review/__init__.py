"""Review: rules over what people have drawn and labelled, for the whole set and live while someone annotates."""
