#!/usr/bin/env bash
# Puts a kubectl of today into the folder $1: that of Debian trixie, from the mirror that this Debian's apt
# already uses and with its keys. Bookworm's own is too old. Nothing is installed, and root is not needed.
set -euo pipefail
mkdir -p "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Component: main' | head -n 1)
[ -n "$mirror" ] || { echo "apt knows no mirror of Debian; run apt-get update, or install kubectl" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > "$work/sources.list"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
touch "$work/status"
apt=(apt-get --quiet --quiet
  -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=-
  -o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache"
  -o APT::Sandbox::User=)
"${apt[@]}" update
(cd "$work" && "${apt[@]}" download kubectl)
dpkg-deb --extract "$work"/kubectl_*.deb "$work/root"
mv "$work/root/usr/bin/kubectl" "$1/kubectl"
