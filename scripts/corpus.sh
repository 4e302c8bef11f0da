#!/usr/bin/env bash
# Makes images for the corpus of regions: each way to die, each board, under QEMU, as DIRECTORY/NAME.region.gz. What is there
# stays: old images are what tells whether old regions can still be read.
#
#   scripts/corpus.sh KERNEL DIRECTORY
set -euo pipefail

kernel=$1 corpus=$2
here=$(dirname "$0")
afterglow=(cargo run --quiet --target host-tuple -p afterglow --)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$corpus"

# NAME OPTIONS... -- COMMAND LINE
make_one() {
	local name=$1 options=()
	shift
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	[ -e "$corpus/$name.region.gz" ] && return
	rm -f "$scratch"/*
	# The second boot ends with the status of what it found; what counts is the region.
	timeout 100 "$here/boot.sh" "$kernel" --ram "$scratch/ram" "${options[@]}" \
		--append "events=150 payload=0..40 banks=2 ack=no tail=0 loss=go-on $*" >"$scratch/console" 2>&1 || true
	if ! "${afterglow[@]}" extract "$scratch/ram" --out "$scratch" >/dev/null 2>&1; then
		echo "$name: no region; the console ended with: $(tail -n 1 "$scratch/console")" >&2
		return 1
	fi
	mv "$scratch"/*.region "$scratch/region"
	gzip -9n <"$scratch/region" >"$corpus/$name.region.gz"
	echo "$name: $(stat -c %s "$corpus/$name.region.gz") bytes"
}

virt=(--memory 128M --region 0x46000000:192K)
for die in panic reset reboot poweroff trap serror index heap data-abort instruction-abort undefined alignment external-abort \
	write-rodata write-text exec-data overflow-thread overflow-irq overflow-nmi panic-in-irq panic-in-nmi panic-in-event panic-in-log \
	panic-holding-console panic-everywhere panic-at-stop panic-at-record panic-at-say panic-at-wait panic-at-clean panic-at-tell \
	panic-at-reset panic-before-cores panic-in-recovery panic-in-dump lock-up lock-up-others; do
	make_one "virt-$die" "${virt[@]}" -- die=$die hang=1 || true
done
make_one virt-gicv2 "${virt[@]}" --gic 2 --cpu cortex-a72 -- die_core=2
make_one virt-el2 "${virt[@]}" --el2 -- others=masked
make_one virt-unstopped "${virt[@]}" -- others=all-masked
make_one virt-one-core "${virt[@]}" --smp 1 -- parity=0
make_one virt-parity "${virt[@]}" -- parity=4
make_one virt-drop "${virt[@]}" -- full=drop events=3000
make_one virt-wrapped "${virt[@]}" -- events=3000
make_one virt-running "${virt[@]}" -- cycles=0
make_one raspi4b --board raspi4b --region 0xb000000:192K -- die_core=1
