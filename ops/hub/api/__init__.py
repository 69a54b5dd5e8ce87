"""The Hub's HTTP interface: routes, and a handler for each."""
