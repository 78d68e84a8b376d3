#!/usr/bin/env bash
# Runs the sweep that a user would run: the quick tier compares every op of every CPU set with the reference. Known
# faults of upstream are counted, but do not fail this test. Any other difference fails it.
set -euo pipefail
tool=$DSV4_BUILD_DIR/dsv4diff
status=0
# Relations and sequences compare calls with each other, or with a slot map (a model of what each row holds). They do
# not need a reference, so this run tests the references themselves.
echo "== dsv4diff run --set reference --tier smoke"
"$tool" run --set reference --tier smoke || status=1
for set in host sglang-0.5.12-host sglang-0.5.13-host; do
  echo "== dsv4diff run --set $set --tier quick"
  "$tool" run --set "$set" --tier quick || status=1
done
exit $status
