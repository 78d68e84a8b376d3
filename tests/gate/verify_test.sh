#!/usr/bin/env bash
# The recorded goldens, including those recorded on a GPU, hold on a machine without a GPU. They are verified for the
# references, and for the in-tree kernels and upstream's on the host executor. Recording the host set twice must give
# identical files.
set -euo pipefail
tool=$DSV4_BUILD_DIR/dsv4diff
status=0
for set in reference host sglang-0.5.12-host sglang-0.5.13-host; do
  echo "== dsv4diff verify --set $set"
  "$tool" verify --set "$set" --golden "$DSV4_SOURCE_DIR/golden" || status=1
done

# Goldens of two machines may differ where their math libraries do, which `verify` allows. On one machine the files must
# be identical.
once=$(mktemp -d) twice=$(mktemp -d)
trap 'rm -rf "$once" "$twice"' EXIT
for folder in "$once" "$twice"; do
  "$tool" record --set host --golden "$folder" > "$folder.log"
done
rm -f "$once.log" "$twice.log"
diff -r "$once" "$twice" || { echo "recording the host set twice gives different files"; status=1; }
exit $status
