"""A headless time-lapse node: every planned frame accounted for, every kept frame delivered once, with proof."""

__version__ = "0.1.0"
