# Lines "WORKLOAD SERVER IOPS CPU_US_PER_OPERATION", in rounds, become a Markdown table with median (minimum to maximum).

{
    key = $1 SUBSEP $2
    n = ++count[key]
    iops[key, n] = $3
    cpu[key, n] = $4
    if (!($1 in seen)) {
        seen[$1] = 1
        order[++workloads] = $1
    }
}

END {
    print "| workload | server | IOPS | server CPU per operation, us | of tgt's |"
    print "| --- | --- | --- | --- | --- |"
    for (w = 1; w <= workloads; w++) {
        row(order[w], "tgt")
        row(order[w], "quintain")
    }
}

function row(workload, server,    key, n, i, values, share) {
    key = workload SUBSEP server
    n = count[key]
    for (i = 1; i <= n; i++) values[i] = iops[key, i]
    printf "| %s | %s | %s ", workload, server, spread(values, n, "%.0f")
    for (i = 1; i <= n; i++) values[i] = cpu[key, i]
    printf "| %s ", spread(values, n, "%.2f")
    share = "1"
    if (server != "tgt") {
        # Round by round: each ratio is of two runs next to each other.
        for (i = 1; i <= n; i++) values[i] = cpu[key, i] / cpu[workload, "tgt", i]
        share = spread(values, n, "%.2f")
    }
    printf "| %s |\n", share
}

function spread(values, n, format,    i, j, swap, median) {
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && values[j - 1] > values[j]; j--) {
            swap = values[j]
            values[j] = values[j - 1]
            values[j - 1] = swap
        }
    median = n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
    return sprintf(format " (" format " to " format ")", median, values[1], values[n])
}
