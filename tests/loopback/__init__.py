"""Scripted servers on loopback that speak the vendors' wire protocols, and what a test needs around them."""
