#!/bin/sh
# Builds the servers and the loads, measures, and writes docs/benchmarks.md,
# docs/benchmarks-websocket.md, docs/benchmarks-client.md and docs/benchmarks-files.md; see
# --help. For one of the pages:
#   bench/run.sh --sections websocket
# For some servers alone, which prints and writes nothing:
#   bench/run.sh --only reference,apus-worker --rounds 3 --seconds 2
exec python3 "$(dirname "$0")/run.py" "$@"
