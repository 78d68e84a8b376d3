#!/usr/bin/env bash
# `cmake --install` must install a dsv4diff that uses the kernel sets, goldens, known faults and scripts that were
# installed with it. It must also run after its folder was moved.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# check PROGRAM: calls the program from /, which is outside the installation and the repository.
check() {
  local home
  home=$(dirname "$(realpath "$1")")
  cd /
  echo "== $1"
  [ "$("$1" sets --json | grep -c '"name": "host"')" = 1 ] || { echo "the installation has no set 'host'"; exit 1; }
  "$1" run --set host --op mask_topk_ids --tier smoke --no-known > "$scratch/run"
  grep '^agrees: ' "$scratch/run"
  "$1" run --set host --op mask_topk_ids --tier smoke --json "$scratch/r.json" > /dev/null
  "$1" report "$scratch/r.json" -o "$scratch/page.html"
  grep -q '</html>' "$scratch/page.html" || { echo "the installation makes no page"; exit 1; }
  rm "$scratch/page.html"
  "$1" verify --set host --op mask_topk_ids > "$scratch/verify"
  grep '^agrees: ' "$scratch/verify"
  grep -q 'golden:cuda' "$scratch/verify" || { echo "the goldens that a GPU recorded are missing"; exit 1; }
  [ -e "$home/known_faults.json" ] || { echo "the installation has no list of known faults"; exit 1; }
  "$1" audit "$scratch/package" > "$scratch/audit" && { echo "the audit found no fault"; exit 1; }
  grep -q 'fault  sglang/jit_kernel/a.py:2' "$scratch/audit"
  # Neither the program nor a kernel's module may load a library from the build folder.
  if ldd "$home/dsv4diff" "$home"/sets/*/*.so | grep -F "$DSV4_BUILD_DIR"; then
    echo "the installation loads the library above from the build folder"
    exit 1
  fi
}

mkdir -p "$scratch/package/sglang/jit_kernel"
printf 'from x import load_jit\ndef get(): return load_jit("a")\n' > "$scratch/package/sglang/jit_kernel/a.py"

cmake --install "$DSV4_BUILD_DIR" --prefix "$scratch/first place" > "$scratch/log" || { cat "$scratch/log"; exit 1; }
check "$scratch/first place/bin/dsv4diff"
# Installs into the same folder again, as an update does.
cmake --install "$DSV4_BUILD_DIR" --prefix "$scratch/first place" > "$scratch/log" || { cat "$scratch/log"; exit 1; }
mv "$scratch/first place" "$scratch/second place"
ln -s "$scratch/second place/bin/dsv4diff" "$scratch/dsv4diff"
check "$scratch/dsv4diff"

# Installs as for a package: the folder in DESTDIR will be the root of another machine.
DESTDIR="$scratch/root" cmake --install "$DSV4_BUILD_DIR" --prefix /opt/dsv4diff > "$scratch/log" ||
  { cat "$scratch/log"; exit 1; }
check "$scratch/root/opt/dsv4diff/bin/dsv4diff"
