#!/bin/sh
# Runs the commands of `qkm` on the pinned Node, wherever it is called from.
root=$(dirname -- "$(readlink -f -- "$0")")/../..
if [ ! -x "$root/node_modules/.bin/node" ]; then
  echo "qkm: not set up yet; run npm start or npm test once in $(readlink -f -- "$root")" >&2
  exit 69
fi
exec "$root/node_modules/.bin/node" "$root/src/cli/qkm.ts" "$@"
