"""Figures, measured. Each module is a program that prints its own."""
