# Shared by the scripts: where things are, and how they speak. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
deps=$root/.deps
# Compiler results are shared between clones: paths below the repository count as relative.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=true

say() { printf '==> %s\n' "$*"; }

# fail WHAT [WHAT-TO-DO...]: the environment or the call is at fault.
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
  exit 2
}

# usage_of FILE: the comment block at the top of a script is its help text.
usage_of() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "$1"; }

have_gpu() { command -v nvidia-smi > /dev/null 2>&1 && nvidia-smi -L > /dev/null 2>&1; }

jobs() { nproc 2> /dev/null || echo 2; }

# nvcc_path: the CUDA compiler to use, or nothing. 13.0 is the oldest that will do: LibTorch is built with it.
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
