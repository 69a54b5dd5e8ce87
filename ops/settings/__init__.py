"""`ops settings`: what a Space runs on, who sees it, its secrets and variables.

`change` brings a change to the Hub, once, and into space.toml if wanted; `space` and `named` say
what the change is, `shown` what is there now.
"""
