#!/usr/bin/env bash
# Boots a kernel under QEMU: cargo's runner for the bare-metal target, and a short command for people.
# It is `afterglow boot`, built when needed: scripts/boot.sh --help says what it takes.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

export PATH
# Where there is no environment, the shell has a PATH of its own, and cargo is where rustup puts it.
command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}/.cargo}/bin
command -v cargo >/dev/null || {
    echo "boot: cargo is not in PATH: scripts/setup.sh says how to get it" >&2
    exit 125
}

# No change of directory: paths in the arguments are seen from here. The kernel's flags are not for a host tool.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS
exec cargo run --quiet --target host-tuple --manifest-path "$root/Cargo.toml" -p afterglow -- boot "$@"
