#!/usr/bin/env bash
# Makes a machine able to build, boot and test Afterglow. Run it as often as you like: it is quiet when nothing is missing.
#
# What has to be there, and why it is not simply a package list:
#   QEMU >= 10   older ones have no raspi4b machine and another plugin interface; bookworm has it in its backports only
#   core, alloc and compiler_builtins for the bare-metal target, laid where `rustup target add` lays them, so that every
#                plain `cargo build` works on stable. Without rustup's servers they are built from Debian's rust-src.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
export RUSTUP_AUTO_INSTALL=0 # a look at the toolchain must not download one
unset RUST_BACKTRACE         # its frames would bury the reason

readonly target=aarch64-unknown-none-softfloat
readonly qemu_min=10
readonly qemu_advice="take Debian 12 or 13 or Ubuntu 25.10, or build QEMU (--target-list=aarch64-softmmu --enable-plugins) into PATH"
readonly backports_list=/etc/apt/sources.list.d/afterglow-backports.list

# Commands that must exist: "command package why".
tools=(
    "dtc device-tree-compiler compiles device trees"
    "fdtoverlay device-tree-compiler applies device tree overlays"
)
# Only with --tests. A path stands for a file that is no command.
test_tools=(
    "chromium chromium shows pages"
    "trace-cmd trace-cmd reads trace.dat"
    "babeltrace2 babeltrace2 reads CTF"
    "/usr/lib/u-boot/qemu_arm64/u-boot.bin u-boot-qemu boots a card on QEMU's virt"
)
# Only with --fuzz, --valgrind.
fuzz_tools=("c++ g++ builds libFuzzer")
valgrind_tools=("valgrind valgrind runs tests on a machine that watches memory")
more_tools=() # those of them that were asked for
# Only with --tests: labgrid, from PyPI, in a virtual environment of its own; all of it is there if its list is.
readonly labgrid=target/labgrid labgrid_list=examples/labgrid/requirements.txt
want_labgrid=''
# Never an error, mentioned by --check only.
optional_tools=("gdb-multiarch gdb-multiarch debugs the kernel" "cargo-clippy - lints" "rustfmt - formats")

usage() {
    cat <<'END'
Usage: scripts/setup.sh [--check] [--tests] [--fuzz] [--valgrind]
Installs what this project needs and this machine lacks; prints nothing if that is nothing.
  --check   only list what is missing, with the fix; exit status 1 if anything is, 0 and no output if not
  --tests   include what only the tests need; --fuzz and --valgrind what those commands need
  --help    this text
Packages are installed by apt, as root or through sudo; labgrid by pip, into target/labgrid. TMPDIR says where the target's core is built, if it has to be.
END
}

say() { printf 'setup: %s\n' "$*"; }
die() {
    printf 'setup: error: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}

# --- what is missing -------------------------------------------------------------------------------------------------

missing=()  # for people: "what: why"
packages=() # for apt

wanted() { [[ " ${packages[*]} " == *" $1 "* ]]; } # package

lacks() { # what, package
    missing+=("$1")
    wanted "$2" || packages+=("$2")
}

qemu_version() { qemu-system-aarch64 --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\).*/\1/p'; }

survey_packages() {
    local tool command package why qemu
    for tool in "${tools[@]}" "${more_tools[@]}"; do
        read -r command package why <<<"$tool"
        command -v "$command" >/dev/null || [[ $command == /* && -f $command ]] || lacks "$command: $why" "$package"
    done
    # A compiler driver without the C library's start files cannot link host tools either.
    command -v cc >/dev/null || lacks "cc: links host tools and build scripts" gcc
    [[ $(cc -print-file-name=crt1.o 2>/dev/null) == /* ]] || lacks "crt1.o: host programs are linked with it" libc6-dev
    qemu=$(qemu_version || true)
    [ "${qemu:-0}" -ge "$qemu_min" ] ||
        lacks "QEMU >= $qemu_min (there is ${qemu:-none}): boots the kernel, has raspi4b and the plugin interface" qemu-system-arm
}

toolchain_problem=() # a sentence and the fixes; empty if all is well
sysroot='' rustc_says='' version='' commit='' # of the toolchain that cargo uses in this checkout

survey_toolchain() {
    local channel
    channel=$(sed -n 's/^channel *= *"\(.*\)".*/\1/p' rust-toolchain.toml)
    if ! command -v rustc >/dev/null || ! command -v cargo >/dev/null; then
        toolchain_problem=("rustc or cargo $channel is missing" "is rustup there but not in PATH?  . \"\$HOME/.cargo/env\""
            "else install rustup, then: rustup toolchain install $channel")
        return
    fi
    if ! sysroot=$(rustc --print sysroot 2>&1) || [ ! -x "$sysroot/bin/rustc" ]; then
        toolchain_problem=("rustc does not run here: $(sed -n 's/^error: //p' <<<"$sysroot")" "rustup toolchain install $channel")
        [ "$(RUSTUP_TOOLCHAIN=stable rustc --version 2>/dev/null | cut -d' ' -f2)" != "$channel" ] ||
            toolchain_problem+=("or, as stable is $channel here: export RUSTUP_TOOLCHAIN=stable")
        return
    fi
    rustc_says=$("$sysroot/bin/rustc" -vV)
    version=$(sed -n 's/^release: //p' <<<"$rustc_says")
    commit=$(sed -n 's/^commit-hash: //p' <<<"$rustc_says")
    [ "$version" = "$channel" ] || toolchain_problem=("rustc is $version, this project wants $channel"
        "rustup toolchain install $channel, and unset RUSTUP_TOOLCHAIN if it is set")
}

core=unknown

labgrid_is_there() { cmp -s "$labgrid_list" "$labgrid/$(basename "$labgrid_list")"; }

survey_labgrid() {
    # Debian has what a virtual environment begins with in a package of its own.
    python3 -c 'import ensurepip, venv' 2>/dev/null || lacks "python3-venv: labgrid gets a virtual environment" python3-venv
    labgrid_is_there || missing+=("labgrid: runs the panic loop on boards in CI")
}

survey() {
    missing=() packages=() toolchain_problem=()
    survey_packages
    [ -z "$want_labgrid" ] || survey_labgrid
    survey_toolchain
    if [ "${#toolchain_problem[@]}" -gt 0 ]; then
        missing+=("${toolchain_problem[0]}")
        return
    fi
    core=$(core_state)
    case $core in
    missing) missing+=("core and alloc for $target: the kernel is built with them") ;;
    stale) missing+=("core and alloc for $target: those there are of another rustc") ;;
    doubled) missing+=("core and alloc for $target are there twice: ours go") ;;
    esac
}

report() {
    local tool command package why
    printf 'missing: %s\n' "${missing[@]}"
    [ "${#toolchain_problem[@]}" -eq 0 ] || printf '  fix: %s\n' "${toolchain_problem[@]:1}"
    printf '  fix: %s\n' "scripts/setup.sh${with[*]:+ ${with[*]}}"
    for tool in "${optional_tools[@]}"; do
        read -r command package why <<<"$tool"
        command -v "$command" >/dev/null || printf 'optional: %s: %s\n' "$command" "$why"
    done
}

# --- running things that may fail ------------------------------------------------------------------------------------

work='' # a directory of this run's own

make_work() {
    work=$(mktemp -d) || die "no temporary directory can be made" "free some space, or set TMPDIR to a directory that has some"
    chmod 755 "$work" # apt drops its privileges to download
}
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command quietly and for so many seconds at most; its words go to the log, which `failed` explains.
attempt() { # seconds, command...
    local status=0
    "${as[@]}" timeout --foreground --kill-after=10 "$@" </dev/null >>"$work/log" 2>&1 || status=$?
    [ "$status" -ne 124 ] || echo "error: cut off after $1 s" >>"$work/log"
    return "$status"
}
as=() # what to put before the command; the time-out is root's too, or it could not end what root runs
attempt_as_root() {
    local as=("${admin[@]}")
    attempt "$@"
}

failed() { # what did not work
    local reason="its last words follow"
    case $(<"$work/log") in
    *"No space left"* | *"enough free space"*) reason="the disk is full: free some space, then run this again" ;;
    *"Could not get lock"* | *"Unable to acquire"*) reason="another package manager is at work: wait for it, then run this again" ;;
    *"dpkg was interrupted"*) reason="an earlier installation was cut off: run dpkg --configure -a as root, then this again" ;;
    *NO_PUBKEY* | *"is not signed"* | *EXPKEYSIG*) reason="apt has not the archive's key: install a newer debian-archive-keyring" ;;
    *"Could not resolve"* | *"failure resolving"* | *"ould not connect"* | *"Unable to connect"* | *"timed out"* | \
        *"Failed to fetch"* | *"have a Release file"*)
        reason="the package mirror cannot be reached: check the network, the proxy and apt's sources" ;;
    *"error: cut off after"*) reason="it took too long: check the network, then run this again" ;;
    *"Permission denied"*) reason="a file may not be written or run; if that is below ${TMPDIR:-/tmp}, set TMPDIR" ;;
    esac
    grep -v '^ *$' "$work/log" | tail -n 8 >&2 || true
    die "$1: $reason"
}

# --- packages --------------------------------------------------------------------------------------------------------

apt_bounds=(-o DPkg::Lock::Timeout=60 -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)
admin=() # what makes a command root's

system() { # a field of os-release
    # shellcheck source=/dev/null
    (. /etc/os-release 2>/dev/null && printf '%s' "${!1-}")
}

# What apt is configured to fetch, from both forms of its sources, whether fetched or not.
configured() { { apt-get -o Debug::NoLocking=1 update --print-uris 2>/dev/null || true; } | sed -n "s/^'\([^']*\)'.*/\1/p"; }

# The first archive that calls itself Debian; while apt has no lists, the first that has this release.
debian_mirror() {
    local uri
    # shellcheck disable=SC2016 # the $(...) are apt's
    uri=$({ apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 2>/dev/null || true; } |
        awk -F'|' '$1 == "Debian" && $2 == "Debian" && $3 !~ /^cdrom:/ && !uri { uri = $3 } END { print uri }')
    [ -n "$uri" ] || uri=$(configured | sed -n "/^cdrom:/d; s|/dists/$(system VERSION_CODENAME)/InRelease\$||p" | head -n 1)
    printf '%s' "${uri%/}"
}

debian_source() { # suite: a line for a sources list
    local keyring uri
    uri=$(debian_mirror)
    [ -n "$uri" ] || die "apt's sources name no Debian mirror" "add one to /etc/apt/sources.list"
    for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        [ ! -e "$keyring" ] || break
    done
    [ -e "$keyring" ] || die "$keyring is missing" "apt-get install debian-archive-keyring"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$1"
}

release=() # apt options: bookworm's backports first
new_line='' # what our sources list has to say, if it does not yet

plan_backports() {
    release=(-o APT::Default-Release=bookworm-backports)
    # Ours follows the mirror. Beside somebody else's line it could contradict that, and stop apt altogether.
    [ -e "$backports_list" ] || ! configured | grep '/dists/bookworm-backports/main/' >/dev/null || return 0
    new_line=$(debian_source bookworm-backports)
    [ "$new_line" != "$(cat "$backports_list" 2>/dev/null)" ] || new_line=''
}

become_admin() {
    local add="echo '$new_line' > $backports_list" first=()
    [ -z "$new_line" ] || first=("$add")
    if [ "$(id -u)" -eq 0 ]; then
        admin=()
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; then
        admin=(sudo -n env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C)
    else
        die "only root may install packages, and sudo does not let this user; ask an administrator to run:" "${first[@]}" \
            "apt-get update" "apt-get install --no-install-recommends ${release[*]} ${packages[*]}"
    fi
    [ -n "$new_line" ] || return 0
    say "adding $backports_list: bookworm's own QEMU is too old"
    attempt_as_root 10 sh -c "$add" || failed "writing $backports_list"
}

updated=''
update() { # once
    [ -z "$updated" ] || return 1
    updated=yes
    say "updating apt's lists"
    attempt_as_root 300 apt-get "${apt_bounds[@]}" update
}

candidate() { # the major version of the QEMU that apt would install
    { apt-cache "${release[@]}" policy qemu-system-arm 2>/dev/null || true; } |
        sed -n 's/^ *Candidate: \([0-9]*:\)\{0,1\}\([0-9][0-9]*\).*/\2/p'
}

# An old QEMU is not installed: it would only hide what is missing.
refuse_old_qemu() {
    local qemu
    qemu=$(candidate)
    [ "${qemu:-0}" -ge "$qemu_min" ] || update || true # some third party's list may fail: no reason to stop
    qemu=$(candidate)
    [ -n "$qemu" ] || failed "finding qemu-system-arm"
    [ "$qemu" -lt "$qemu_min" ] || return 0
    say "the QEMU of $(system PRETTY_NAME) is $qemu, too old to install: $qemu_advice"
    mapfile -t packages < <(printf '%s\n' "${packages[@]}" | grep -vx qemu-system-arm)
}

install_packages() {
    local install=(apt-get "${apt_bounds[@]}" -y --no-install-recommends -o Dpkg::Options::=--force-confold)
    command -v apt-get >/dev/null || die "there is no apt-get here; install what these Debian packages hold:" "${packages[@]}"
    ! wanted qemu-system-arm || [ "$(system ID)-$(system VERSION_CODENAME)" != debian-bookworm ] || plan_backports
    become_admin
    ! wanted qemu-system-arm || refuse_old_qemu
    [ "${#packages[@]}" -gt 0 ] || return 0
    say "installing ${packages[*]}"
    install+=("${release[@]}" install "${packages[@]}")
    # The download is bounded. The installation is not: cut off, it would leave dpkg's database half-way.
    attempt_as_root 900 "${install[@]}" --download-only ||
        { update && attempt_as_root 900 "${install[@]}" --download-only; } || failed "downloading packages"
    : >"$work/log"
    attempt_as_root 0 "${install[@]}" || failed "installing packages"
}

install_labgrid() {
    local pip=("$labgrid/bin/python" -m pip install --quiet --disable-pip-version-check)
    say "installing labgrid into $labgrid"
    rm -rf "$labgrid"
    attempt 120 python3 -m venv "$labgrid" || failed "making a virtual environment in $labgrid"
    attempt 600 "${pip[@]}" -r "$labgrid_list" || failed "installing labgrid by pip"
    cp "$labgrid_list" "$labgrid"
}

# --- the whole -------------------------------------------------------------------------------------------------------

with=() check=''
for argument; do
    case $argument in
    --check) check=yes ;;
    --tests) with+=("$argument") more_tools+=("${test_tools[@]}") want_labgrid=yes ;;
    --fuzz) with+=("$argument") more_tools+=("${fuzz_tools[@]}") ;;
    --valgrind) with+=("$argument") more_tools+=("${valgrind_tools[@]}") ;;
    --help | -h) usage && exit ;;
    *)
        printf 'setup: error: unknown option %q\n' "$argument" >&2
        usage >&2
        exit 2
        ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/setup-core.sh

survey
[ "${#missing[@]}" -gt 0 ] || exit 0
if [ -n "$check" ]; then
    report
    exit 1
fi
[ "${#toolchain_problem[@]}" -eq 0 ] || die "${toolchain_problem[@]}"
for thing in "${missing[@]}"; do say "missing: $thing"; done
make_work
[ "${#packages[@]}" -eq 0 ] || install_packages
[ "$core" = ready ] || lay_core
[ -z "$want_labgrid" ] || labgrid_is_there || install_labgrid
survey
[ "${#missing[@]}" -gt 0 ] || exit 0
# What is left is a QEMU that apt's sources do not have, or an old one of the user's own that hides it.
die "still missing: ${missing[0]}" "${missing[@]:1}" \
    "first in PATH is: $(command -v qemu-system-aarch64 || echo "no qemu-system-aarch64")" "$qemu_advice"
