#!/usr/bin/env bash
# Builds and runs what users start from: the examples in C, Rust and Python call models that were compiled ahead of time. Then what must
# hold besides: many threads at once, with sanitizers and valgrind where they are installed; wrong use; equal files from equal models.
#
#     scripts/test_examples.sh INKLE MODELS [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 2 ] || { echo "usage: $0 INKLE MODELS [PYTHON]" >&2; exit 2; }
inkle=$(realpath "$1") models=$(realpath "$2") python=${3:-python3}
model=$models/ppocr_cls.onnx
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

step() { printf '%s\n' "$*"; }
in_c() { make --silent -C examples/c ARTEFACT="$1" OUT="$2" CFLAGS="$3" "${@:4}"; }
makes() { echo 'int main(void) { return 0; }' | cc "$@" -x c - -o "$out/none" 2>/dev/null && "$out/none"; }

"$inkle" compile "$model" -o "$out/artefact" --rust >"$out/log"

step "C: a picture, with the shared library and the object, one thread and three"
in_c "$out/artefact" "$out/c" -O2 all "$out/c/threads"
"$python" scripts/test_direction.py --folder "$out" "$out/c/direction" "$out/c/direction-static"

step "Rust: the same pictures, and the example's own tests"
export ARTEFACT=$out/artefact
rust() { CARGO_TARGET_DIR=build/examples cargo "$1" --quiet --offline --release --manifest-path examples/rust/Cargo.toml "${@:2}"; }
rust run -- "$out/planes.f32" | cmp - "$out/wanted.txt"
rust test

step "100 threads at once"
"$out/c/threads" 100 5
for sanitizer in thread address,undefined; do
    makes -fsanitize=$sanitizer || { step "no -fsanitize=$sanitizer here"; continue; }
    in_c "$out/artefact" "$out/$sanitizer" "-O1 -g -fsanitize=$sanitizer" "$out/$sanitizer/threads"
    "$out/$sanitizer/threads" 100 2
done
if command -v valgrind >/dev/null; then
    # it does not know AVX-512
    "$inkle" compile "$model" -o "$out/avx2" --target x86-64-v3 >"$out/log"
    in_c "$out/avx2" "$out/valgrind" "-O1 -g" "$out/valgrind/threads"
    valgrind --quiet --error-exitcode=1 --leak-check=full --errors-for-leak-kinds=all "$out/valgrind/threads" 5 1
else
    step "no valgrind here"
fi

step "wrong use"
"$python" scripts/test_misuse.py --inkle "$inkle"

step "equal artefacts"
"$python" scripts/test_equal_artefacts.py --inkle "$inkle" "$model"
