"""Recorded conversations, run again from any stage, compared with what they were, and searched for who is at fault."""
