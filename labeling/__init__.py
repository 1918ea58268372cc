"""Vectors and labels to suggestions, worklist and agreement. Knows no torch, no web page."""
