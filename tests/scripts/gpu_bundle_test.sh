#!/usr/bin/env bash
# A bundle of a build runs where it is unpacked, and so do its tests. Its CPU sets run even without LibTorch.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$DSV4_SOURCE_DIR/scripts/gpu_bundle" --tests --build "$DSV4_BUILD_DIR" --output "$scratch/bundle.tar.xz"
mkdir "$scratch/another machine"
tar -C "$scratch/another machine" -xJf "$scratch/bundle.tar.xz"

# in_bundle WORD...: runs the command from /, without this shell's environment except for PATH.
in_bundle() { (cd / && env -i PATH="$PATH" "$@"); }
run="$scratch/another machine/gpu_run"

in_bundle "$run" run --set host --op mask_topk_ids --tier smoke > "$scratch/run"
grep '^agrees: ' "$scratch/run"
in_bundle "$run" verify --set host --recorded cuda --op mask_topk_ids > "$scratch/verify"
grep '^agrees: ' "$scratch/verify"
in_bundle DSV4_PROGRAM=dsv4_tests "$run" --gtest_filter='Caller.*:Faulty.*:KnownFaults.*:FusedRopeReference.*' > "$scratch/tests" ||
  { cat "$scratch/tests"; exit 1; }
grep 'PASSED' "$scratch/tests"

# The bundle must not hold the C and C++ libraries of this machine. If they are older, they would hide those of the
# other machine.
if find "$scratch/another machine/build/lib" -name '*.so*' -printf '%f\n' |
  grep -E '^(ld-linux.*|lib(c|m|dl|rt|util|pthread|resolv|anl|nsl|stdc\+\+|gcc_s))\.so'; then
  echo "a library of the system is in the bundle"
  exit 1
fi
