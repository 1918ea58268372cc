#!/bin/sh
# Installs CytoJEPA into a folder of its own: sh docs/deploy/install.sh /opt/cytojepa [more words for `uv pip install`]
# Every package is pinned and checked against its hash; without a network: ... --offline --no-index --find-links FOLDER.
set -eu
cd "$(dirname "$0")/../.."
prefix=$1
shift
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "CytoJEPA needs Python 3.11 or newer." >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ -z "${UV:-}" ]; then
  "$python" -m venv "$scratch/uv"
  awk '/^[a-z]/ {keep = /^uv==/} keep' requirements.lock > "$scratch/uv.lock"
  "$scratch/uv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$scratch/uv.lock"
  UV=$scratch/uv/bin/uv
fi
"$python" -m venv --clear "$prefix"
"$UV" pip install --system-certs --quiet --python "$prefix/bin/python" --require-hashes "$@" -r requirements.lock
# The wheel, not the checkout: what runs does not change when a file of the checkout does.
"$UV" build --wheel --quiet --no-build-isolation --python "$prefix/bin/python" --out-dir "$scratch/wheel"
"$UV" pip install --quiet --python "$prefix/bin/python" --no-deps "$scratch"/wheel/cytojepa-*.whl
"$prefix/bin/cytojepa" --version
