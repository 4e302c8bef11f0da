#!/usr/bin/env bash
# Fuzzes recovery with libFuzzer, on stable Rust and without cargo-fuzz.
#
#   scripts/fuzz.sh [seconds in all, 60] [target: recovery, structured, walker, reader; all]
#
# New inputs go to fuzz/found/<target>. An input that fails is kept in fuzz/artifacts/<target>, and the command that
# repeats it is printed. scripts/fuzz.sh --minimize folds what was found into the stored corpus.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

seconds=${1:-60}
targets=(recovery structured walker reader)
[ $# -lt 2 ] || targets=("$2")
limit_mb=2048

# What `cargo fuzz -s none` passes: edge counters and traced comparisons, for every crate.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
target_dir=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --quiet --release --target "$host" --target-dir "$target_dir"

if [ "$seconds" = --minimize ]; then
	for target in "${targets[@]}"; do
		mkdir -p "found/$target" "corpus/$target"
		new=$(mktemp -d)
		"$target_dir/$host/release/$target" -merge=1 -rss_limit_mb=$limit_mb "$new" "corpus/$target" "found/$target" 2>&1 | tail -1
		# The smallest inputs carry the most for their size; a few hundred are enough.
		rm -f "corpus/$target"/*
		find "$new" -type f -size -2k -printf '%s %p\n' | sort -n | head -150 | cut -d' ' -f2- | xargs -r mv -t "corpus/$target"
		rm -r "$new"
	done
	exit
fi

status=0
for target in "${targets[@]}"; do
	binary=$target_dir/$host/release/$target
	mkdir -p "found/$target" "artifacts/$target" "corpus/$target"
	share=$((seconds / ${#targets[@]}))
	echo "fuzzing $target for $share s"
	log=$(mktemp)
	if timeout --signal=INT $((share + 30)) "$binary" -max_total_time="$share" -timeout=10 -rss_limit_mb=$limit_mb -max_len=1024 \
		-artifact_prefix="artifacts/$target/" -print_final_stats=1 "found/$target" "corpus/$target" >"$log" 2>&1; then
		grep -E 'DONE|number_of_executed_units|average_exec' "$log" || true
	else
		status=1
		tail -40 "$log"
		input=$(ls -t "artifacts/$target" | head -1)
		echo "$target failed. To repeat it:"
		echo "  $binary fuzz/artifacts/$target/$input"
	fi
	rm -f "$log"
done
exit $status
