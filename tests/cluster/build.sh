#!/usr/bin/env bash
# Builds tests/cluster/controlplane into target/controlplane, once: when the sources, this script and the Go toolchain
# are those of the last build, it says so and ends. Prints the path of the binary as its last line.
#
# Usage: tests/cluster/build.sh [DIRECTORY]      the default directory is target/ at the top of the repository
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/../../target}
mkdir -p "$out"
out=$(cd "$out" && pwd)
binary=$out/controlplane

command -v go >/dev/null || { echo "build.sh: go is not installed; version 1.26 or later is needed (https://go.dev/dl)" >&2; exit 3; }

cd "$here/controlplane"
# Two test runs may come here at the same time: one builds, the other waits and finds it built.
exec 9>"$binary.lock"
flock 9

digest=$({ go version; sha256sum ../build.sh go.mod go.sum ./*.go; } | sha256sum | cut -d' ' -f1)
if [ -x "$binary" ] && [ "$(cat "$binary.digest" 2>/dev/null)" = "$digest" ]; then
  echo "build.sh: the control plane is built and its sources are unchanged" >&2
  echo "$binary"
  exit 0
fi

# The release that go.mod names is what /version must answer and what feature gates compare themselves with.
kubernetes=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
majorminor=${kubernetes#v}
version=k8s.io/component-base/version
client=k8s.io/client-go/pkg/version
flags="-s -w"
for package in $version $client; do
  flags="$flags -X $package.gitVersion=$kubernetes -X $package.gitTreeState=clean"
  flags="$flags -X $package.gitMajor=${majorminor%%.*} -X $package.gitMinor=$(cut -d. -f2 <<<"$majorminor")"
done

echo "build.sh: building Kubernetes $kubernetes into $binary (several minutes the first time)" >&2
started=$SECONDS
rm -f "$binary.digest"
CGO_ENABLED=0 go build -p 2 -mod=readonly -trimpath -buildvcs=false -ldflags "$flags" -o "$binary.new" .
mv "$binary.new" "$binary"
echo "$digest" >"$binary.digest"
echo "build.sh: built in $((SECONDS - started)) s, $(($(stat -c %s "$binary") / 1000000)) MB" >&2
echo "$binary"
