#!/usr/bin/env bash
# Unpacks a bundle of a build into another folder. The program and the tests of the bundle must run there. The CPU sets
# must run even without LibTorch.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$DSV4_SOURCE_DIR/scripts/gpu_bundle" --tests --build "$DSV4_BUILD_DIR" --output "$scratch/bundle.tar.xz"
mkdir "$scratch/another machine"
tar -C "$scratch/another machine" -xJf "$scratch/bundle.tar.xz"

# in_bundle WORD...: runs the command from /. PATH is its only environment variable.
in_bundle() { (cd / && env -i PATH="$PATH" "$@"); }
run="$scratch/another machine/gpu_run"

in_bundle "$run" run --set host --op mask_topk_ids --tier smoke > "$scratch/run"
grep '^agrees: ' "$scratch/run"
in_bundle "$run" run --set host --op mask_topk_ids --tier smoke --json "$scratch/r.json" > /dev/null
in_bundle "$run" report "$scratch/r.json" -o "$scratch/page.html"
grep -q '</html>' "$scratch/page.html"
mkdir -p "$scratch/checkout/python/sglang/jit_kernel"
echo 'def get(): return load_jit("a", cuda_files=["a.cuh"])' > "$scratch/checkout/python/sglang/jit_kernel/a.py"
status=0
in_bundle "$run" audit "$scratch/checkout" > "$scratch/audit" || status=$?
[ "$status" = 1 ] || { echo "audit must find the getter without a cache, and exits with $status:"; cat "$scratch/audit"; exit 1; }
grep -q 'get calls load_jit and keeps no result' "$scratch/audit"
in_bundle "$run" verify --set host --recorded cuda --op mask_topk_ids > "$scratch/verify"
grep '^agrees: ' "$scratch/verify"
in_bundle DSV4_PROGRAM=dsv4_tests "$run" --gtest_filter='Caller.*:Faulty.*:KnownFaults.*:FusedRopeReference.*' > "$scratch/tests" ||
  { cat "$scratch/tests"; exit 1; }
grep 'PASSED' "$scratch/tests"

# The bundle must not contain the C and C++ libraries of this machine. On another machine, the programs would load these
# libraries, which may be older, in place of that machine's own libraries.
if find "$scratch/another machine/build/lib" -name '*.so*' -printf '%f\n' |
  grep -E '^(ld-linux.*|lib(c|m|dl|rt|util|pthread|resolv|anl|nsl|stdc\+\+|gcc_s))\.so'; then
  echo "the bundle contains this library of the system"
  exit 1
fi
