"""One third party a file: nothing else in `ops` imports docker, huggingface_hub or git."""

import os

# GitPython looks for git when it is imported and, unless told so, fails where there is none.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
