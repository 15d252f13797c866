"""The engine that asks an OpenAI-compatible endpoint: vLLM, Ollama, llama.cpp's server, a cloud API."""
