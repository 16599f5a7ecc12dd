#!/usr/bin/env bash
# Installs what is missing of the named group of Debian packages. Groups: build (to build and run), test (everything else of ./test),
# bench (the peers of ./test -L bench).
# Says what it installs; asks only on a terminal. Packages that a release of Debian does not have are named and left out.
set -eu
build="build-essential cmake ninja-build pkg-config libcurl4-openssl-dev libcjson-dev libssl-dev libsystemd-dev libsqlite3-dev
  libpcre2-dev libmicrohttpd-dev libseccomp-dev libelf-dev libxxhash-dev libyaml-dev libcmocka-dev python3 etcd-server etcd-client curl openssl ca-certificates"
test="chromium debhelper fakeroot fish groff-base man-db mandoc python3-jsonschema zsh clang clang-format e2fsprogs libclang-rt-dev lintian llvm protobuf-compiler libprotobuf-dev python3-pytest systemd systemd-container gcc-aarch64-linux-gnu libc6-dev-arm64-cross prometheus strace procps iproute2 git"
bench="nginx haproxy libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc"
# Other distributions of Node.js bring npm along, and refuse Debian's.
command -v node >/dev/null || test="$test nodejs"
command -v npm >/dev/null || test="$test npm"
want=$build
test="$test golang-go rustc" # the examples in other languages
case ${1:-build} in
    test) want="$build $test" ;;
    bench) want="$build $bench" ;;
esac
missing=
for p in $want; do
    dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "These Debian packages are missing and installing them needs root:$missing" >&2
    exit 1
fi
echo "Installing with apt:$missing" >&2
if [ -t 0 ] && [ -z "${CI:-}" ]; then
    read -r -p "Go on? [Y/n] " answer
    case $answer in [nN]*) exit 1 ;; esac
fi
export DEBIAN_FRONTEND=noninteractive
# Services that come with packages (etcd, prometheus, nginx) must not start on the machine that only builds and tests.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    made=1
fi
trap '[ -z "$made" ] || rm -f $policy' EXIT
apt-get update -q >/dev/null
available=
for p in $missing; do
    if apt-cache show "$p" >/dev/null 2>&1; then available="$available $p"; else echo "not in this release, left out: $p" >&2; fi
done
apt-get install -y -q --no-install-recommends $available >/dev/null
