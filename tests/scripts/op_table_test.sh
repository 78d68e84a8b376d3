#!/usr/bin/env bash
# docs/ops.md must agree with the op definitions. If a page does not agree, scripts/op_table --check must fail.
set -euo pipefail
scripts/op_table --check --build "$DSV4_BUILD_DIR"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/scripts" "$scratch/docs"
cp scripts/op_table "$scratch/scripts/"
cp upstream_sources.json "$scratch/"
sed 's/^### topk_v1$/### topk_v0/' docs/ops.md > "$scratch/docs/ops.md"
status=0
"$scratch/scripts/op_table" --check --build "$DSV4_BUILD_DIR" 2> "$scratch/said" || status=$?
[ "$status" = 1 ] || { echo "a wrong op name must give exit status 1, not $status"; exit 1; }
grep -q 'docs/ops.md is out of date: run scripts/op_table' "$scratch/said"
"$scratch/scripts/op_table" --build "$DSV4_BUILD_DIR"
cmp docs/ops.md "$scratch/docs/ops.md"

status=0
scripts/op_table --check --build "$scratch" 2> "$scratch/said" || status=$?
[ "$status" = 2 ] && grep -q 'Run scripts/setup first' "$scratch/said"
