# Checks that are counted, for scripts that source it; they have a folder of their own, $work.
# shellcheck shell=bash disable=SC2034,SC2154
checks=0
failed=0
check() { # check SENTENCE COMMAND...
  local sentence=$1
  shift
  checks=$((checks + 1))
  if ! "$@" >"$work/out" 2>&1; then
    failed=$((failed + 1))
    echo "FAILED: $sentence"
    tail -n 15 "$work/out" | sed 's/^/    /'
  fi
}
