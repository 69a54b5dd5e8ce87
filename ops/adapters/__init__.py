"""One third party a file: nothing else in `ops` imports docker, huggingface_hub or git."""
