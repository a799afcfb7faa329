"""What the guardrails let out, what they cost, and how the usual designs do on the same texts."""
