#!/usr/bin/env bash
# The main job, as a user runs it: every op of every CPU set against the reference, quick tier. Known upstream faults are
# excused and counted; anything else that differs fails this test.
set -euo pipefail
tool=$DSV4_BUILD_DIR/dsv4diff
status=0
# Relations, sequences and their slot maps need no other truth: the references must satisfy them as well.
echo "== dsv4diff run --set reference --tier smoke"
"$tool" run --set reference --tier smoke || status=1
for set in host sglang-0.5.12-host sglang-0.5.13-host; do
  echo "== dsv4diff run --set $set --tier quick"
  "$tool" run --set "$set" --tier quick || status=1
done
exit $status
