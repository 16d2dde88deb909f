#!/usr/bin/env bash
# Several logical units of all kinds at once, through real clients: each is listed, says what it is, and stores what is
# written to it and to no other. Needs root, for a loop device.
. "$(dirname "$0")/common.sh"
need iscsi-ls iscsi-inq iscsi-readcapacity16 qemu-io losetup cmp

truncate -s 16M "$scratch/device.img"
device=$(losetup --find --show "$scratch/device.img")
detach() {
    losetup --detach "$device"
    stop
}
trap detach EXIT
head -c 16M /dev/urandom >"$scratch/fixed.img"
cp "$scratch/fixed.img" "$scratch/fixed.copy"

serve back.img --size 16MiB --mode wb --cores 2 \
    --lun fixed.img,mode=ro \
    --lun type=nullio,size=16MiB \
    --lun large.img,size=16MiB,block-size=4096,mode=wt,serial=LARGE-1 \
    --lun "$device,lun=9,mode=wt"
unit() { echo "${url%/0}/$1"; }

# Name, number, bytes of a block, kind of writing.
listed=$(iscsi-ls -s "iscsi://$portal")
for number in 0 1 2 3 9; do
    grep -qE "^Lun:$number +Type:DIRECT_ACCESS" <<<"$listed" || fail "LUN $number is not listed: $listed"
    expect "Vendor:QUINTAIN" iscsi-inq "$(unit $number)"
    expect "Total size:16777216" iscsi-readcapacity16 "$(unit $number)"
    block_bytes=512
    [ $number != 3 ] || block_bytes=4096
    expect "LOGICAL BLOCK LENGTH IN BYTES:$block_bytes" iscsi-readcapacity16 "$(unit $number)"
done
[ "$(grep -c '^Lun:' <<<"$listed")" = 5 ] || fail "there are other logical units: $listed"
expect "LARGE-1" iscsi-inq -e 1 -c 128 "$(unit 3)"

# Another pattern on each, all read back when all are written.
for number in 0 3 9; do
    expect "wrote 1048576/1048576" qemu-io -f raw -c "write -P $((0x50 + number)) 1M 1M" -c flush "$(unit $number)"
done
for number in 0 3 9; do
    expect "read 1048576/1048576" qemu-io -f raw -c "read -P $((0x50 + number)) 1M 1M" -c "read -P 0 2M 1M" "$(unit $number)"
done
expect "wrote 4096/4096" qemu-io -f raw -c "write -P 7 8k 4k" "$(unit 3)"
# Nothing is stored, and nothing can be.
expect "read 1048576/1048576" qemu-io -f raw -c "write -P 7 1M 1M" -c "read -P 0 1M 1M" "$(unit 2)"
refused=$(qemu-io -f raw -c "write -P 7 1M 1M" "$(unit 1)" 2>&1 || true)
grep -qiE "read.only|write.protect" <<<"$refused" || fail "a write to a read-only disk is not refused: $refused"
qemu-img convert -f raw -O raw "$(unit 1)" "$scratch/read.raw"
cmp "$scratch/fixed.copy" "$scratch/read.raw" || fail "the read-only disk is not read as it is"

end_daemon
# What was written is where it belongs.
pattern() { head -c 1048576 /dev/zero | tr '\0' "\\$(printf %o "$1")"; }
for pair in "back.img 0" "large.img 3" "device.img 9"; do
    read -r file number <<<"$pair"
    cmp <(pattern $((0x50 + number))) <(tail -c +1048577 "$scratch/$file" | head -c 1048576) || fail "$file has other data"
done
cmp "$scratch/fixed.copy" "$scratch/fixed.img" || fail "a read-only file was changed"
echo "five logical units of all kinds are listed, and keep what is written to them"
