#!/usr/bin/env bash
# Scrapes a running server and has Prometheus' own linter read what it says. Usage: tests/metrics.sh DOORWARD
set -euo pipefail
doorward=${1:?usage: tests/metrics.sh DOORWARD}

if ! command -v promtool >/dev/null; then
  echo 'promtool is missing: installing the Debian package prometheus'
  [ "$(id -u)" = 0 ] || { echo 'metrics.sh: not root; install promtool (Debian: apt-get install prometheus) and run again' >&2; exit 3; }
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null
fi

folder=$(mktemp -d)
"$doorward" serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 >"$folder/decisions" 2>"$folder/log" &
server=$!
trap 'kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT

# The line that tells the addresses comes once the server listens; a server that ended says why.
until grep -q 'listening on' "$folder/log"; do
  kill -0 "$server" 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
done
admin=$(sed -n 's/.*metrics on \(http:[^ ]*\)$/\1/p' "$folder/log")

# The command that a user is shown must get its refusal.
reply=$(bash -c "$(grep '^curl ' "$folder/log")")
for rule in no-default-service-account no-host-namespaces no-unmeshed-pod; do
  grep -q "\[$rule\]" <<<"$reply" || { echo "metrics.sh: the demonstration's refusal does not name $rule: $reply" >&2; exit 1; }
done

curl -sf "$admin/metrics" >"$folder/metrics"
promtool check metrics <"$folder/metrics"
for family in requests decisions violations evaluation_seconds_count rule_info policies_loaded waivers cert_expiry_seconds build_info; do
  grep -q "^doorward_$family" <"$folder/metrics" || grep -q "^doorward_${family}_total" <"$folder/metrics" || {
    echo "metrics.sh: no sample of doorward_$family" >&2
    exit 1
  }
done
echo 'metrics.sh: promtool has nothing to say, and every family has samples'
