#!/usr/bin/env bash
# A Chromium for the browser tests: the one that is here, or Debian's. The tests look for it on the PATH.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
  if command -v "$name" > /dev/null; then
    echo "browser: $name is here"
    exit
  fi
done
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update --quiet=2
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends chromium > /dev/null
echo "browser: chromium was installed"
