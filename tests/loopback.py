"""One request each, as `httpx2` has them, without the certificates that it reads for every one.

What tests ask for is on loopback and never by TLS; reading the certificates takes longer than most
answers.
"""

from __future__ import annotations

import ssl
from functools import partial

import httpx2

_WITHOUT_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

request = partial(httpx2.request, verify=_WITHOUT_CERTIFICATES, trust_env=False)
stream = partial(httpx2.stream, verify=_WITHOUT_CERTIFICATES, trust_env=False)
delete = partial(request, "DELETE")
get = partial(request, "GET")
head = partial(request, "HEAD")
post = partial(request, "POST")
put = partial(request, "PUT")
