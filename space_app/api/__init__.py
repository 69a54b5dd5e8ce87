"""The HTTP side: routes, wire models, keys, errors. It knows the core and no backend."""
