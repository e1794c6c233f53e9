#!/bin/sh
# Installs aegis-graph with its server into one folder, from hash-pinned wheels: deploy/install.sh /opt/aegis
# The image is built by it, and so can a host without containers be. What is left out is what no server reads.
set -eu
folder=${1:?usage: deploy/install.sh FOLDER}
here=$(cd "$(dirname "$0")/.." && pwd)

"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile \
	--no-deps --require-hashes --requirement "$here/deploy/requirements.txt"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile \
	--no-deps --no-build-isolation "$here"
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
find "$site" -depth -type d \( -name tests -o -name test -o -name __pycache__ \) -exec rm -rf {} +
# Debug symbols are a tenth of all this.
if command -v strip > /dev/null; then
	find "$site" -name '*.so' -exec strip --strip-debug {} + 2> /dev/null || true
fi
rm -rf "$site/pip" "$site"/pip-*.dist-info "$site/setuptools" "$site"/setuptools-*.dist-info "$folder"/bin/pip*
# Compiled once, here: this package, and the modules of others that a start and the ledger's reports read.
unset PYTHONDONTWRITEBYTECODE
"$folder/bin/python" -m compileall -q "$site/aegis_graph"
"$folder/bin/aegis" serve --help > /dev/null
"$folder/bin/python" -c 'import aegis_graph.server, aiosqlite, uvicorn; from aegis_graph import create_router; create_router()' \
	> /dev/null
