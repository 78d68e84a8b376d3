#!/usr/bin/env bash
# Sweeps as a user does: every op of every CPU set is compared with the reference in the quick tier. Known upstream
# faults are counted and do not fail this test. Any other difference does.
set -euo pipefail
tool=$DSV4_BUILD_DIR/dsv4diff
status=0
# Relations, sequences and their slot maps need no reference. So the references themselves are tested with them.
echo "== dsv4diff run --set reference --tier smoke"
"$tool" run --set reference --tier smoke || status=1
for set in host sglang-0.5.12-host sglang-0.5.13-host; do
  echo "== dsv4diff run --set $set --tier quick"
  "$tool" run --set "$set" --tier quick || status=1
done
exit $status
