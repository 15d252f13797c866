"""The audit log: who asked what and what became of it, in files that show when they were tampered with."""
