# Sourced by the scripts beside it: where the repository, the virtual environment and a writable home are.
# MINIK8S_VENV chooses another virtual environment; PYTHON another interpreter to make it with.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# A user without a home (nobody) gets a private one, for pip's and kubectl's caches and minik8s' data.
if [ ! -w "${HOME:-/nonexistent}" ]; then
    HOME=${TMPDIR:-/tmp}/minik8s-$(id -u)
    mkdir -m 700 -p "$HOME"
    [ -O "$HOME" ] || { echo "$HOME belongs to someone else: set HOME to a directory of yours" >&2; exit 1; }
    export HOME
fi

if [ -n "${MINIK8S_VENV:-}" ]; then
    VENV=$MINIK8S_VENV
elif [ -w "$ROOT" ]; then
    VENV=$ROOT/.venv
else
    VENV=$HOME/.cache/minik8s/venv
fi
