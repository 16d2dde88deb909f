#!/usr/bin/env bash
# Wireshark decodes a captured conversation and finds nothing malformed. Needs root, to capture.
. "$(dirname "$0")/common.sh"
need dumpcap tshark qemu-io iscsi-ls iscsi-inq

decode() {
    tshark -r "$scratch/capture.pcapng" -d "tcp.port==$port,iscsi" "$@" 2>"$scratch/tshark.log" ||
        fail "tshark failed: $(cat "$scratch/tshark.log")"
}

# Serves and captures a conversation of several clients.
capture() {
    serve disk.img --size 64MiB --mode wb
    rm -f "$scratch/capture.pcapng"
    dumpcap -q -B 64 -i lo -f "tcp port $port" -w "$scratch/capture.pcapng" 2>"$scratch/dumpcap.log" &
    pids+=($!)
    for _ in $(seq 100); do
        grep -q "^File:" "$scratch/dumpcap.log" && break
        sleep 0.1
    done
    # Until its file grows, nothing says that dumpcap really listens; a connection that it has seen does.
    for _ in $(seq 100); do
        iscsi-ls "iscsi://$portal" >/dev/null
        [ "$(stat -c %s "$scratch/capture.pcapng" 2>/dev/null || echo 0)" -gt 1000 ] && break
        sleep 0.1
    done
    iscsi-ls -s "iscsi://$portal" >/dev/null
    iscsi-inq "$url" >/dev/null
    qemu-io -f raw -c "write -P 0x5a 0 1M" -c "read -P 0x5a 0 1M" -c "write -P 1 4k 512" -c "read 4M 512k" -c flush "$url" >/dev/null
    end_daemon
    sleep 1
    kill -INT "${pids[0]}"
    wait "${pids[0]}" || fail "dumpcap failed: $(cat "$scratch/dumpcap.log")"
    pids=()
}

# Of what the kernel sent again, or dumpcap saw in another order, Wireshark cannot put the PDUs together, which is nobody's
# fault here: then another conversation is captured.
for attempt in 1 2 3 4; do
    [ "$attempt" -lt 4 ] || fail "three captures in a row have segments lost, repeated or out of order"
    capture
    decode -Y "tcp.analysis.out_of_order || tcp.analysis.retransmission || tcp.analysis.lost_segment" >"$scratch/disorder"
    [ -s "$scratch/disorder" ] || break
    echo "another capture, since this one is out of order: $(head -1 "$scratch/disorder")"
done
# Operation codes of both directions: command, login, text, Data-Out, logout, and what answers them.
decode -T fields -e iscsi.opcode | tr ',' '\n' | sort | uniq -c | awk 'NF == 2' >"$scratch/opcodes"
for opcode in 0x01 0x03 0x04 0x05 0x06 0x21 0x23 0x24 0x25 0x26 0x31; do
    grep -q " $opcode$" "$scratch/opcodes" || fail "no PDU $opcode was decoded: $(cat "$scratch/opcodes")"
done
total=$(awk '{ total += $1 } END { print total }' "$scratch/opcodes")
[ "$total" -ge 50 ] || fail "only $total PDUs were decoded"
# libiscsi asks for the first 64 bytes of VPD page 83h. Wireshark calls a page malformed that goes on behind the
# allocation length; SPC-4, 4.3.5.6, wants it cut there, with its PAGE LENGTH as it is.
cut_page='(scsi_sbc.opcode == 0x12 && iscsi.datasegmentlength == 64)'
decode -Y "(_ws.malformed || (iscsi && _ws.expert.severity == error)) && !$cut_page" >"$scratch/errors"
[ ! -s "$scratch/errors" ] || fail "Wireshark complains: $(cat "$scratch/errors")"
echo "tshark decoded $total PDUs of $(wc -l <"$scratch/opcodes") kinds, none malformed"
