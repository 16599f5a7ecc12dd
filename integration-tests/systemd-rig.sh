#!/bin/bash
# Boots a throw-away systemd over an overlay of / for the tests of the units: systemd-rig.sh check | start | exec CMD... | stop.
# The guest gets a private mount namespace and a cgroup of its own before its pid 1 runs: a systemd that saw the host's root
# cgroup would move the host's processes. RIG_NAME tells rigs apart; RIG_SETUP is run with the new root before the boot.
# check and start exit with 77 and a reason where the machine cannot do it.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
name=${RIG_NAME:?a name of its own for each rig} dir=/tmp/grayling-rig.$name group=rig-$name self=$(readlink -f "$0")

host_cgroups() { awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts; }

check() {
    [ "$(id -u)" = 0 ] || { echo "not root"; return 77; }
    local tool
    for tool in systemd-nspawn nsenter unshare setsid; do command -v $tool >/dev/null || { echo "no $tool"; return 77; }; done
    [ -n "$(host_cgroups)" ] || { echo "no cgroup2 is mounted"; return 77; }
    unshare -m --propagation private sh -ec 'mount -t tmpfs t /mnt; mkdir /mnt/u /mnt/w /mnt/r /mnt/c
        mount -t overlay o -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r
        mount -t cgroup2 c /mnt/c; mkdir /mnt/c/rigprobe.$$; rmdir /mnt/c/rigprobe.$$' 2>&1 || return 77
}

# In the private namespace: every mount made here ends with it.
boot() {
    set -e
    local root=/run/rig/root unit
    mount -t tmpfs -o mode=755 rig /run
    mkdir -p $root /run/rig/up /run/rig/work /run/systemd
    mount -t overlay rig -o lowerdir=/,upperdir=/run/rig/up,workdir=/run/rig/work $root
    mount -t cgroup2 rig /sys/fs/cgroup
    mkdir "/sys/fs/cgroup/$group"
    rm -rf $root/etc/systemd/system/*.wants $root/etc/systemd/system/*.requires $root/etc/fstab $root/etc/machine-id
    for unit in getty.target systemd-udevd.service systemd-modules-load.service systemd-sysctl.service systemd-remount-fs.service \
        sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount; do
        ln -sfn /dev/null $root/etc/systemd/system/$unit
    done
    tr -d - </proc/sys/kernel/random/uuid >$root/etc/machine-id # absent would mean a first boot
    [ -z "${RIG_SETUP:-}" ] || $RIG_SETUP $root
    echo $BASHPID >"/sys/fs/cgroup/$group/cgroup.procs"
    echo $BASHPID >"$dir/nspawn"
    exec systemd-nspawn -q -D $root --boot --machine="$name" --register=no --keep-unit --kill-signal=SIGRTMIN+4 \
        --console=read-only --link-journal=no --resolv-conf=off --timezone=off --private-network --tmpfs=/var/lib/grayling \
        --system-call-filter='@keyring' systemd.show_status=0 </dev/null
}

leader() { # the host's pid of the guest's pid 1
    local parent pid
    parent=$(cat "$dir/nspawn" 2>/dev/null) || return 1
    for pid in $(cat "/proc/$parent/task/$parent/children" 2>/dev/null); do
        [ "$(awk '/^NSpid:/ {print $NF}' "/proc/$pid/status")" = 1 ] && { echo "$pid"; return; }
    done
    return 1
}

enter() { # in a cgroup of its own, which stop ends first: a living nsenter would hang the power-off
    local pid cgroup
    pid=$(leader) || { echo "rig $name is not running" >&2; exit 125; }
    cgroup=$(host_cgroups)/$group/exec
    mkdir -p "$cgroup" && echo $BASHPID >"$cgroup/cgroup.procs"
    exec nsenter -t "$pid" -m -u -i -n -p -C -- env -i PATH=$PATH HOME=/root LANG=C.UTF-8 TERM=dumb SYSTEMD_PAGER=cat "$@"
}

end_group() { local f; f=$(host_cgroups)/$group/$1/cgroup.kill; [ ! -w "$f" ] || echo 1 >"$f"; }

start() {
    check >&2 || exit 77
    mkdir -m 700 "$dir" || exit 1
    setsid unshare -m --propagation private "$self" boot >"$dir/console" 2>&1 </dev/null &
    local job=$! pid
    while kill -0 $job 2>/dev/null; do # the guest announces nothing to the host before its own socket is there
        if pid=$(leader) && [ -S "/proc/$pid/root/run/systemd/private" ]; then
            case $(enter timeout 30 systemctl is-system-running --wait 2>/dev/null) in running | degraded) return 0 ;; esac
        fi
        sleep 0.05
    done
    cat "$dir/console" >&2
    stop
    return 1
}

stop() {
    local pid tree
    tree=$(host_cgroups)/$group
    end_group exec
    if pid=$(cat "$dir/nspawn" 2>/dev/null) && kill -TERM "$pid" 2>/dev/null; then
        timeout 20 tail --pid="$pid" -f /dev/null || { end_group payload; end_group .; timeout 5 tail --pid="$pid" -f /dev/null; }
    fi
    [ ! -d "$tree" ] || find "$tree" -depth -type d -exec rmdir {} +
    rm -rf "$dir"
}

case ${1:-} in
check | start | stop | boot) "$1" ;;
exec) shift; enter "$@" ;;
*) sed -n 2,5p "$self" >&2; exit 2 ;;
esac
