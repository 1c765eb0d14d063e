#!/bin/sh
# Runs the commands of `qkm` on the pinned Node, wherever it is called from.
root=$(dirname -- "$(readlink -f -- "$0")")/../..
if [ ! -x "$root/node_modules/.bin/node" ]; then
  echo "qkm: not set up yet; run npm start or npm test once in $(readlink -f -- "$root")" >&2
  exit 69
fi
# What Node compiled is kept beside the packages, if that can be written, and halves the time of the next start.
export NODE_COMPILE_CACHE="${NODE_COMPILE_CACHE-$root/node_modules/.cache/compile}"
exec "$root/node_modules/.bin/node" "$root/src/cli/qkm.ts" "$@"
