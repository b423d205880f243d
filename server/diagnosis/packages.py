"""Which import names an image's packages provide, from their pins."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Where a package's import name is not its own name. Every package of the images' pins was looked at.
_DISTRIBUTIONS = {
    "IPython": "ipython",
    "PIL": "pillow",
    "_cffi_backend": "cffi",
    "_plotly_utils": "plotly",
    "_yaml": "pyyaml",
    "absl": "absl-py",
    "argon2": "argon2-cffi",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "caffe2": "torch",
    "clang": "libclang",
    "dateutil": "python-dateutil",
    "dockerpycreds": "docker-pycreds",
    "dotenv": "python-dotenv",
    "functorch": "torch",
    "git": "gitpython",
    "google": "protobuf",
    "grpc": "grpcio",
    "isympy": "sympy",
    "lightning_fabric": "pytorch-lightning",
    "markdown_it": "markdown-it-py",
    "mpl_toolkits": "matplotlib",
    "nacl": "pynacl",
    "pasta": "google-pasta",
    "playhouse": "peewee",
    "proto": "proto-plus",
    "pwiz": "peewee",
    "pylab": "matplotlib",
    "pynvml": "nvidia-ml-py",
    "pythonjsonlogger": "python-json-logger",
    "pyximport": "cython",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "torchgen": "torch",
    "tree": "dm-tree",
    "umap": "umap-learn",
    "websocket": "websocket-client",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
# In every image without a pin of its own: the script itself, and names that many packages share.
_ALWAYS = frozenset(
    ("predict", "pip", "setuptools", "pkg_resources", "wheel", "_distutils_hack", "distutils", "nvidia", "cuda")
)


def provides(versions: Mapping[str, str], package: str) -> bool:
    """Whether an image with these pins (normalised name -> version) can import the top-level `package`."""
    if package in _ALWAYS:
        return True
    distribution = _DISTRIBUTIONS.get(package, re.sub(r"[-_.]+", "-", package).lower())
    # Compiled parts of a package are named with an underscore before: _catboost.
    return distribution in versions or distribution.lstrip("-") in versions
