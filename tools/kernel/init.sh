#!/bin/sh
# The first process of the virtual machine. The root is another machine's and read-only; what is written goes to memory.
# Three serial ports: ttyS0 the kernel's messages, ttyS1 what the command prints, ttyS2 its exit code.
here=$(dirname "$0")
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/wireguard /run/tmp
stty -F /dev/ttyS1 raw -echo
exec >/dev/ttyS1 2>&1 </dev/null
ip link set lo up
. "$here/settings"
for module in $MODULES; do
    modprobe -d "$KERNEL_MODULES" "$module" || echo "the module $module cannot be loaded"
done
echo "Linux $(uname -r) is up after $(cut -d' ' -f1 /proc/uptime) s"
[ -z "$SYSTEMD" ] || . "$here/systemd"
sh "$here/command"
echo $? >/dev/ttyS2
# Off at once: there is nothing to save.
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
