#!/usr/bin/env bash
# Records what the API server's own code answers to every expression of the corpus, in place. Nothing else is needed than the binary
# that tests/cluster/build.sh makes. What changes is for a person to read: CI compares and never records.
#
# Usage: src/cel/tests/record.sh [FILE...]      without arguments every file of the corpus
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=$("$here/../../../tests/cluster/build.sh")
[ $# -gt 0 ] || set -- "$here"/kubernetes-1.37/*.jsonl
for file in "$@"; do
  "$binary" cel --compatibility-version 1.37 --vars "$here/variables.json" <"$file" >"$file.new"
  mv "$file.new" "$file"
done
