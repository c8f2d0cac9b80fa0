# Sourced by init.sh in place of the command: systemd becomes the first process, and the command a service of it.
# It is given units of its own choice, none of this machine's: those would clean up, mount and configure, and the root
# is another machine's.
off() {
    echo 1 >/dev/ttyS2
    echo o >/proc/sysrq-trigger
    while :; do sleep 1; done
}
# The machine that serves the root must refuse to write, whatever is asked here.
mount -o remount,rw / 2>/dev/null
if touch "$here/written" 2>/dev/null || [ -e "$here/written" ]; then
    echo "the root can be written from the virtual machine: systemd is not started"
    off
fi
mount -o remount,ro / || off

modprobe -d "$KERNEL_MODULES" overlay || off
for folder in etc tmp; do
    mkdir -p /run/over/$folder/upper /run/over/$folder/work
    mount -t overlay -o "lowerdir=/$folder,upperdir=/run/over/$folder/upper,workdir=/run/over/$folder/work" over /$folder ||
        off
done
mount -t tmpfs -o mode=755 tmpfs /var || off
mount -t tmpfs -o mode=755 tmpfs /opt || off
mkdir -p /var/lib /var/log /var/tmp
chmod 1777 /var/tmp
ln -s /run /var/run
tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id

system=/usr/lib/systemd/system
mkdir /run/units
for unit in basic local-fs local-fs-pre multi-user network network-online network-pre paths shutdown \
    slices sockets swap sysinit timers umount; do
    cp $system/$unit.target /run/units/
done
cp $system/systemd-journald.service $system/systemd-journald.socket $system/systemd-journald-dev-log.socket /run/units/
ln -s multi-user.target /run/units/default.target
mkdir /run/units/multi-user.target.wants /run/units/sysinit.target.wants
ln -s ../systemd-journald.service /run/units/sysinit.target.wants/
ln -s ../command.service /run/units/multi-user.target.wants/
cat >/run/units/command.service <<END
[Unit]
Description=What the virtual machine was started for
[Service]
ExecStart=/bin/sh -c 'sh "$here/command"; echo \$\$? >/dev/ttyS2; echo o >/proc/sysrq-trigger'
StandardOutput=file:/dev/ttyS1
StandardError=inherit
END
mount --bind /run/units $system || off
for folder in /etc/systemd /usr/local/lib/systemd /usr/lib/systemd/system-generators \
    /usr/lib/systemd/system-environment-generators /etc/tmpfiles.d /usr/lib/tmpfiles.d; do
    [ ! -d $folder ] || mount -t tmpfs -o mode=755 tmpfs $folder || off
done
mkdir /etc/systemd/system
# The kernel loads modules by itself where somebody asks for what is in them, but looks for them elsewhere.
printf '#!/bin/sh\nexec /sbin/modprobe -d "%s" "$@"\n' "$KERNEL_MODULES" >/run/modprobe
chmod 755 /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
# The root has marks of the container that this machine may be; the virtual machine is none.
container="" exec /lib/systemd/systemd
