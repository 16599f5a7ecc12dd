#!/bin/bash
# The part of the rig (rig.py) that runs below the test: systemd-rig.sh check | boot.
# check exits with 77 and a reason where the machine cannot boot a guest. boot, in a mount namespace of its own, becomes systemd-nspawn
# over an overlay of /. The guest gets a cgroup of its own before its pid 1 runs: a systemd that saw the host's root cgroup would move the
# host's processes. RIG_NAME tells rigs apart; RIG_SETUP is run with the new root before the boot; NOTIFY_SOCKET hears of the boot's end.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

check() {
    local tool
    [ "$(id -u)" = 0 ] || { echo "not root"; exit 77; }
    for tool in systemd-nspawn nsenter unshare; do command -v $tool >/dev/null || { echo "no $tool"; exit 77; }; done
    grep -q ' cgroup2 ' /proc/mounts || { echo "no cgroup2 is mounted"; exit 77; }
    unshare -m --propagation private sh -ec 'mount -t tmpfs t /mnt; mkdir /mnt/u /mnt/w /mnt/r /mnt/c
        mount -t overlay o -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r
        mount -t cgroup2 c /mnt/c; mkdir /mnt/c/rigprobe.$$; rmdir /mnt/c/rigprobe.$$' 2>&1 || exit 77
}

# Every mount made here ends with the namespace.
boot() {
    local root=/run/rig/root group=/sys/fs/cgroup/rig-$RIG_NAME unit
    mount -t tmpfs -o mode=755 rig /run
    mkdir -p $root /run/rig/up /run/rig/work /run/systemd
    mount -t overlay rig -o lowerdir=/,upperdir=/run/rig/up,workdir=/run/rig/work $root
    mount -t tmpfs rig /sys/fs/cgroup # where cgroup2 is mounted there already, it cannot be once more
    mount -t cgroup2 rig /sys/fs/cgroup
    mkdir "$group"
    rm -rf $root/etc/systemd/system/*.wants $root/etc/systemd/system/*.requires $root/etc/fstab $root/etc/machine-id
    for unit in getty.target systemd-udevd.service systemd-modules-load.service systemd-sysctl.service systemd-remount-fs.service \
        sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount; do
        ln -sfn /dev/null $root/etc/systemd/system/$unit
    done
    tr -d - </proc/sys/kernel/random/uuid >$root/etc/machine-id # absent would mean a first boot
    $RIG_SETUP $root
    echo $$ >"$group/cgroup.procs"
    exec systemd-nspawn -q -D $root --boot --machine="$RIG_NAME" --register=no --keep-unit --kill-signal=SIGRTMIN+4 --notify-ready=yes \
        --console=read-only --link-journal=no --resolv-conf=off --timezone=off --private-network \
        --system-call-filter='@keyring landlock_create_ruleset landlock_add_rule landlock_restrict_self' systemd.show_status=0
}

case ${1:-} in
check | boot) "$1" ;;
*) sed -n 2,5p "$0" >&2; exit 2 ;;
esac
