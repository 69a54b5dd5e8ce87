"""What the server does, free of the web framework, of ML runtimes and of the environment."""
