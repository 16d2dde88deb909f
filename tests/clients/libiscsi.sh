#!/usr/bin/env bash
# libiscsi's tools see the target as it was configured.
. "$(dirname "$0")/common.sh"
need iscsi-ls iscsi-inq iscsi-readcapacity16 iscsi-perf

serve disk.img --size 64MiB --mode wb --lun type=nullio,size=1GiB,block-size=4096

expect "Target:$target Portal:$portal,1" iscsi-ls "iscsi://$portal"
expect "Lun:0    Type:DIRECT_ACCESS" iscsi-ls -s "iscsi://$portal"
expect "Lun:1    Type:DIRECT_ACCESS" iscsi-ls -s "iscsi://$portal"
expect "Vendor:QUINTAIN" iscsi-inq "$url"
expect "CmdQue:1" iscsi-inq "$url"
# iscsi-inq takes page codes in decimal: 00h, 80h, 83h, B0h, B1h, B2h.
for page in "0:SUPPORTED_VPD_PAGES" "128:Unit Serial Number" "131:$target" "176:maximum transfer length" \
    "177:Medium Rotation Rate" "178:provisioning type"; do
    expect "${page#*:}" iscsi-inq -e 1 -c "${page%%:*}" "$url"
done
expect "RETURNED LOGICAL BLOCK ADDRESS:131071" iscsi-readcapacity16 "$url"
expect "Total size:67108864" iscsi-readcapacity16 "$url"
expect "LOGICAL BLOCK LENGTH IN BYTES:4096" iscsi-readcapacity16 "${url%0}1"
expect "finished." iscsi-perf -t 1 -r -m 32 -b 8 "$url"
expect "finished." iscsi-perf -t 1 -m 32 -b 256 "$url"

end_daemon
echo "iscsi-ls, iscsi-inq, iscsi-readcapacity16 and iscsi-perf are content"
