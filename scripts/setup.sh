#!/usr/bin/env bash
# Installs what is missing to build Inkle on Debian or Ubuntu: LLVM 19 and a C linker, by apt.
# With --targets also what scripts/test_targets.py uses: linkers, compilers and emulators of other machines.
# With --python also build/venv, with the pinned packages of scripts/requirements.txt (Python 3.11 or later), for tests and models.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=build/venv
requirements=scripts/requirements.txt

fail() { echo "setup: $*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
newer_rust() { printf '%s\n' "$rust" "$(rustc --version | cut -d' ' -f2)" | sort -CV; }
has_llvm() { compgen -G "/usr/lib/*/libLLVM.so.19.1" >/dev/null || [ -e /usr/lib/llvm-19/lib/libLLVM.so.19.1 ] || [ -n "${INKLE_LLVM-}" ]; }

install_packages() {
    has apt-get || fail "no apt-get here; install by hand what these packages hold: $*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" ||
        fail "apt can't install $*; for LLVM 19 on older releases see https://apt.llvm.org"
}

install_build_needs() {
    local packages=()
    has_llvm || packages+=(libllvm19)
    has cc || packages+=(build-essential)
    [ ${#packages[@]} = 0 ] || install_packages "${packages[@]}"
    has cargo && newer_rust || fail "no Rust $rust or later here; see https://rustup.rs"
}

install_target_needs() {
    local packages=() tool
    local tools=(ld.lld-19=lld-19 aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu,libc6-dev-arm64-cross
        riscv64-linux-gnu-gcc=gcc-riscv64-linux-gnu,libc6-dev-riscv64-cross arm-none-eabi-gcc=gcc-arm-none-eabi
        qemu-aarch64=qemu-user qemu-system-arm=qemu-system-arm node=nodejs)
    for tool in "${tools[@]}"; do
        has "${tool%%=*}" || packages+=(${tool#*=})
    done
    packages=(${packages[@]//,/ })
    [ ${#packages[@]} = 0 ] || install_packages "${packages[@]}"
}

install_python_needs() {
    cmp -s "$requirements" "$venv/requirements.txt" && return
    has python3 && python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3 python3-venv
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" "$venv/requirements.txt"
}

case "${1-}" in
'' | --python) install_build_needs ;;
--targets) install_target_needs ;;
*) fail "unknown option $1; there are --python and --targets" ;;
esac
if [ "${1-}" = --python ]; then install_python_needs; fi
