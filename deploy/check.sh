#!/bin/sh
# Checks what runs the server, as far as that can be done without a container engine:
# the Dockerfile's rules, compose's schema, the unit, and the image's own steps in a bare folder.
set -eu
cd "$(dirname "$0")/.."
tools=.venv-deploy/bin
work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2> /dev/null || true; wait "$server" || true; fi; rm -rf "$work"' EXIT

"$tools/hadolint" Dockerfile
"$tools/check-jsonschema" --builtin-schema vendor.compose-spec compose.yaml
if command -v systemd-analyze > /dev/null; then
	sed "s#/opt/aegis#$work/aegis#" deploy/systemd/aegis.service > "$work/aegis.service"
else
	echo "no systemd-analyze here: the unit is not checked"
fi

deploy/install.sh "$work/aegis"
echo "installed: $(du -sm "$work/aegis" | cut -f1) MB"
if [ -f "$work/aegis.service" ]; then
	systemd-analyze verify "$work/aegis.service"
fi

# A ledger of its own; no key is needed on loopback.
printf '[ledger]\nurl = "sqlite:///%s/costs.db"\n' "$work" > "$work/aegis.toml"
(cd "$work" && exec env -i PATH="$PATH" HOME="$work" aegis/bin/aegis serve --config aegis.toml --port 0) \
	> "$work/server.log" 2>&1 &
server=$!
tries=0
until address=$(sed -n 's/.*serving on \(http[^, ]*\).*/\1/p' "$work/server.log") && [ -n "$address" ]; do
	tries=$((tries + 1))
	if [ "$tries" -gt 120 ] || ! kill -0 "$server"; then cat "$work/server.log"; exit 1; fi
	sleep 0.5
done
for path in healthz readyz; do
	"$work/aegis/bin/python" -c \
		'import sys, urllib.request; print(sys.argv[1], urllib.request.urlopen(sys.argv[1]).status)' "$address/$path"
done
