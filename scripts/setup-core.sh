# Lays core, alloc and compiler_builtins of the bare-metal target into the toolchain, once. Read in by setup.sh.
#
# rustup's own are the first choice. Without its servers they are built as rustup's are, from Debian's rust-src of exactly
# this rustc: in a private sysroot, with nothing of the checkout's or the user's configuration, tried by linking a program,
# and moved into place last, whole. An interruption leaves nothing.
# shellcheck shell=bash disable=SC2154 # what it does not define, setup.sh does

readonly stamp_name=afterglow.stamp
# Where Debian keeps rust-src of a rustc that is newer than the installed release.
readonly newer_suites="trixie-backports testing sid"
readonly work_mib=500 # sources, build and result; removed at the end

# The state of the target's core. Files that rustup laid carry no stamp and are trusted; ours name the rustc they are for.
core_state() {
    local cores
    cores=("$sysroot/lib/rustlib/$target/lib/"libcore-*.rlib)
    if [ ! -e "${cores[0]}" ]; then
        echo missing
    elif [ ! -e "$sysroot/lib/rustlib/$target/$stamp_name" ]; then
        echo ready
    elif [ "${#cores[@]}" -gt 1 ]; then
        echo doubled # rustup's came to lie beside ours: rustc would refuse to choose
    elif [ "$(head -n 1 "$sysroot/lib/rustlib/$target/$stamp_name")" != "$commit" ]; then
        echo stale
    else
        echo ready
    fi
}

drop_ours() { # the stamp names our files: what rustup laid beside them stays
    local dir=$sysroot/lib/rustlib/$target file
    while read -r file; do rm -f "$dir/lib/$file"; done < <(tail -n +2 "$dir/$stamp_name")
    rm -f "$dir/$stamp_name"
}

add_by_rustup() {
    # A rustc that is not rustup's gains nothing from what rustup adds elsewhere.
    [ "$(rustup which rustc 2>/dev/null)" -ef "$sysroot/bin/rustc" ] || return 1
    say "adding $target by rustup (120 s at most)"
    attempt 120 rustup target add "$target" && [ "$(core_state)" = ready ] && return
    # Cut off, it may have left part of it behind. What it completed is among its components.
    grep -qs -- "-$target\$" "$sysroot/lib/rustlib/components" || rm -rf "${sysroot:?}/lib/rustlib/$target"
    say "rustup cannot add it ($(tail -n 1 "$work/log" | sed 's/.*: //')): building it from Debian's rust-src instead"
    return 1
}

find_sources() { # apt options: "package=version" of the sources of exactly this rustc
    { apt-cache "$@" madison rust-src "rust-${version%.*}-src" 2>/dev/null || true; } |
        awk -v want="$version" 'index($3, want "+") == 1 || index($3, want "-") == 1 { print $1 "=" $3; exit }'
}

# An apt configuration beside the system's: own lists, own cache, own sources; same proxies, and signatures are checked as always.
private_apt() { # a line for its sources list
    mkdir -p "$work/lists" "$work/cache"
    echo "${1/\[/[target=Packages }" >"$work/sources.list"
    cat >"$work/apt.conf" <<END
Dir::State::Lists "$work/lists";
Dir::Cache "$work/cache";
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END
    attempt 300 apt-get -c "$work/apt.conf" "${apt_bounds[@]}" -o APT::Update::Error-Mode=any update
}

# Finds the package and leaves its library/ where cargo looks for it below our private sysroot.
fetch_sources() {
    local options=() package suite source searched free
    local rust=$work/sysroot/lib/rustlib/src/rust
    command -v apt-get >/dev/null || die "the core of $target is missing and this system has no apt" "rustup target add $target"
    free=$(df -Pm "$work" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$work_mib" ] || die "$work has $free MiB left, $work_mib are needed" "set TMPDIR to another directory"
    : >"$work/log"
    package=$(find_sources)
    searched="the archives that apt knows"
    if [ -z "$package" ] && [ "$(system ID)" = debian ]; then
        for suite in $newer_suites; do
            say "looking for rust-src $version in $suite"
            source=$(debian_source "$suite")
            private_apt "$source" || continue
            searched+=", $suite"
            options=(-c "$work/apt.conf")
            package=$(find_sources "${options[@]}")
            [ -z "$package" ] || break
        done
        [ "${#options[@]}" -gt 0 ] || failed "reading Debian's list of packages"
    fi
    [ -n "$package" ] || die "rust-src $version is in none of: $searched" \
        "where rustup's servers can be reached: rustup target add $target"
    say "downloading ${package/=/ }, 45 MB"
    : >"$work/log"
    (cd "$work" && attempt 900 apt-get "${options[@]}" "${apt_bounds[@]}" download "$package") || failed "downloading ${package%=*}"
    mkdir -p "$rust"
    dpkg-deb --fsys-tarfile "$work"/rust*.deb 2>>"$work/log" |
        tar -x -C "$rust" --wildcards --strip-components=4 './usr/src/*/library' 2>>"$work/log" || failed "unpacking ${package%=*}"
}

build_core() {
    local private=$work/sysroot/lib/rustlib lib=$work/sysroot/lib/rustlib/$target/lib host flags crate built
    host=$(sed -n 's/^host: //p' <<<"$rustc_says")
    : >"$work/log"
    say "building core and alloc for $target (less than a minute)"
    mkdir -p "$work/empty/src" "$work/cargo" "$lib"
    ln -s "$sysroot/lib/rustlib/$host" "$private/$host" # the linker, and std for build scripts
    printf '#!/bin/sh\nexec %q --sysroot %q "$@"\n' "$sysroot/bin/rustc" "$work/sysroot" >"$work/rustc"
    chmod +x "$work/rustc"
    # As the "dist" profile in library/Cargo.toml, with which rustup's are built: bitcode is there for a kernel with LTO,
    # frame pointers for its backtraces, and panics name the same paths on every machine.
    printf -v flags '%s\037' -Cembed-bitcode=yes -Zunstable-options -Cforce-frame-pointers=non-leaf \
        "--remap-path-prefix=$private/src/rust=/rustc/$commit"
    cat >"$work/empty/Cargo.toml" <<'END'
[package]
name = "empty"
edition = "2024"
[profile.release]
codegen-units = 1
debug = 1
[profile.release.package.compiler_builtins]
codegen-units = 10000 # an object file for each intrinsic: the linker takes what it needs
END
    echo '#![no_std]' >"$work/empty/src/lib.rs"
    # Cargo resolves all of std's dependencies, though none is built: from the copies that came along.
    cat >"$work/cargo/config.toml" <<END
source.crates-io.replace-with = "vendor"
source.vendor.directory = "$private/src/rust/library/vendor"
END
    (cd "$work/empty" && attempt 900 env -i PATH="$PATH" HOME="$work" TMPDIR="$work" CARGO_HOME="$work/cargo" \
        CARGO_NET_OFFLINE=true CARGO_TARGET_DIR="$work/target" CARGO_ENCODED_RUSTFLAGS="${flags%?}" RUSTC="$work/rustc" \
        RUSTC_BOOTSTRAP=1 "$sysroot/bin/cargo" build --release --target "$target" \
        -Zbuild-std=core,alloc -Zbuild-std-features=compiler-builtins-mem) || failed "building core and alloc"
    for crate in core alloc compiler_builtins; do
        built=("$work/target/$target/release/deps/lib$crate"-*.rlib)
        mv "${built[@]}" "$lib/" 2>>"$work/log" || failed "building $crate"
    done
    { echo "$commit" && (cd "$lib" && ls); } >"$private/$target/$stamp_name"
}

# A program that needs core and memcpy, built as anybody's would be: without RUSTC_BOOTSTRAP or further flags.
try_core() {
    cat >"$work/try.rs" <<'END'
#![no_std]
#![no_main]
unsafe extern "C" {
    fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8;
}
#[unsafe(no_mangle)]
extern "C" fn _start(to: *mut u8, from: *const u8, bytes: usize) {
    unsafe { memcpy(to, from, bytes) };
}
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
END
    attempt 60 "$work/rustc" --edition 2024 -O --target "$target" -o "$work/try" "$work/try.rs" || failed "trying the new core"
}

lay_core() {
    local rustlib=$sysroot/lib/rustlib aside=$sysroot/lib/rustlib/.$target.new
    [ -w "$rustlib" ] || die "$rustlib may not be written" "run this as the user who owns the toolchain"
    exec 9<"$rustlib"
    flock -w 1800 9 || die "another run of this script is at work in $rustlib" "wait for it"
    case $(core_state) in
    ready) return ;;
    doubled) drop_ours && return ;;
    stale) drop_ours ;;
    esac
    : >"$work/log"
    add_by_rustup && return
    fetch_sources
    build_core
    try_core
    # Copied beside, then renamed: the toolchain has all of it or nothing.
    rm -rf "$aside"
    if ! cp -r "$work/sysroot/lib/rustlib/$target" "$aside" 2>>"$work/log"; then
        rm -rf "$aside"
        failed "copying to $rustlib"
    fi
    rm -rf "${rustlib:?}/$target"
    mv -T "$aside" "$rustlib/$target"
}
