#!/usr/bin/env bash
# Verifies the recorded goldens on a machine without a GPU, including the goldens that were recorded on a GPU. The sets
# are the references, the in-tree kernels and upstream's kernels; the host executor runs the kernels. Then records the
# host set twice: the two recordings must be identical files.
set -euo pipefail
tool=$DSV4_BUILD_DIR/dsv4diff
status=0
for set in reference host sglang-0.5.12-host sglang-0.5.13-host; do
  echo "== dsv4diff verify --set $set"
  "$tool" verify --set "$set" --golden "$DSV4_SOURCE_DIR/golden" || status=1
done

# Goldens of two machines may differ in values that depend on the math library. `verify` allows such a difference. On
# one machine the files must be identical.
once=$(mktemp -d) twice=$(mktemp -d)
trap 'rm -rf "$once" "$twice"' EXIT
for folder in "$once" "$twice"; do
  "$tool" record --set host --golden "$folder" > "$folder.log"
done
rm -f "$once.log" "$twice.log"
diff -r "$once" "$twice" || { echo "the two recordings of the host set have different files"; status=1; }
exit $status
