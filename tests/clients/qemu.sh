#!/usr/bin/env bash
# QEMU's iSCSI driver writes and reads back the same data, with patterns and with a whole image.
. "$(dirname "$0")/common.sh"
need qemu-io qemu-img cmp

serve disk.img --size 64MiB --mode wb --cores 2

expect "read 1048576/1048576 bytes" qemu-io -f raw -c "write -P 0x5a 0 1M" -c "read -P 0x5a 0 1M" "$url"
expect "read 4096/4096 bytes" \
    qemu-io -f raw -c "write -P 0xa5 63M 1M" -c "write -z 63M 8k" -c "read -P 0 63M 4k" -c "read -P 0xa5 66068480 4k" "$url"
expect "wrote 512/512 bytes" qemu-io -f raw -c "write -f -P 7 1000k 512" -c "read -P 7 1000k 512" -c flush "$url"
# A pattern that is not there is reported: the comparison above can fail.
wrong=$(qemu-io -f raw -c "read -P 0x11 0 64k" "$url" 2>&1 || true)
grep -q "Pattern verification failed" <<<"$wrong" || fail "qemu-io does not compare: $wrong"

head -c 64M /dev/urandom >"$scratch/source.raw"
qemu-img convert -n -W -m 8 -f raw -O raw "$scratch/source.raw" "$url"
qemu-img convert -f raw -O raw "$url" "$scratch/back.raw"
cmp "$scratch/source.raw" "$scratch/back.raw" || fail "what was written is not what is read"
expect "Images are identical." qemu-img compare -f raw -F raw "$scratch/source.raw" "$url"

end_daemon
cmp "$scratch/source.raw" "$scratch/disk.img" || fail "what was written is not in the file"
echo "qemu-io and qemu-img read what they wrote"
