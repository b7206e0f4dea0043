#!/usr/bin/env bash
# Measures webhooks side by side with the floor: see README.md in floor/.
#
#   benches/run.sh [--quick] [--http2] [--doorward BINARY] [--vault-k8s CHECKOUT]
#
# One server at a time on core 0, the load generator on core 1; rounds go A B A B A B, and the table shows medians.
# Exit code 1 if an answer was wrong, 2 if a server did not start, 64 for wrong usage.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rounds=3 seconds=5 warmup=1 connections=16 http2=() doorward='' vault_k8s=''

usage() {
    sed -n '4p' "${BASH_SOURCE[0]}" | cut -c3- >&2
    exit 64
}
while (($#)); do
    case $1 in
    --quick) rounds=1 seconds=1 ;;
    --http2) http2=(--http2) ;;
    --doorward) doorward=${2:-} && shift && [[ -x $doorward ]] || usage ;;
    --vault-k8s) vault_k8s=${2:-} && shift && [[ -f $vault_k8s/go.mod ]] || usage ;;
    *) usage ;;
    esac
    shift
done

# --- the servers: a function that becomes the server and prints `https://127.0.0.1:PORT`, and its name here ---

start_floor() { exec "$bin/floor" --listen 127.0.0.1:0 --threads 1; }
serve() { # SETTINGS
    exec "$doorward" serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
        --settings "$here/reviews/$1" --context "$here/reviews/context.yaml" --threads 1
}
start_doorward() { serve doorward.yaml; }
start_doorward-meshed() { serve meshed.yaml; }
start_vault-k8s() { GOMAXPROCS=1 exec "$work/vault-k8s"; }

servers=(floor)
[[ -z $doorward ]] || servers+=(doorward doorward-meshed)
[[ -z $vault_k8s ]] || servers+=(vault-k8s)

# What is asked: `/validate` of a pod as it is and of one behind a proxy, `/mutate` of one to inject into, and of one that vault-k8s is to
# inject into. The floor answers all of them and has no patch to give.
turns=(validate meshed mutate vendor)
path_of() { case $1 in meshed) echo validate ;; vendor) echo mutate ;; *) echo "$1" ;; esac; }
body_of() {
    case $1 in
    validate) echo pod-create.json ;;
    mutate) echo pod-create-inject.json ;;
    *) echo "pod-create-$1.json" ;;
    esac
}
answers() { # SERVER TURN: whether the server is asked it
    case $1 in
    floor) true ;;
    doorward) [[ $2 = validate || $2 = mutate ]] ;;
    doorward-meshed) [[ $2 = meshed ]] ;;
    vault-k8s) [[ $2 = vendor ]] ;;
    esac
}
expected_of() { # SERVER TURN
    echo "--expect-allowed true"
    [[ $1 = floor || $(path_of "$2") != mutate ]] || echo "--expect-patch"
}

# --- a place to work, and no process left behind ---

work=$(mktemp -d)
server_pid=''
stop_server() {
    [[ -n $server_pid ]] || return 0
    kill "$server_pid" 2>/dev/null || true
    # A server that drains for longer than this is not what is measured here.
    timeout 5 tail --pid="$server_pid" -f /dev/null 2>/dev/null || kill -KILL "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
    server_pid=''
}
trap 'stop_server; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cargo build --release --locked --quiet --manifest-path "$here/floor/Cargo.toml" --bin floor --bin load
bin=${CARGO_TARGET_DIR:-$here/floor/target}/release
if [[ -n $vault_k8s ]]; then
    # Our `main.go` is laid into the checkout for the compiler alone: nothing is written there.
    vault_k8s=$(cd "$vault_k8s" && pwd)
    printf '{"Replace": {"%s/bench/main.go": "%s/vault-k8s/main.go"}}' "$vault_k8s" "$here" >"$work/overlay.json"
    (cd "$vault_k8s" && CGO_ENABLED=0 go build -mod=readonly -trimpath -overlay "$work/overlay.json" -o "$work/vault-k8s" ./bench)
fi

server_core=() load_core=()
if command -v taskset >/dev/null && (($(nproc) > 1)); then
    server_core=(taskset -c 0) load_core=(taskset -c 1)
    on_server_core() { taskset -cp 0 "$BASHPID" >/dev/null; }
else
    echo "one core or no taskset: server and generator share it, the figures mean little" >&2
    on_server_core() { :; }
fi

# Starts a server and sets `server_pid` and `url`; it has 10 s to say where it listens.
start_server() {
    local log="$work/$1.log"
    # Here and not by the redirection below, which happens later: the last round's port must not be read.
    : >"$log"
    (
        on_server_core
        "start_$1"
    ) >>"$log" 2>&1 &
    server_pid=$!
    for ((waited = 0; waited < 100; waited++)); do
        url=$(grep -oEm1 'https://127\.0\.0\.1:[0-9]+' "$log") && return
        kill -0 "$server_pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "$1 did not start:" >&2
    cat "$log" >&2
    exit 2
}

# field NAME LINE: a number out of the generator's line of JSON.
field() { sed -E "s/.*\"$1\":(null|[0-9.]+).*/\1/" <<<"$2"; }

columns=(rps p50_us p90_us p99_us server_cpu server_cpu_us load_cpu server_rss_kib server_peak_rss_kib)
wrong=0

one_turn() { # SERVER TURN
    local line
    # shellcheck disable=SC2046 # the words are flags
    line=$("${load_core[@]}" "$bin/load" --url "$url/$(path_of "$2")?timeout=10s" --body "$here/reviews/$(body_of "$2")" \
        --connections $connections --seconds $seconds --warmup $warmup --server-pid "$server_pid" --json \
        "${http2[@]}" $(expected_of "$1" "$2")) || wrong=1
    [[ $line == *'"errors":0,'* ]] || {
        wrong=1
        echo "$1, $2: $line" >&2
    }
    for column in "${columns[@]}"; do
        field "$column" "$line" >>"$work/$1.$2.$column"
    done
}

median() { sort -n "$work/$1.$2.$3" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# Neighbours on the two cores are the largest error there is; the figure says how many there were.
read -r load_before _ </proc/loadavg
for ((round = 1; round <= rounds; round++)); do
    for server in "${servers[@]}"; do
        echo "round $round of $rounds: $server" >&2
        start_server "$server"
        for turn in "${turns[@]}"; do
            answers "$server" "$turn" || continue
            one_turn "$server" "$turn"
        done
        stop_server
    done
done

protocol=HTTP/1.1
((${#http2[@]} == 0)) || protocol=HTTP/2
echo "$(nproc) cores, $connections connections, $protocol, $rounds round(s) of $seconds s, medians; load average before: $load_before"
for turn in "${turns[@]}"; do
    asked=()
    for server in "${servers[@]}"; do ! answers "$server" "$turn" || asked+=("$server"); done
    ((${#asked[@]} > 1 || ${#servers[@]} == 1)) || continue
    printf '\n/%s, %s, %s bytes\n' "$(path_of "$turn")" "$(body_of "$turn")" "$(wc -c <"$here/reviews/$(body_of "$turn")")"
    printf '| server | requests/s | of floor | us above floor | CPU us | CPU us above floor | p50 us | p90 us | p99 us | RSS MiB | peak MiB | busy |\n'
    printf '|---|---|---|---|---|---|---|---|---|---|---|---|\n'
    floor_rps=$(median floor "$turn" rps) floor_cpu=$(median floor "$turn" server_cpu_us)
    for server in "${asked[@]}"; do
        values=()
        for column in "${columns[@]}"; do values+=("$(median "$server" "$turn" "$column")"); done
        echo "$server $floor_rps $floor_cpu ${values[*]}" | awk '{
            if ($2 == 0 || $4 == 0) { print "| " $1 " | no good answer |"; exit }
            printf "| %s | %.0f | %.2f | %.1f | %.1f | %.1f | %d | %d | %d | %.1f | %.1f | %.2f |\n", $1, $4, $4 / $2,
                1e6 / $4 - 1e6 / $2, $9, $9 - $3, $5, $6, $7, $11 / 1024, $12 / 1024, $8
            if ($8 < 0.9) print "  (" $1 " had " $8 " of its core: not saturated, trust the CPU columns)" > "/dev/stderr"
            if ($10 > 0.9) print "  (generator busy " $10 " of its core: it is the bottleneck)" > "/dev/stderr"
        }'
    done
done
exit $wrong
