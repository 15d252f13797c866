"""The shapes that questions have, one sampling method each."""
