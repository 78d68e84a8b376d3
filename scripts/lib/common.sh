# Paths and functions that the scripts share. Scripts source this file.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
deps=$root/.deps
# Clones share cached compiler results, because ccache takes paths below the repository as relative.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=true

say() { printf '==> %s\n' "$*"; }

# fail WHAT [WHAT-TO-DO...]: prints the error and what to do, and exits with status 2.
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
  exit 2
}

# usage_of FILE: prints the comment block at the top of a script, which is its help text.
usage_of() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "$1"; }

have_gpu() { command -v nvidia-smi > /dev/null 2>&1 && nvidia-smi -L > /dev/null 2>&1; }

# The sglang releases whose wheels are pinned in wheels.json.
upstream_versions="0.5.12 0.5.13"

# is_built_here SET: whether scripts/setup can build this kernel set.
is_built_here() {
  local version
  case $1 in host | cuda) return 0 ;; esac
  for version in $upstream_versions; do
    case $1 in "sglang-$version" | "sglang-$version-host") return 0 ;; esac
  done
  return 1
}

# is_gpu_set SET: whether a set that scripts/setup builds runs on a GPU only.
is_gpu_set() { case $1 in host | *-host) return 1 ;; esac; }

jobs() { nproc 2> /dev/null || echo 2; }

# nvcc_path: prints the path of the CUDA compiler, or nothing. It must be 13.0 or newer, as LibTorch is built with 13.0.
nvcc_path() {
  local candidate version
  for candidate in "$deps/cuda/bin/nvcc" "${CUDA_HOME:-/nowhere}/bin/nvcc" "$(command -v nvcc || true)" \
    /usr/local/cuda/bin/nvcc; do
    [ -x "$candidate" ] || continue
    version=$("$candidate" --version 2> /dev/null | sed -n 's/.*release \([0-9]*\)\..*/\1/p')
    if [ "${version:-0}" -ge 13 ]; then
      echo "$candidate"
      return
    fi
  done
}
