#!/usr/bin/env bash
# A client in the shell, one JSON value a line written and read by jq: captures, lists, is told of the others' captures;
# prints what it saw.
set -euo pipefail
name=$1 clients=$2 ready=$3 go=$4

coproc DAEMON { "$PYTHON" -m daemon stdio; }
told=$(mktemp)
trap 'rm -f "$told"' EXIT

ask() { # method, params as JSON; the result, while notifications are put aside
    jq -cn --arg method "$1" --argjson params "$2" '{jsonrpc: "2.0", id: $method, $method, $params}' >&"${DAEMON[1]}"
    while IFS= read -r line <&"${DAEMON[0]}"; do
        if [ "$(jq -r '.id' <<<"$line")" = "$1" ]; then
            jq -ec '.result' <<<"$line"
            return
        fi
        take "$line"
    done
}

take() { # a notification: the ids of traces that came
    jq -r 'select(.method == "traces_changed") | .params.added[]' <<<"$1" >>"$told"
}

ask hello '{"client_name": "shell"}' >/dev/null
touch "$ready"
until [ -e "$go" ]; do sleep 0.02; done
captured=$(ask generate_and_capture "$(jq -cn --arg prompt "By $name" '{$prompt, max_tokens: 3}')")
listed=$(ask list_traces "$(jq -cn --arg text "By $name" '{$text}')")
while [ "$(sort -u "$told" | wc -l)" -lt "$clients" ]; do
    IFS= read -r line <&"${DAEMON[0]}"
    take "$line"
done
exec {DAEMON[1]}>&- # nothing more to say: the pump ends
jq -cn --argjson captured "$captured" --argjson listed "$listed" --rawfile told "$told" \
    '{captured: $captured.trace_id, listed: [$listed.traces[].trace_id], told: ($told | split("\n") | map(select(. != "")) | unique)}'
