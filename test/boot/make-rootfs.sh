# Makes the bare machine's disk from its tree: make-rootfs.sh TAR TREE INTO SIZE.
# Run it as root, or as root of a user namespace.
tar=$1 tree=$2 into=$3 size=$4
trap 'rm -rf "$tree"' EXIT
mkdir "$tree"
tar -C "$tree" --numeric-owner --exclude='./dev/*' -xf "$tar"
mv "$tree"/boot/vmlinuz-* "$into/kernel"
mv "$tree"/boot/initrd.img-* "$into/initrd"

cd "$tree"
echo cb-boot >etc/hostname
echo '127.0.0.1 localhost cb-boot' >etc/hosts
echo 'nameserver 10.0.2.3' >etc/resolv.conf  # QEMU's
printf '/dev/vda / ext4 defaults 0 1\n/dev/vdb /srv ext4 defaults 0 2\n' >etc/fstab
printf '[Match]\nName=e*\n[Network]\nDHCP=yes\n' >etc/systemd/network/all.network
mkdir -p etc/systemd/system/{multi-user,network-online}.target.wants
ln -s /lib/systemd/system/systemd-networkd.service etc/systemd/system/multi-user.target.wants/
ln -s /lib/systemd/system/systemd-networkd-wait-online.service etc/systemd/system/network-online.target.wants/
rm -f etc/systemd/system/timers.target.wants/apt-*  # Would take the processor away at any time.

# What is done inside comes on the second disk.
cat >etc/systemd/system/cb-boot.service <<'UNIT'
[Unit]
Description=Checks of Cloud Builder
After=network-online.target
Wants=network-online.target
RequiresMountsFor=/srv

[Service]
Environment=HOME=/root
WorkingDirectory=/root
ExecStart=/usr/bin/python3 /srv/inside
UNIT
ln -s ../cb-boot.service etc/systemd/system/multi-user.target.wants/
cd - >/dev/null

truncate -s "$size" "$into/disk"
mke2fs -q -F -t ext4 -d "$tree" "$into/disk"
chmod 644 "$into"/*
