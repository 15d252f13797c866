"""Who asks: credentials of requests, and what they allow. Nothing here needs Ray or HTTP routes."""
