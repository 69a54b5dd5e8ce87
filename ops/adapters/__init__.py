"""One third party a file: nothing else in `ops` imports docker or huggingface_hub, or runs git."""
