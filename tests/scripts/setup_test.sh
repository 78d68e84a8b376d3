#!/usr/bin/env bash
# scripts/setup and scripts/sweep must build only what was asked for, in the right order. They must refuse a call that
# cannot work before they do any work. This test replaces the programs that would install, download or compile by stubs,
# which record their calls.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
repository=$scratch/repository
mkdir -p "$repository" "$scratch/bin" "$scratch/gpu"
cp -r scripts simt "$repository/"
calls=$scratch/calls

# stub FOLDER NAME: writes the text on standard input to $scratch/FOLDER/NAME, as a program.
stub() { { echo '#!/bin/bash'; cat; } > "$scratch/$1/$2"; chmod +x "$scratch/$1/$2"; }
stub bin uname <<< 'echo "${MACHINE:-x86_64}"'
stub bin dpkg-query <<< 'shift 3; echo "packages $*" >> "$CALLS"; for p; do echo "$p ii "; done'
stub bin g++ <<< 'echo "g++ (Debian ${GXX:-12.2.0}-14) ${GXX:-12.2.0}"'
stub bin cmake <<'S'
case $1 in --version) echo "cmake version ${CMAKE:-3.25.1}"; exit ;; esac
echo "cmake $*" >> "$CALLS"
if [ "$1" = --preset ]; then
  mkdir -p build
  for word; do case $word in -D*=*) echo "${word:2}" | sed 's/=/:BOOL=/' ;; esac; done >> build/CMakeCache.txt
  touch build/build.ninja
fi
S
stub bin python3 <<'S'
case $* in
  *fetch_wheels.py*) mkdir -p "$2/.stamps"; echo "fetch ${*:3}" >> "$CALLS" ;;
  *build_sglang_set.py*) echo "sglang ${*:3:2}" >> "$CALLS" ;;
esac
S
stub bin id <<< 'echo "${USER_ID:-0}"'
stub gpu nvidia-smi <<< 'case $1 in -L) echo "GPU 0" ;; *) echo 9.0 ;; esac'
stub gpu nvcc <<< 'echo "Cuda compilation tools, release 13.0, V13.0.88"'
echo 'ID=debian VERSION_ID=12' > "$scratch/os"

# called EXPECTED-STATUS COMMAND...: runs a script in a fresh folder. The calls of stubs are then in $calls, and the
# output of the script is in $scratch/said.
called() {
  local expected=$1 status=0
  shift
  rm -rf "$repository/build" "$repository/.deps"
  mkdir -p "$repository/build"
  cp "$scratch/dsv4diff" "$repository/build/"
  : > "$calls"
  env CALLS="$calls" CUDA_HOME= CXX= DSV4_OS_RELEASE="$scratch/os" PATH="$path" "$@" > "$scratch/said" 2>&1 || status=$?
  [ "$status" = "$expected" ] || { echo "exit status $status instead of $expected: $*"; cat "$scratch/said"; exit 1; }
}
# saw REGEX...: fails unless lines of $calls match, in this order. not_saw REGEX...: fails if a line of $calls matches.
saw() {
  local from=1 at
  for pattern; do
    at=$(tail -n "+$from" "$calls" | grep -nE -m 1 -- "$pattern" | cut -d: -f1) || true
    [ -n "$at" ] || { echo "no call from line $from on matches '$pattern':"; cat "$calls"; exit 1; }
    from=$((from + at))
  done
}
not_saw() {
  for pattern; do
    if grep -E -- "$pattern" "$calls"; then echo "the call above must not be made; it matches '$pattern'"; exit 1; fi
  done
}
said() { grep -qE -- "$1" "$scratch/said" || { echo "the output lacks '$1':"; cat "$scratch/said"; exit 1; }; }

stub . dsv4diff <<< 'echo "dsv4diff $*" >> "$CALLS"; exit ${DIFFERS:-0}'
path=$scratch/bin:/usr/bin:/bin
cpu=$path with_gpu=$scratch/gpu:$path
if PATH=$cpu command -v nvidia-smi > /dev/null; then
  echo "skipped: nvidia-smi is in a folder of the system, so this test cannot imitate a machine without a GPU"
  exit 0
fi
setup=$repository/scripts/setup sweep=$repository/scripts/sweep

# A sweep on a CPU. The in-tree set is swept before upstream's set is built. Tests, LibTorch and nvcc are not needed.
called 0 "$sweep" --tier smoke
saw '^fetch *$' 'preset release .*DSV4_TESTS=OFF.*DSV4_TORCH=OFF' 'dsv4diff dsv4_set_reference dsv4_set_host$' \
  'dsv4diff run --set host --tier smoke' 'sglang .*0.5.13 --host' 'dsv4diff run --set sglang-0.5.13-host --tier smoke'
not_saw torch nvcc older 0.5.12 DSV4_CUDA
said '^==> setup: packages [0-9]+ s, wheels [0-9]+ s, configure build [0-9]+ s, compile build [0-9]+ s$'

# Each set that the call names is built.
called 0 "$sweep" --set host --set=sglang-0.5.12-host --against sglang-0.5.13-host
saw '^fetch --older' 'dsv4_set_host$' '0.5.12 --host' '0.5.13 --host' 'run --set host --set=sglang-0.5.12-host'
called 0 "$sweep" --set elsewhere/mine
saw 'dsv4_set_reference' 'run --set elsewhere/mine'
called 0 "$sweep" --case topk_v1/x
saw 'dsv4_set_host$' 'run --case topk_v1/x'
not_saw sglang

# If a set differs, the next set is still swept, and the exit status is 1. If the call is wrong, no other set is swept.
called 1 env DIFFERS=1 "$sweep"
saw 'run --set host' 'run --set sglang-0.5.13-host'
called 2 env DIFFERS=2 "$sweep" --tier none
not_saw sglang

# A sweep on a machine with a GPU.
path=$with_gpu
called 0 "$sweep"
saw '^fetch --gpu --torch' 'DSV4_CUDA=ON.*DSV4_TORCH=ON' 'dsv4_set_cuda dsv4_cuda$' 'run --set cuda' '0.5.13 --arch' \
  'run --set sglang-0.5.13 *$'
not_saw older -host
called 0 "$sweep" --set host
saw 'dsv4_set_host$' 'run --set host'
not_saw torch DSV4_CUDA
path=$cpu
called 2 "$sweep" --set cuda
said "set 'cuda' needs a GPU"

# Without options, setup builds everything. On Ubuntu, the package chromium is a snap, which cannot be installed.
# On Debian, it is installed unless a browser is in PATH. Without root it is not required, except in CI.
mkdir "$scratch/no_browser" "$scratch/browser"
ln -sf /usr/bin/* /bin/* "$scratch/no_browser/"
rm -f "$scratch/no_browser"/{chromium,chromium-browser,google-chrome}
path=$scratch/bin:$scratch/no_browser
called 0 env CI= "$setup"
saw '^packages .*libgtest-dev.* chromium'
called 0 env CI= USER_ID=1000 "$setup"
saw '^packages .*libgtest-dev'
not_saw chromium
said 'the browser test of dsv4diff report will be skipped'
called 0 env CI=true USER_ID=1000 "$setup"
saw '^packages .*libgtest-dev.* chromium'
for browser in chromium chromium-browser google-chrome; do
  stub browser "$browser" <<< ''
  path=$scratch/browser:$scratch/bin:$scratch/no_browser
  called 0 env CI=true "$setup"
  not_saw chromium
  if grep 'will be skipped' "$scratch/said"; then exit 1; fi
  rm "$scratch/browser/$browser"
done
path=$cpu
echo 'ID=ubuntu VERSION_ID=24.04' > "$scratch/os"
called 0 "$setup"
saw '^packages .*libgtest-dev'
not_saw chromium
echo 'ID=debian VERSION_ID=12' > "$scratch/os"
called 0 "$setup"
saw '^fetch --torch --older' 'DSV4_TESTS=ON.*DSV4_TORCH=ON' 'cmake --build [^ ]*build$' '0.5.12 --host' '0.5.13 --host'
called 0 env SETUP="$setup" bash -c '"$SETUP" --for sweep && "$SETUP" && "$SETUP"'
[ "$(grep -c preset "$calls")" = 2 ] || { echo "the build must be configured only twice:"; cat "$calls"; exit 1; }

# A call that cannot work is refused before anything is fetched.
called 2 "$setup" --for nothing
called 2 "$setup" --set host
called 2 "$setup" --for sweep --set sglang-9.9.9
said 'builds host, cuda and sglang-0.5.12\[-host\] sglang-0.5.13\[-host\]'
called 2 env MACHINE=aarch64 "$sweep"
said 'this machine is aarch64'
called 2 env GXX=11.4.0 "$sweep"
said 'needs g\+\+ 12, and the one in PATH is 11'
called 2 env CMAKE=3.22.1 "$setup"
said 'needs cmake 3.25, and the one in PATH is 3.22.1'
[ ! -s "$calls" ]
# If the tools of a system are too old, setup refuses the system before it installs them.
mkdir "$scratch/bare"
for tool in "$scratch"/bin/*; do case $tool in */cmake | */g++) ;; *) ln -s "$tool" "$scratch/bare/" ;; esac; done
for tool in bash env cat cp cut dirname grep head mkdir mv nproc rm sed seq sha256sum sort tail tr; do
  ln -s "$(command -v "$tool")" "$scratch/bare/"
done
path=$scratch/bare
for os in 'debian 11 12' 'ubuntu 22.04 24.04'; do
  set -- $os
  echo "ID=$1 VERSION_ID=$2" > "$scratch/os"
  called 2 "$setup"
  said "which $1 $2 does not have"
  said "Use $1 $3 or newer"
  [ ! -s "$calls" ]
done
