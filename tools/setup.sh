#!/usr/bin/env bash
# Set up everything that the demo and the tests need, on Debian or Ubuntu. Safe to run again: what is there is kept.
#   1. packages of the distribution    2. a virtual environment with locked packages    3. control plane and wireguard-go
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
step() { printf '[%s] %s\n' "$1" "$2" >&2; }

# command:package; the first list for every target, the others for those that need them
NEEDED="wg:wireguard-tools wg-quick:wireguard-tools ip:iproute2 ping:iputils-ping nft:nftables zbarimg:zbar-tools git:git curl:curl"
UNIT="systemd-analyze:systemd"
CLUSTER="iperf3:iperf3 jq:jq openssl:openssl"
BROWSER="chromium:chromium"
# Ubuntu has no package of it; its machines for tests come with Chrome, which will do.
! command -v google-chrome >/dev/null || BROWSER="google-chrome:google-chrome-stable"
IMAGE="buildah:buildah mmdebstrap:mmdebstrap catatonit:catatonit"
KERNEL="qemu-system-x86_64:qemu-system-x86 depmod:kmod"
NODE="containerd:containerd runc:runc /usr/lib/cni/bridge:containernetworking-plugins iptables:iptables"
case "${1:-}" in
    unit) NEEDED="$NEEDED $UNIT" ;;
    cluster|bench) NEEDED="$NEEDED $CLUSTER" ;;
    browser) NEEDED="$NEEDED $BROWSER" ;;
    image|sbom) NEEDED="$NEEDED $IMAGE" ;;
    node) NEEDED="$NEEDED $IMAGE $NODE" ;;
    kernel) NEEDED="$NEEDED $UNIT $KERNEL" ;;
    test) NEEDED="$NEEDED $UNIT $CLUSTER $BROWSER $IMAGE $NODE $KERNEL" ;;
esac

find_python() {
    local name
    for name in python3.13 python3.12 python3.11 python3; do
        if command -v "$name" >/dev/null && "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
}

[ "$(uname -s)" = Linux ] || fail "network namespaces and WireGuard need Linux"
[ "$(id -u)" = 0 ] || fail "root is needed for network namespaces and WireGuard interfaces; run: sudo make ${1:-demo}"
[ -c /dev/net/tun ] || fail "/dev/net/tun is missing; run 'modprobe tun', or start the container with --device /dev/net/tun"

packages=""
for pair in $NEEDED; do
    command -v "${pair%%:*}" >/dev/null || packages="$packages ${pair##*:}"
done
[ -x .venv/bin/python ] || [ -n "$(find_python)" ] || packages="$packages python3 python3-venv"
# Up to Debian 12 virtiofsd comes with qemu, outside of PATH; later it is a package of its own.
case " $NEEDED " in
    *" qemu-system-x86_64:"*)
        if [ ! -x /usr/lib/qemu/virtiofsd ] && [ ! -x /usr/libexec/virtiofsd ]; then
            packages="$packages virtiofsd"
        fi ;;
esac
# The image's base is Debian; Ubuntu does not have Debian's keys by itself.
case " $NEEDED " in
    *" mmdebstrap:"*) [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || packages="$packages debian-archive-keyring" ;;
esac
# A browser without a font shows no words.
case " $NEEDED " in
    *" chromium:"*|*" google-chrome:"*) [ -n "$(find /usr/share/fonts -name '*.ttf' -print -quit 2>/dev/null)" ] || packages="$packages fonts-dejavu-core" ;;
esac
if [ -n "$packages" ]; then
    packages=$(printf '%s\n' $packages | sort -u | tr '\n' ' ')
    command -v apt-get >/dev/null || fail "please install: $packages"
    step 1/3 "installing $packages(apt-get, about a minute)"
    apt-get update -qq >&2 || fail "apt-get update failed; is there a network?"
    apt-cache show virtiofsd >/dev/null 2>&1 || packages=${packages/virtiofsd/qemu-system-common}
    # Without recommends: wireguard-tools would bring a kernel.
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates $packages >/dev/null
else
    step 1/3 "packages are there"
fi

python=$(find_python)
[ -x .venv/bin/python ] || [ -n "$python" ] || fail "Python 3.11 or newer with venv is needed; the one here is older"
lock=$(cat requirements-dev.lock pyproject.toml | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv/.installed 2>/dev/null)" != "$lock" ]; then
    step 2/3 "installing Python packages into .venv (locked by hash, about a minute)"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
    echo "$lock" >.venv/.installed
else
    step 2/3 "Python packages are there"
fi

case "${1:-}" in
    check) step 3/3 "no other tools are needed"; exit ;;
    kind-e2e) step 3/3 "tools are built when there is a Docker engine"; exit ;;
    demo) binaries="etcd kube-apiserver kube-controller-manager kubectl wireguard-go" minutes=eight ;;
    kernel) binaries="wireguard-go" minutes=two ;;
    *) binaries="" minutes=ten ;;
esac
step 3/3 "control plane and tools (the first time they are built from source, about $minutes minutes)"
# shellcheck disable=SC2086
.venv/bin/python -m tools.controlplane binaries $binaries >/dev/null
