"""Measurement sets."""
